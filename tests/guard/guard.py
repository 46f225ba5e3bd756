"""Guards of the architecture: what no compiler checks. Each rule is a function from a tree (path -> text) to a list of complaints, and each has a
self-test that plants a violation and expects the complaint. Run by ctest; by hand: python3 tests/guard/guard.py [--self-test] [ROOT]"""
import os
import re
import subprocess
import sys
import tempfile

FLOORS = [
    ["base"],
    ["kernels", "tensor", "text", "report", "http", "plan"],
    ["ops", "dist", "data", "verify", "grammar"],
    ["nn", "tasks", "corpus", "api", "plugins"],
    ["model"],
    ["train", "engine", "quant"],
    ["eval", "serve"],
    ["stages"],
    ["app"],
]
FLOOR_OF = {folder: floor for floor, folders in enumerate(FLOORS) for folder in folders}
MAY_INCLUDE_KERNELS = {"ops", "engine", "kernels"}
WITHOUT_LIBTORCH = {"base", "text", "report", "plan", "kernels", "data", "corpus", "verify", "tasks", "http", "grammar", "api", "plugins"}
NEVER = re.compile(r"^(torch/torch\.h|torch/all\.h|torch/extension\.h|ATen/ATen\.h|ATen/Functions\.h|torch/nn.*)$")
# Any header of one operator doubles what a file reads: r1/tensor/aten.h declares the operators, and only its definitions (and their test, which
# compares the two) see ATen's. Two of them cost nothing and are passed on by the door itself.
OPERATORS = re.compile(r"^ATen/(ops/.*|TensorOperators\.h|Functions\.h|MethodOperators\.h|Operators\.h|NativeFunctions\.h)$")
OPERATORS_ALLOWED = {
    "r1/tensor/aten.cc": re.compile(r"ATen/ops/\w+\.h"),
    "r1/tensor/aten.h": re.compile(r"ATen/ops/(from_blob|tensor)\.h"),
    "tests/tensor/aten_test.cc": re.compile(r"ATen/(ops/\w+|TensorOperators)\.h"),
}
# Headers that cost seconds a file: only these files may include them.
COSTLY = re.compile(r"custom_function\.h|c10d/|torch/library\.h")
COSTLY_ALLOWED = {"r1/ops/autograd.cc", "r1/dist/store.cc", "r1/dist/gloo_group.cc", "r1/dist/nccl_group.cc"}
TORCH = re.compile(r"^(torch|ATen|c10|caffe2)/")
FAMILY_NAME = re.compile(r'==\s*("(?:llama|qwen2|qwen3|qwen3_moe|qwen3moe|deepseek_v[23]|gpt2|gemma3|gemma3_text)")|"deepseek_v[23]"|"gemma3_text"|"qwen3_moe"')
FAMILY_FILES = re.compile(r"r1/model/(families\.cc|family_\w+\.cc|presets\w*\.cc)$")
SOURCE = re.compile(r"\.(h|cc|cu|cuh)$")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', re.M)
# People's and machines' folders. (Written so that this line does not match itself.)
MACHINE_PATH = re.compile(r"(?<![\w.*~}$])/(?:root|work|home/[a-z]\w*|Users/\w+|opt/oracle)(?:/|\b(?=[\s'\"`)]))")


def includes(text):
    return INCLUDE.findall(re.sub(r"/\*.*?\*/", "", text, flags=re.S))


def sources(tree):
    return ((path, text) for path, text in tree.items() if path.startswith("r1/") and SOURCE.search(path))


def folder_of(path):
    return path.split("/")[1]


def floors(tree):
    """A folder includes itself and lower floors; neighbours on one floor are strangers; only ops and engine include kernels."""
    for path, text in sources(tree):
        here = folder_of(path)
        if here not in FLOOR_OF:
            yield f"{path}: folder r1/{here} stands on no floor (FLOORS in tests/guard/guard.py)"
            continue
        for name in includes(text):
            if not name.startswith("r1/"):
                continue
            there = folder_of(name)
            if there == here:
                continue
            if FLOOR_OF.get(there, 99) >= FLOOR_OF[here]:
                yield f"{path}: r1/{here} (floor {FLOOR_OF[here]}) may not include {name} (floor {FLOOR_OF.get(there, '?')})"
            elif there == "kernels" and here not in MAY_INCLUDE_KERNELS:
                yield f"{path}: only ops and engine include kernels, not r1/{here}: {name}"


def quoted_includes(tree):
    """Our own headers are included by their full path, so that the guard above sees them all."""
    for path, text in sources(tree):
        for name in re.findall(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', text, re.M):
            if not name.startswith("r1/"):
                yield f'{path}: include "{name}" by its full path, "r1/..."'


def heavy_headers(tree):
    for path, text in tree.items():
        if not SOURCE.search(path):
            continue
        for name in includes(text):
            if NEVER.match(name):
                yield f"{path}: <{name}> is never included; take r1/tensor/tensor.h, or r1/tensor/aten.h for operators"
            elif OPERATORS.match(name) and not (path in OPERATORS_ALLOWED and OPERATORS_ALLOWED[path].fullmatch(name)):
                yield f"{path}: <{name}> costs a file 100,000 lines; take r1/tensor/aten.h, and add what it lacks there"
            if COSTLY.search(name) and path not in COSTLY_ALLOWED:
                yield f"{path}: <{name}> costs seconds a file; only {', '.join(sorted(COSTLY_ALLOWED))} may include it"


def torch_free(tree):
    """Sanitizers, fuzzers and fast builds reach these folders; kernels know pointers, sizes and a stream."""
    for path, text in sources(tree):
        if folder_of(path) in WITHOUT_LIBTORCH or path.endswith((".cu", ".cuh")):
            for name in includes(text):
                if TORCH.match(name):
                    yield f"{path}: builds without libtorch, but includes <{name}>"


def openings(tree):
    """A header opens with what it does."""
    for path, text in sources(tree):
        if path.endswith(".h") and not text.startswith("//"):
            yield f"{path}: a header opens with a comment: what it does, what it leaves out, its contract"


def families_by_name(tree):
    """Only the table of families, a family's own file and the presets spell a family's name: everything else asks the family's row."""
    for path, text in tree.items():
        if re.match(r"r1/(model|nn|ops|train|engine|stages|eval|app)/.*\.(h|cc)$", path) and not FAMILY_FILES.match(path):
            for name in FAMILY_NAME.findall(text):
                yield f"{path}: compares with the family {name}; give r1/model/families.h a field for what differs"


def machine_paths(tree):
    for path, text in tree.items():
        for number, line in enumerate(text.split("\n"), 1):
            if MACHINE_PATH.search(line):
                yield f"{path}:{number}: names a folder of one machine: {line.strip()[:120]}"


def shell_syntax(tree):
    for path, text in tree.items():
        if not (path.endswith(".sh") or path == ".ci/run"):
            continue
        done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True)
        if done.returncode:
            yield f"{path}: bash -n: {done.stderr.strip()}"


def test_layout(tree):
    """tests/ mirrors r1/: a file of tests in a folder that CMake knows, under a name that it globs."""
    for path, text in tree.items():
        part = path.split("/")
        if path.endswith("_test.cc") and (len(part) != 3 or part[0] != "tests" or part[1] not in FLOOR_OF):
            yield f"{path}: no test binary picks this up; put it in tests/<folder of r1>/"
        if part[0] == "tests" and path.endswith(".cc") and re.search(r"^TEST(_F|_P)?\(", text, re.M) and not path.endswith("_test.cc"):
            yield f"{path}: has tests, but no name that ends in _test.cc"


RULES = {
    floors: {"r1/nn/x.h": '// x\n#include "r1/model/config.h"\n'},
    quoted_includes: {"r1/nn/x.cc": '#include "linear.h"\n'},
    heavy_headers: {"r1/nn/x.cc": "#include <torch/torch.h>\n"},
    torch_free: {"r1/kernels/cuda/x.cu": "#include <c10/cuda/CUDAStream.h>\n"},
    openings: {"r1/nn/x.h": "#pragma once\n"},
    families_by_name: {"r1/model/layers.cc": 'if (c.family == "qwen2") {}\n'},
    machine_paths: {"docs/x.md": "see /ro" + "ot/notes\n"},
    shell_syntax: {"scripts/x.sh": "if true; then\n"},
    test_layout: {"tests/x_test.cc": "TEST(A, B) {}\n"},
}

# More that must be caught, and what must not.
MORE_BAD = [
    (floors, {"r1/text/x.cc": '#include "r1/tensor/tensor.h"\n'}),
    (floors, {"r1/model/x.cc": '#include "r1/kernels/cpu/x.h"\n'}),
    (floors, {"r1/base/x.cc": '  #  include "r1/app/command.h"\n'}),
    (floors, {"r1/nowhere/x.cc": "int x;\n"}),
    (floors, {"r1/train/x.cc": '#include "r1/engine/engine.h"\n'}),
    (heavy_headers, {"r1/nn/x.cc": "#include <torch/csrc/autograd/custom_function.h>\n"}),
    (heavy_headers, {"tests/nn/x_test.cc": "#include <torch/nn/functional.h>\n"}),
    (heavy_headers, {"r1/nn/x.cc": "#include <ATen/ops/add.h>\n"}),
    (heavy_headers, {"tests/nn/x_test.cc": "#include <ATen/TensorOperators.h>\n"}),
    (heavy_headers, {"bench/x.cc": "#include <ATen/Functions.h>\n"}),
    (heavy_headers, {"r1/tensor/aten.h": "#include <ATen/ops/add.h>\n"}),
    (heavy_headers, {"r1/tensor/aten.cc": "#include <ATen/Functions.h>\n"}),
    (heavy_headers, {"r1/train/x.cc": "#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>\n"}),
    (torch_free, {"r1/verify/x.h": "#include <ATen/core/Tensor.h>\n"}),
    (machine_paths, {"x.cc": 'open("/wo' + 'rk/x");\n'}),
    (machine_paths, {"x.md": "in /ho" + "me/someone/x\n"}),
    (families_by_name, {"r1/train/x.cc": 'set(c, "deepseek_v3");\n'}),
    (test_layout, {"tests/nn/x.cc": "TEST_F(A, B) {}\n"}),
]
GOOD = [
    (families_by_name, {"r1/model/family_x.cc": '"gpt2"', "r1/model/config.h": 'std::string family = "llama";\n', "r1/text/x.cc": 'model == "gpt2"'}),
    (floors, {"r1/ops/x.cc": '#include "r1/kernels/cpu/x.h"\n#include "r1/ops/y.h"\n#include "r1/base/error.h"\n'}),
    (floors, {"r1/base/x.cc": '// #include "r1/app/x.h"\n/*\n#include "r1/app/x.h"\n*/\n'}),
    (heavy_headers, {"r1/ops/autograd.cc": "#include <torch/csrc/autograd/custom_function.h>\n", "r1/nn/x.cc": "#include <ATen/core/Tensor.h>\n"}),
    (heavy_headers, {"r1/tensor/aten.cc": "#include <ATen/ops/add.h>\n", "r1/tensor/aten.h": "#include <ATen/ops/tensor.h>\n"}),
    (machine_paths, {"x.sh": "cd ~/wo" + "rk/x && ls $HOME/ro" + "ot/ a/wo" + "rk/b https://x.org/wo" + "rk/\n"}),
    (test_layout, {"tests/nn/x_test.cc": "TEST(A, B) {}\n", "tests/nn/support.cc": "int x;\n"}),
]


def self_test():
    bad = list(RULES.items()) + MORE_BAD
    missed = [f"{rule.__name__} does not catch {tree}" for rule, tree in bad if not list(rule(tree))]
    false = [f"{rule.__name__} complains of {tree}: {list(rule(tree))}" for rule, tree in GOOD if list(rule(tree))]
    # The whole way, through files on disk.
    with tempfile.TemporaryDirectory() as root:
        os.makedirs(os.path.join(root, "r1/nn"))
        with open(os.path.join(root, "r1/nn/x.h"), "w") as file:
            file.write('// x\n#include "r1/stages/run.h"\n')
        if len(complaints(read_tree(root))) != 1:
            missed.append("a planted file on disk is not seen")
    return missed + false


def read_tree(root):
    listed = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True)
    inside = subprocess.run(["git", "-C", root, "rev-parse", "--show-toplevel"], capture_output=True, text=True)
    if listed.returncode == 0 and os.path.realpath(inside.stdout.strip()) == os.path.realpath(root):
        paths = [p for p in listed.stdout.decode().split("\0") if p]
    else:  # an unpacked archive
        paths = [os.path.relpath(os.path.join(d, f), root) for d, _, files in os.walk(root) for f in files]
        paths = [p for p in paths if not p.startswith(("build/", ".git/", "runs/"))]
    tree = {}
    for path in paths:
        full = os.path.join(root, path)
        if not os.path.isfile(full) or os.path.getsize(full) > 2_000_000:
            continue
        with open(full, "rb") as file:
            data = file.read()
        if b"\0" not in data:
            tree[path] = data.decode("utf-8", "replace")
    return tree


def complaints(tree):
    return [f"[{rule.__name__}] {line}" for rule in RULES for line in rule(tree)]


def main():
    arguments = [a for a in sys.argv[1:] if a != "--self-test"]
    root = arguments[0] if arguments else os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
    if "--self-test" in sys.argv:
        found = self_test()
    else:
        tree = read_tree(root)
        found = complaints(tree) if sum(p.startswith("r1/") for p in tree) > 20 else [f"{root}: no source tree"]
    print("\n".join(found) if found else "guard: ok")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
