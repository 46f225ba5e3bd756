#!/usr/bin/env python3
"""Puts small source files together into fewer, larger ones for the compiler: most of what a small file costs is reading the same headers again.

    group_sources.py --out FOLDER --name TARGET --root ROOT --list FILE     a list of sources, one a line
    group_sources.py --self-test

Writes FOLDER/TARGET_<n>.cc, each of them includes of sources, and prints what to compile, one a line: these files and the sources that stay alone.
Two files go together only where no name of one's anonymous namespaces means something else in the other; neighbours by path are tried first. A
file is only written when it changes. What is missed here the compiler says (a redefinition); a new run of cmake looks again.
"""
import argparse
import functools
import pathlib
import re
import sys

LINES = 900        # of a group: it stays well below the limit that CI has for one file's compilation
SOURCE_LINES = 600  # what is longer has little to gain
# Settings for headers or for the compiler that would reach the next file: such a file stays alone.
OWN = re.compile(r"^\s*#\s*(define|undef|pragma GCC)|__attribute__|^using (namespace|enum)|^extern \"C\"|^inline namespace", re.M)
# Not names, though they may stand before a parenthesis or a brace.
WORDS = set("""alignas alignof assert auto bool case catch char co_return co_yield const const_cast constexpr decltype defined delete do double dynamic_cast enum
    else explicit false float for if inline int long mutable namespace new noexcept nullptr operator return short signed sizeof static static_assert
    static_cast struct switch template this throw true try typename unsigned using void while""".split())


def without_text(code):
    """The code without comments and with empty strings and characters, line for line."""
    pattern = re.compile(r'R"(\w*)\(.*?\)\1"|"(?:[^"\\\n]|\\.)*"|(?<![0-9a-zA-Z])\'(?:[^\'\\\n]|\\.)+\'|//[^\n]*|/\*.*?\*/', re.S)
    return pattern.sub(lambda m: ('""' if m[0][0] in 'R"' else "0" if m[0][0] == "'" else "") + "\n" * m[0].count("\n"), code)


def local_names(code):
    """Names declared at the outermost level of anonymous namespaces, and file-local ones (static): the formatter puts them at the start of a line.
    All of them, and those of types among them."""
    names, all_types, depth = set(), set(), 0
    for line in code.splitlines():
        inside = depth > 0
        if depth or re.match(r"namespace \{", line):
            depth += line.count("{") - line.count("}")
        if not line or line[0] in " #}/" or not (inside or line.startswith("static ")):
            continue
        if re.match(r"using [\w:]+;", line):  # says the same wherever it stands
            continue
        types = re.findall(r"^(?:struct|class|enum class|enum|using|concept|union)\s+(\w+)", line)
        names.update(types)
        all_types.update(types)
        if re.match(r"enum(?: \w+)?(?: : \w+)? \{", line):
            names.update(re.findall(r"[{,]\s*(\w+)", line))
            continue
        head = "" if types else re.sub(r"<[^<>]*>", "", re.sub(r"<[^<>]*>", "", re.sub(r"<[^<>]*>", "", line)))
        declared = re.match(r"[^({\[=;]*?([A-Za-z_]\w*)\s*[({\[=;]", head)
        if not declared or "::" + declared[1] in head:
            continue
        names.add(declared[1])
        if head[declared.end() - 1] in "=;[":  # int a = 1, b = 2;
            names.update(re.findall(r",\s*(\w+)\s*[=;\[]", head))
    return {n for n in names if not n[0].isdigit() and not re.fullmatch(r"[A-Z][A-Z0-9_]+", n)} - WORDS, all_types


def words(text):
    return set(re.findall(r"\b[A-Za-z_]\w*\b", text))


def header_line(line, path, root):
    """An include as it is written in a file that stands elsewhere."""
    beside = path.parent / line.split('"')[1] if '"' in line else None
    return f'#include "{beside.relative_to(root)}"' if beside and beside.exists() else line


@functools.lru_cache(None)
def headers_of(path, root):
    """A header of ours and all that it includes of ours."""
    if not path.exists():
        return frozenset()
    below = [headers_of(root / name, root) for name in re.findall(r'^#include "(.*)"', path.read_text(), re.M)]
    return frozenset([path]).union(*below)


@functools.lru_cache(None)
def words_of_header(path):
    return words(without_text(path.read_text()))


class Source:
    def __init__(self, path, text, root="/"):
        path, root = pathlib.Path(path), pathlib.Path(root)
        code = without_text(text)
        self.path, self.lines = path, text.count("\n")
        self.alone = bool(OWN.search(text)) or self.lines > SOURCE_LINES
        self.named = bool(re.search(r"R1_(SOURCE|TEST)_DIR", text))
        self.includes = [header_line(line, path, root) for line in re.findall(r"^#include (?:<.*>|\".*\.h\")", text, re.M)]
        self.local, types = local_names(code)
        members = set(re.findall(r"(?:\.|->|::)\s*(?:template )?~?(\w+)", code))
        members |= {"value", "type"}  # of what macros write out
        members |= set(re.findall(r"\b(\w+)::", code)) - types  # a namespace may have a function's name
        members |= set(re.findall(r"\bT(?:YPED_T)?EST(?:_F|_P|_SUITE|_SUITE_P)?\((\w+)", code))  # a fixture's name is printed
        # Somebody else's members may have the name too: it stays as it is, and must not meet another.
        self.fixed = self.local & members
        self.words = words(re.sub(r"^#include.*", "", code, flags=re.M))
        for header in set().union(*(headers_of(root / line.split('"')[1], root) for line in self.includes if '"' in line)):
            self.words |= words_of_header(header)

    def fits(self, other):
        return not (self.fixed & other.words) and not (other.fixed & self.words)


def groups_of(sources):
    groups = []
    for source in sorted(sources, key=lambda s: s.path):
        for group in groups if not source.alone else []:
            if not group[0].alone and sum(s.lines for s in group) + source.lines <= LINES and all(source.fits(s) for s in group):
                group.append(source)
                break
        else:
            groups.append([source])
    return groups


def grouped(group, root):
    """The text of one file: every header first, then each source with other names for what is its own."""
    text = "// Made by scripts/group_sources.py.\n#pragma GCC diagnostic ignored \"-Wsubobject-linkage\"\n"
    if any(source.named for source in group):
        text += "// R1_SOURCE_DIR\n"  # cmake looks for the name
    headers = [line for source in group for line in source.includes]
    text += "".join(f"{line}\n" for line in dict.fromkeys(headers))
    for k, source in enumerate(group):
        names = sorted(source.local - source.fixed)
        text += "".join(f"#define {n} {n}_{k}\n" for n in names) + f'#include "{source.path.relative_to(root)}"\n'
        text += "".join(f"#undef {n}\n" for n in names)
    return text


def write(out, name, root, paths):
    sources = [Source(p, pathlib.Path(p).read_text(), root) for p in paths]
    result, made = [], set()
    for group in groups_of(sources):
        if len(group) == 1:
            result.append(str(group[0].path))
            continue
        path = pathlib.Path(out) / f"{name}_{len(made) + 1}.cc"
        text = grouped(group, root)
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        made.add(path)
        result.append(str(path))
    for path in pathlib.Path(out).glob(f"{name}_[0-9]*.cc"):
        if path not in made:
            path.unlink()
    return result


def self_test():
    texts = {
        "a": "int is_blank(char c) {\n  int line = 1;\n}\nconstexpr long kMost = long(1) << 4;\nstruct Row {\n};\nstd::vector<std::pair<int, int>> rows;\nenum : int { kOne, kNone = 3 };\nint two = 2, three = 3;\nusing std::size;\n"
        "template <class T>\nstd::string put(T x, int y) {\n}\nstatic_assert(kMost > 2);\nint kTable[] = {1};\n",
        "b": "int own() {\n  return is_blank(1) + x.rows;\n}\n",
        "c": "int Row() {\n  return x.Row;\n}\n",
        "d": "",
        "e": "int in;\nint plan() {\n}\n}\nint out() {\n  return plan::out() + plan();\n",
    }
    made = {n: Source(f"/r/{n}.cc", "namespace r1 {\nnamespace {\n" + t + "}  // namespace\nint shown() {\n}\n}  // namespace r1\n" + "#define X 1\n" * (n == "d"), "/r") for n, t in texts.items()}
    a, b, c, d, e = made.values()
    assert e.local == {"in", "plan"} and e.fixed == {"plan"}, (e.local, e.fixed)
    assert a.local == {"is_blank", "kMost", "Row", "rows", "put", "kTable", "kOne", "kNone", "two", "three"}, a.local
    assert not a.fixed and c.fixed == {"Row"} and not c.fits(a) and c.fits(b) and a.fits(b)
    assert [[s.path.stem for s in group] for group in groups_of([d, c, b, a])] == [["a", "b"], ["c"], ["d"]]
    text = grouped([a, b], "/r")
    assert "#define is_blank is_blank_0\n" in text and "#undef is_blank\n" in text and '#include "b.cc"' in text and "#define own own_1\n" in text, text
    print("ok")


def main():
    parser = argparse.ArgumentParser()
    for option in ("--out", "--name", "--root", "--list"):
        parser.add_argument(option)
    parser.add_argument("--self-test", action="store_true")
    args = parser.parse_args()
    if args.self_test:
        return self_test()
    print("\n".join(write(args.out, args.name, args.root, pathlib.Path(args.list).read_text().split())))


if __name__ == "__main__":
    sys.exit(main())
