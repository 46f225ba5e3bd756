#!/usr/bin/env python3
"""Do the tests notice when the code is wrong? Plants one small fault at a time into sampled lines and counts how many make a test fail.

    scripts/mutate.sh [--lines 200] [--seed 1] [--folders stages,eval,app,tasks] [--list]      prints one JSON line a fault, then the score

Works on a copy of the committed tree under build/mutate, with a build folder of its own; nothing of the checkout changes. (--here: on this checkout, built
already, which is a copy that is thrown away; with --shard K/N several of them share a sample.) A fault is one of: a comparison
or sign turned, && for ||, true for false, a number off by one, a statement left out. Lines that only describe (includes, comments, visit(), messages,
declarations) are not sampled, and no text inside quotes is touched. A fault that does not compile is drawn again. "killed": a test of the folder, or of
stages or app, failed, crashed or ran into --timeout; "survived" lines are the ones to write tests for.
"""
import argparse
import json
import pathlib
import random
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "build/mutate"
TREE = WORK / "tree"

OPERATORS = [
    (re.compile(r"(?<![<>=!\-])<=(?!>)"), ["<"]), (re.compile(r"(?<![<>=!\-])>=(?!>)"), [">"]),
    (re.compile(r" < "), [" <= "]), (re.compile(r" > "), [" >= "]),
    (re.compile(r"=="), ["!="]), (re.compile(r"!="), ["=="]),
    (re.compile(r"&&"), ["||"]), (re.compile(r"\|\|"), ["&&"]),
    (re.compile(r" \+ "), [" - "]), (re.compile(r" - "), [" + "]), (re.compile(r" \* "), [" + "]), (re.compile(r" / "), [" * "]),
    (re.compile(r"\btrue\b"), ["false"]), (re.compile(r"\bfalse\b"), ["true"]),
    (re.compile(r"(?<![\w.])\d+(?![\w.])"), [lambda n: str(int(n) + 1)]),
    (re.compile(r"\+\+"), ["--"]), (re.compile(r"\+="), ["-="]),
]
# A whole statement on a line of its own: an assignment or a call.
STATEMENT = re.compile(r"^\s+(?!return\b|const\b|auto\b|using\b|if\b|for\b|while\b|else\b|break\b|continue\b|throw\b|static\b)[\w.:>\[\]()*\-]+(\s*[-+*|]?=\s.*|\(.*\));\s*$")
NOT_SAMPLED = re.compile(r'^\s*(//|#|using |namespace |\}|\{|v\(|v\.|"|log_|fail|check\(|template|struct |class |case )')


def outside_quotes(line):
    """The line with the text in quotes and what follows // blanked out: positions stay."""
    out = re.sub(r'"(\\.|[^"\\])*"', lambda m: '"' + "\0" * (len(m[0]) - 2) + '"', line)
    cut = out.find("//")
    return out if cut < 0 else out[:cut]


def mutants(path):
    """(line number, new line, operator) for every fault that a line of the file offers."""
    skipping = False
    for number, line in enumerate(path.read_text().splitlines()):
        if re.search(r"::visit\(Fields& v\)|void visit\(Fields& v\)", line):
            skipping = True
        if skipping:
            skipping = not re.match(r"^ *\}", line)
            continue
        if NOT_SAMPLED.search(line):
            continue
        plain = outside_quotes(line)
        for pattern, news in OPERATORS:
            for m in pattern.finditer(plain):
                for new in news:
                    text = new(m[0]) if callable(new) else new
                    yield number, line[:m.start()] + text + line[m.end():], f"{m[0].strip()} -> {text.strip()}"
        if STATEMENT.match(plain):
            yield number, "", "left out"


def run(command, timeout, **kwargs):
    try:
        return subprocess.run(command, timeout=timeout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **kwargs).returncode
    except subprocess.TimeoutExpired:
        return 124


def prepare(folders):
    WORK.mkdir(parents=True, exist_ok=True)
    if not TREE.exists():
        subprocess.run(["git", "clone", "-q", "--shared", ROOT, TREE], check=True)
    subprocess.run(["git", "-C", TREE, "fetch", "-q", ROOT, "HEAD"], check=True)
    subprocess.run(["git", "-C", TREE, "checkout", "-q", "-f", "--detach", "FETCH_HEAD"], check=True)
    if subprocess.run([TREE / "scripts/build.sh", "cpu", *sorted({f"test_{f}" for f in folders} | {"test_stages", "test_app"})]).returncode:
        sys.exit("mutate: the tree does not build")


def verdict(folder, timeout):
    """'killed by <binary>', 'survived' or None (does not compile)."""
    binaries = list(dict.fromkeys([f"test_{folder}", "test_stages", "test_app"]))
    for i, binary in enumerate(binaries):
        code = run(["ninja", "-C", TREE / "build/cpu", binary], 900)
        if code:
            return None if i == 0 else "killed by the build"
        if run([TREE / "build/cpu" / binary, "--gtest_brief=1", "--gtest_fail_fast"], timeout, cwd=TREE):
            return f"killed by {binary}"
    return "survived"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--lines", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--folders", default="stages,eval,app,tasks")
    arguments.add_argument("--timeout", type=float, default=300, help="seconds for a test binary")
    arguments.add_argument("--list", action="store_true", help="print the sample and stop")
    arguments.add_argument("--here", action="store_true", help="change and build this checkout itself")
    arguments.add_argument("--shard", default="0/1", help="K/N: every Nth line of the sample, from the Kth on")
    options = arguments.parse_args()
    shard, shards = map(int, options.shard.split("/"))
    folders = options.folders.split(",")
    global TREE
    if options.here:
        TREE = ROOT
    elif not options.list:
        prepare(folders)
    top = ROOT if options.list else TREE
    places = {}
    for folder in folders:
        for path in sorted((top / "r1" / folder).rglob("*.cc")):
            for number, line, what in mutants(path):
                places.setdefault((folder, path, number), []).append((line, what))
    rng = random.Random(options.seed)
    sample = rng.sample(sorted(places), min(len(places), 2 * options.lines))  # twice: some will not compile
    counts, started = {"killed": 0, "survived": 0, "not compiled": 0}, time.time()
    for folder, path, number in sample[shard::shards]:
        if counts["killed"] + counts["survived"] >= options.lines / shards:
            break
        line, what = rng.choice(places[(folder, path, number)])
        row = {"file": str(path.relative_to(top)), "line": number + 1, "fault": what, "new": line.strip()}
        if options.list:
            print(json.dumps(row))
            counts["killed"] += 1
            continue
        text = path.read_text()
        lines = text.split("\n")
        lines[number] = line
        path.write_text("\n".join(lines))
        try:
            row["verdict"] = verdict(folder, options.timeout) or "not compiled"
        finally:
            path.write_text(text)
        counts[row["verdict"].split(" by ")[0]] += 1
        print(json.dumps(row), flush=True)
    tried = counts["killed"] + counts["survived"]
    if not options.list:
        print(json.dumps({**counts, "score": round(counts["killed"] / max(1, tried), 3), "minutes": round((time.time() - started) / 60, 1), "seed": options.seed}))


if __name__ == "__main__":
    main()
