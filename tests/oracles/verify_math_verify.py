#!/usr/bin/env python3
"""Math-Verify (PyPI math-verify 0.9.0) as the peer of r1/verify: the same pairs, both verdicts.

  verify_math_verify.py published --bench BENCH [--golden FILE] [--table FILE]
      Its own published test cases: the sdist's tests are run with parse() and verify() recorded (gold, answer, options, verdict), and BENCH
      (build/cpu/bench/bench_verify_notorch) judges the same pairs with the equivalent options. Prints the agreement and each difference. --golden
      writes the short cases for tests/verify/math_verify_test.cc, --table the Markdown rows of docs/rewards.md.
  verify_math_verify.py heldout --bench BENCH --data DIR [--count N] [--seed S]
      Completions made from real data (GSM8K, SVAMP, AQuA: right ones, wrong ones, other spellings, other marks) against their known answers.
  verify_math_verify.py pairs --data DIR --out FILE [--count N]
      Writes such pairs as JSON lines (for bench/verify.py).
Needs math-verify 0.9.0. The sdist comes from the package index through pip (--tests DIR: an unpacked copy instead).
"""
import argparse, glob, importlib.util, json, os, random, re, subprocess, sys, tarfile, tempfile, types
from collections import Counter
from pathlib import Path

VERSION = "0.9.0"


# ---- their published cases ----

def sdist_tests(given):
    if given:
        return Path(given)
    folder = Path(tempfile.mkdtemp(prefix="math_verify_"))
    subprocess.run([sys.executable, "-m", "pip", "-q", "download", "--no-deps", "--no-binary", "math-verify", "-d", str(folder), f"math-verify=={VERSION}"], check=True)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as tar:
        tar.extractall(folder, filter="data")
    return next(folder.glob("math_verify-*/tests"))


class Text(list):
    """What parse() returned, with the text it came from."""


def recorded_cases(tests):
    """Runs the parametrized tests of the folder; every verify() of two parse() results is a case."""
    import math_verify

    cases, names = [], []

    def mark_parametrize(argnames, argvalues):
        keys = [k.strip() for k in argnames.split(",")]

        def decorate(f):
            f.cases = [dict(zip(keys, v)) for v in argvalues]
            return f
        return decorate

    stub = types.ModuleType("pytest")
    stub.mark = types.SimpleNamespace(parametrize=mark_parametrize)
    stub.raises = None
    sys.modules["pytest"] = stub
    package = types.ModuleType("tests")
    package.__path__ = [str(tests)]
    sys.modules["tests"] = package
    real_parse, real_verify = math_verify.parse, math_verify.verify

    def parse(text, *args, **kw):
        out = Text(real_parse(text, *args, **kw))
        out.text = text
        return out

    def verify(gold, answer, **kw):
        verdict = bool(real_verify(list(gold), list(answer), **kw))
        if hasattr(gold, "text") and hasattr(answer, "text"):
            cases.append({"test": names[-1], "gold": gold.text, "answer": answer.text, "rounding_digits": kw.get("float_rounding", 6),
                          "strict": kw.get("strict", True), "theirs": verdict})
        return verdict

    math_verify.parse, math_verify.verify = parse, verify
    for path in sorted(tests.glob("test_*.py")):
        if path.stem in ("test_timeout", "test_raise_on_error", "test_configs", "test_gamma_func", "test_string_extraction"):
            continue  # no pair of answers: mocks, error flags, extraction settings
        spec = importlib.util.spec_from_file_location("tests." + path.stem, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules["tests." + path.stem] = module
        spec.loader.exec_module(module)
        for name, f in list(vars(module).items()):
            if not name.startswith("test_") or not callable(f) or f.__module__ != module.__name__:
                continue
            for case in getattr(f, "cases", [{}]):
                names.append(f"{path.stem}::{name}")
                try:
                    f(**case)
                except AssertionError:
                    pass  # the recorded verdict is what the library says, whatever the test wants
    math_verify.parse, math_verify.verify = real_parse, real_verify
    return cases


# ---- ours ----

def our_verdicts(bench, rows):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        for r in rows:
            f.write(json.dumps({k: r[k] for k in ("gold", "answer", "rounding_digits", "strict") if k in r}) + "\n")
        f.flush()
        out = subprocess.run([bench, f.name, "--verdicts"], check=True, capture_output=True, text=True).stdout
    found = [json.loads(line) for line in out.splitlines()]
    assert len(found) == len(rows), (len(found), len(rows))
    return found


def shown(text, limit=200):
    text = text.replace("\n", "\\n").replace("|", "\\|")
    return text if len(text) <= limit else text[: limit // 2] + " .. " + text[-limit // 2:]


def compare(rows, bench, title):
    ours = our_verdicts(bench, rows)
    differences = []
    for r, o in zip(rows, ours):
        r["ours"] = o["verdict"]
        if r["theirs"] != (o["verdict"] == "right"):
            differences.append((r, o))
    same = len(rows) - len(differences)
    print(f"{title}: {same} of {len(rows)} the same verdict ({100 * same / len(rows):.2f} %); ours: {dict(Counter(o['verdict'] for o in ours))}, "
          f"theirs right: {sum(r['theirs'] for r in rows)}")
    for r, o in differences:
        print(f"  {r.get('test', r.get('kind', ''))} theirs={'right' if r['theirs'] else 'wrong'} ours={o['verdict']} ({o['reason']}) extracted={shown(o['extracted'], 80)!r}"
              f"\n    gold   {shown(r['gold'])}\n    answer {shown(r['answer'])}")
    return differences


def published(args):
    rows = recorded_cases(sdist_tests(args.tests))
    differences = compare(rows, args.bench, f"Math-Verify {VERSION}, its published cases")
    if args.golden:
        short = [r for r in rows if len(r["gold"]) + len(r["answer"]) <= 400]
        keep = [{k: r[k] for k in ("gold", "answer", "rounding_digits", "strict", "theirs", "ours")} for r in short]
        for r in keep:
            if r["rounding_digits"] == 6:
                del r["rounding_digits"]
            if r["strict"]:
                del r["strict"]
        Path(args.golden).write_text("[\n" + ",\n".join(json.dumps(r, ensure_ascii=True) for r in keep) + "\n]\n")
        print(f"{args.golden}: {len(keep)} of {len(rows)} cases")
    if args.table:
        lines = ["| gold | answer | theirs | ours |", "|---|---|---|---|"]
        lines += [f"| `{shown(r['gold'], 60)}` | `{shown(r['answer'], 90)}` | {'right' if r['theirs'] else 'wrong'} | {o['verdict']} |" for r, o in differences]
        Path(args.table).write_text("\n".join(lines) + "\n")
    return 0 if len(differences) <= 0.06 * len(rows) else 1  # docs/rewards.md lists them


# ---- held-out pairs from real data ----

def jsonl(path):
    return [json.loads(line) for line in open(path, encoding="utf-8")]


def plain(number):
    return number.replace(",", "").strip()


def spellings(value, rng):
    """The same integer or decimal in other words."""
    n = plain(value)
    forms = [n]
    if re.fullmatch(r"-?\d+", n):
        i = int(n)
        forms += [f"{i:,}", f"{i}.0", f"{i}.00", f"{2 * i}/2", f"\\frac{{{3 * i}}}{{3}}", f"\\dfrac{{{2 * i}}}{{2}}", f"\\${i:,}", f"x = {i}", f"{i}.", f"{i - 7} + 7",
                  f"{i}\\text{{ apples}}", f"{i} \\text{{ dollars}}", f"\\sqrt{{{i * i}}}", f"{i * 10} \\cdot 10^{{-1}}", f"{i / 1000:.3f} \\times 10^3", f"\\left({i}\\right)",
                  f"{i:,}".replace(",", "{,}")]
        if i < 0:
            forms = [f for f in forms if "sqrt" not in f]
    elif re.fullmatch(r"-?\d+\.\d+", n):
        whole, part = n.split(".")
        forms += [n + "0", f"\\frac{{{int(whole + part)}}}{{{10 ** len(part)}}}", f"\\${n}"]
    return forms


def wrongs(value, rng):
    n = plain(value)
    try:
        v = float(n)
    except ValueError:
        return ["0"]
    i = int(v)
    return [str(i + 1), str(i - 1), str(-i if i else 5), str(i * 10 if i else 7), f"\\frac{{{i}}}{{2}}" if i else "1/2", f"{i}.5", f"{i + 1000:,}", f"{i}{i}"]


def marked(text, rng):
    """An answer put at the end of a solution."""
    style = rng.randrange(8)
    plain_text = not re.search(r"[\\{]", text)
    if style == 0:
        return "#### " + text if plain_text else "$\\boxed{" + text + "}$"
    if style == 1:
        return "So the answer is $\\boxed{" + text + "}$."
    if style == 2:
        return "\\[\n\\boxed{" + text + "}\n\\]"
    if style == 3:
        return "Therefore, the final answer is $" + text + "$. I hope it is correct."
    if style == 4:
        return "The final answer is \\boxed{" + text + "}."
    if style == 5:
        return "**Final Answer**\n\\boxed{" + text + "}"
    if style == 6:
        return "The answer is " + (text if plain_text else "$" + text + "$") + "."
    return "Answer: " + (text if plain_text else "\\(" + text + "\\)")


LATEX_GROUPS = [
    # spellings of one value, then near misses
    ([r"\frac{1}{2}", r"\frac12", r"\dfrac{1}{2}", "0.5", "1/2", r"\tfrac{2}{4}", r"2^{-1}", r"\frac{\sqrt{4}}{4}"], ["2", r"\frac{1}{3}", "0.05", r"-\frac12"]),
    ([r"\frac{3\sqrt{2}}{2}", r"\frac{3}{\sqrt{2}}", r"\frac32\sqrt{2}", r"\sqrt{\frac{9}{2}}", r"1.5\sqrt{2}"], [r"\frac{3\sqrt{2}}{4}", r"3\sqrt{2}", r"\frac{2\sqrt3}{2}"]),
    ([r"2\sqrt{3}", r"\sqrt{12}", r"\frac{6}{\sqrt{3}}", r"2\cdot\sqrt{3}", r"2\times 3^{1/2}"], [r"3\sqrt{2}", r"\sqrt{13}", "3.46"]),
    ([r"\frac{\pi}{6}", r"\pi/6", r"\frac{1}{6}\pi", r"\frac{2\pi}{12}", r"\frac{\pi}{12}+\frac{\pi}{12}"], [r"\frac{\pi}{3}", r"\frac{6}{\pi}", r"\pi"]),
    ([r"(3, 4)", r"\left(3,4\right)", r"(3,\ 4)", r"(\frac{6}{2}, 4)", r"\left( 3, \sqrt{16} \right)"], [r"(4, 3)", r"(3, 5)", r"(3, 4, 5)"]),
    ([r"[0, 1)", r"\left[0,1\right)", r"[0, \frac{2}{2})"], [r"(0, 1)", r"[0, 1]", r"[0, 2)"]),
    ([r"(-\infty, 2) \cup (3, \infty)", r"(3,\infty)\cup(-\infty,2)", r"\left(-\infty, 2\right) \cup \left(3, +\infty\right)"], [r"(-\infty, 2) \cup [3, \infty)", r"(2, 3)", r"(-\infty, 2)"]),
    ([r"x^2 + 2x + 1", r"(x+1)^2", r"1 + 2x + x^2", r"x(x+2)+1", r"(x+1)(1+x)"], [r"x^2 + 1", r"(x-1)^2", r"x^2+2x-1"]),
    ([r"\{1, 2, 3\}", r"\{3,2,1\}", r"\left\{1,2,3\right\}", r"\{1, \frac{4}{2}, 3\}"], [r"\{1,2\}", r"\{1,2,4\}", r"\{1,2,3,4\}"]),
    ([r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix}", r"\begin{pmatrix} 1 & \frac{4}{2} \\ 3 & 2^2 \end{pmatrix}"],
     [r"\begin{pmatrix} 1 & 2 \\ 3 & 5 \end{pmatrix}", r"\begin{pmatrix} 1 & 3 \\ 2 & 4 \end{pmatrix}"]),
    ([r"y = 2x + 3", r"2x + 3", r"y = 3 + 2x", r"y=2\left(x+\frac32\right)"], [r"y = 2x - 3", r"y = 3x + 2"]),
    ([r"2x - y + 3 = 0", r"y = 2x + 3", r"4x - 2y + 6 = 0", r"-2x + y - 3 = 0"], [r"2x + y + 3 = 0", r"2x - y - 3 = 0"]),
    ([r"25\%", r"25 \%", "25"], ["2.5", "75", r"\frac{25}{2}"]),
    ([r"60^\circ", r"60^{\circ}", "60", r"60 \text{ degrees}"], [r"30^\circ", "120", r"6^\circ"]),
    ([r"3 + 4i", r"4i + 3", r"3+4i", r"\frac{6+8i}{2}"], [r"3 - 4i", r"4 + 3i", "7"]),
    ([r"\log_2 8", "3", r"\log_{2}{8}", r"\frac{\ln 8}{\ln 2}"], [r"\log_2 4", "8", r"\log_8 2"]),
    ([r"\frac{x+2}{x-1}", r"\frac{2+x}{x-1}", r"1+\frac{3}{x-1}", r"\frac{-x-2}{1-x}"], [r"\frac{x+2}{x+1}", r"\frac{x-2}{x-1}"]),
    ([r"\sqrt[3]{16}", r"2\sqrt[3]{2}", r"16^{1/3}", r"2^{4/3}"], [r"\sqrt{16}", r"4\sqrt[3]{2}", r"2\sqrt[3]{4}"]),
    ([r"1 \pm \sqrt{2}", r"1+\sqrt{2}, 1-\sqrt{2}", r"1-\sqrt2, 1+\sqrt2"], [r"1 \pm \sqrt{3}", r"1+\sqrt{2}", r"2 \pm \sqrt{2}"]),
    ([r"120", "5!", r"\binom{10}{3}", r"1.2 \times 10^2", r"2^3 \cdot 15"], ["60", "4!", r"\binom{10}{4}"]),
    ([r"\sin^2 x", r"1-\cos^2 x", r"\frac{1-\cos 2x}{2}", r"(\sin x)^2"], [r"\cos^2 x", r"\sin x^2", r"1+\cos^2 x"]),
    ([r"x < 3", r"x<3", r"3 > x", r"(-\infty, 3)"], [r"x > 3", r"x \le 3", r"x<4"]),
    ([r"-2 \le x \le 5", r"-2\leq x\leq 5", r"5 \ge x \ge -2", r"[-2, 5]"], [r"-2 < x \le 5", r"-2 \le x \le 6", r"[2,5]"]),
    ([r"x = 2, x = -2", r"x=-2, x=2", r"2, -2", r"\{-2, 2\}", r"x = \pm 2"], ["2", r"x=2, x=-3", r"\{2, 3\}"]),
    ([r"e^{2}", r"e^2", r"\frac{e^4}{e^2}", r"e \cdot e"], ["2e", r"e^{-2}", "7.39"]),
    ([r"\text{Monday}", "Monday", r"\text{monday}"], [r"\text{Tuesday}", "Sunday"]),
    ([r"1{,}234{,}567", "1,234,567", "1234567", r"1\,234\,567"], ["1,234,568", "123,456", "12345678"]),
    ([r"\frac{2}{3}", "2/3", r"\frac{4}{6}", r"\frac{-2}{-3}"], ["0.66", "0.67", r"\frac{3}{2}"]),
    ([r"a^2 - b^2", r"(a-b)(a+b)", r"-(b^2-a^2)", r"(b+a)(a-b)"], [r"a^2 + b^2", r"(a-b)^2"]),
    ([r"2^{10}", "1024", r"4^5", r"32^2"], ["1023", r"2^{11}", r"10^2"]),
    ([r"\cos 2\theta", r"2\cos^2\theta-1", r"\cos^2\theta-\sin^2\theta", r"1-2\sin^2\theta"], [r"2\cos\theta", r"\cos^2\theta"]),
    ([r"\ln 6", r"\ln 2+\ln 3", r"\ln(2\cdot 3)", r"\frac{\log 6}{\log e}"], [r"\ln 5", r"\ln 2\cdot\ln 3"]),
    ([r"(x-1)^2+(y+2)^2=9", r"(y+2)^2+(x-1)^2=9", r"x^2-2x+y^2+4y-4=0"], [r"(x+1)^2+(y+2)^2=9", r"(x-1)^2+(y+2)^2=3"]),
    ([r"3:4", r"3 : 4", "3:4"], ["4:3", "3:5"]),
    ([r"7\frac{1}{3}", r"\frac{22}{3}", "22/3"], [r"\frac{7}{3}", r"7\cdot\frac13"]),
    ([r"5 \text{ cm}", r"5\text{cm}", r"5\,\text{cm}", "5"], [r"6 \text{ cm}", r"50 \text{ cm}"]),
]


def heldout_pairs(data, count, seed):
    rng = random.Random(seed)
    data = Path(data)
    rows = []
    gsm = jsonl(data / "gsm8k/test.jsonl")
    svamp = json.load(open(data / "svamp/SVAMP.json"))
    aqua = jsonl(data / "aqua/dev.json")
    for _ in range(count * 2 // 5):  # GSM8K solutions, their own number or another's, in other marks and spellings
        p = rng.choice(gsm)
        thought, value = p["answer"].rsplit("####", 1)
        thought, value = re.sub(r"<<.*?>>", "", thought).strip(), value.strip()
        right = rng.random() < 0.6
        text = rng.choice(spellings(value, rng)) if right else rng.choice(wrongs(value, rng))
        rows.append({"kind": "gsm8k", "gold": plain(value), "answer": thought + "\n" + marked(text, rng), "meant": right})
    for _ in range(count // 10):
        p = rng.choice(svamp)
        value = p["Answer"] if isinstance(p["Answer"], str) else repr(p["Answer"])
        value = value[:-2] if value.endswith(".0") else value
        right = rng.random() < 0.6
        text = rng.choice(spellings(value, rng)) if right else rng.choice(wrongs(value, rng))
        rows.append({"kind": "svamp", "gold": value, "answer": f"{p['Equation']} = {value}. " + marked(text, rng), "meant": right})
    for _ in range(count // 10):  # AQuA: the value of an option inside its rationale
        p = rng.choice(aqua)
        values = [o.split(")", 1)[1].strip() for o in p["options"]]
        correct = values["ABCDE".index(p["correct"])]
        other = rng.choice(values)
        rows.append({"kind": "aqua", "gold": correct, "answer": p["rationale"].rsplit("\n", 1)[0] + "\n\\boxed{" + other + "}", "meant": None})
    while len(rows) < count:
        group, misses = rng.choice(LATEX_GROUPS)
        gold = rng.choice(group)
        right = rng.random() < 0.6
        text = rng.choice(group if right else misses)
        lead = rng.choice(["Let us compute.\n", "First $x=1$ and $y=2$, then we simplify.\n", "", "By symmetry it follows.\n"])
        rows.append({"kind": "latex", "gold": "$" + gold + "$", "answer": lead + marked(text, rng), "meant": right})
    return rows


def their_verdicts(rows):
    from math_verify import parse, verify
    for r in rows:
        r["theirs"] = bool(verify(parse(r["gold"]), parse(r["answer"])))


def heldout(args):
    import logging
    logging.disable(logging.CRITICAL)
    rows = heldout_pairs(args.data, args.count, args.seed)
    their_verdicts(rows)
    compare(rows, args.bench, f"held out, {args.count} pairs, seed {args.seed}")
    for name, verdict in (("theirs", lambda r: r["theirs"]), ("ours", lambda r: r["ours"] == "right")):
        known = [r for r in rows if r["meant"] is not None]
        good = sum(verdict(r) == r["meant"] for r in known)
        false_right = sum(verdict(r) and not r["meant"] for r in known)
        print(f"  {name}: as constructed {good} of {len(known)} ({100 * good / len(known):.2f} %), wrong answers called right: {false_right}")
    return 0


def pairs(args):
    rows = heldout_pairs(args.data, args.count, args.seed)
    Path(args.out).write_text("".join(json.dumps({"gold": r["gold"], "answer": r["answer"]}) + "\n" for r in rows))
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["published", "heldout", "pairs"])
    parser.add_argument("--bench", default="build/cpu/bench/bench_verify_notorch")
    parser.add_argument("--tests")
    parser.add_argument("--golden")
    parser.add_argument("--table")
    parser.add_argument("--data", default=os.environ.get("R1_DATA", "../shared/data"))
    parser.add_argument("--out")
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    sys.exit({"published": published, "heldout": heldout, "pairs": pairs}[args.what](args))


if __name__ == "__main__":
    main()
