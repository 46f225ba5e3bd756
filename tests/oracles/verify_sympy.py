#!/usr/bin/env python3
"""Pairs of expressions that are equal, or different, by sympy's word: tests/golden/verify_sympy.json, read by tests/verify/sympy_test.cc.

Equal pairs come from rewriting (expand, factor, simplify's relatives, substitution of known values) and are checked again by sympy at 60 digits; different pairs
change one thing of an equal one and are kept only if their difference at 60 digits is larger than 1e-30 (so near misses of 1e-12 are in).
  verify_sympy.py [--count N] [--seed S] [--out FILE]          run from the repository's root
"""
import argparse, json, random
from pathlib import Path
import sympy as sp

x, y, t = sp.symbols("x y t", real=True)


def rational(rng, big=30):
    return sp.Rational(rng.randint(-big, big), rng.randint(1, big))


def nonzero(rng, big=9):
    return sp.Integer(rng.choice([i for i in range(-big, big + 1) if i]))


def constants(rng):
    a, b, c = (rng.randint(2, 12) for _ in range(3))
    q = rational(rng)
    return rng.choice([
        q + rational(rng), sp.sqrt(a) + sp.sqrt(b), sp.sqrt(a * b * b), (sp.sqrt(a) + 1) ** 3, 1 / (sp.sqrt(a) + sp.sqrt(a + 1)), sp.sqrt(a + b + 2 * sp.sqrt(a * b)),
        sp.cbrt(a * b**3), sp.Rational(a, b) ** sp.Rational(c, 2), sp.pi * q + sp.sqrt(a), sp.sin(sp.pi * sp.Rational(rng.randint(1, 23), 12)),
        sp.tan(sp.pi * sp.Rational(rng.choice([1, 2, 4, 5, 7, 8]), 12)), sp.log(a) + sp.log(b), sp.log(a**b), sp.exp(a) * sp.exp(-b), sp.log(sp.sqrt(a)), sp.atan(1) + sp.Rational(a, b) * sp.pi,
        (a + b * sp.I) * (c - sp.I), 1 / (a + b * sp.I), sp.factorial(a) / sp.factorial(a - 1), sp.binomial(a + 5, 3) * q, sp.Integer(a) ** rng.randint(10, 40) + b, sp.acos(sp.Rational(1, 2)) + q])


def polynomials(rng):
    a, b, c, d = (nonzero(rng) for _ in range(4))
    return rng.choice([(x + a) * (x + b), (a * x + b) ** 2 * (c * x + d), (x + a * y) ** 3, (x + y + a) ** 2, a * x**2 * (b * x + c * y) - d, (x**2 - a**2) / (x - a) + b,
                       1 / (x + 20 + a) + 1 / (x + 20 + b), (a * x + b) / (c * x**2 + 100), x / (y**2 + 1) + y / (x**2 + 1), sp.sqrt(x**2 + a**2) ** 2 / (x**2 + a**2) + b * x])


def functions(rng):
    a, b = nonzero(rng, 4), nonzero(rng, 4)
    return rng.choice([sp.sin(a * t) ** 2, sp.sin(2 * t) + b, sp.cos(2 * t) * a, sp.tan(t) ** 2 + 1, sp.sin(t + sp.pi / 3), sp.exp(a * x) * sp.exp(b * x), sp.log(x**2 + 1) * 2,
                       sp.cos(3 * t), sp.sinh(x) + sp.cosh(x), (sp.exp(x) + sp.exp(-x)) / 2, sp.sin(t) ** 4 - sp.cos(t) ** 4])


def rewritten(rng, e):
    ways = [sp.expand, sp.factor, sp.together, sp.apart if len(e.free_symbols) == 1 else sp.expand, sp.simplify, sp.radsimp, sp.trigsimp, lambda v: sp.expand(v, trig=True),
            lambda v: sp.expand_log(v, force=True), sp.nsimplify, lambda v: v + sp.Integer(0), sp.sqrtdenest, lambda v: v.rewrite(sp.cos), lambda v: sp.expand(v, complex=True) if not v.free_symbols else v]
    rng.shuffle(ways)
    for w in ways:
        try:
            r = w(e)
        except Exception:
            continue
        if sp.latex(r) != sp.latex(e):
            return r
    return e


def changed(rng, e):
    tiny = sp.Rational(1, 10 ** rng.choice([6, 9, 12]))
    options = [e + 1, e - sp.Rational(1, 2), e * 2 + 1, -e + sp.Rational(1, 7), e + tiny, e * (1 + tiny)]
    if e.free_symbols:
        s = sorted(e.free_symbols, key=str)[0]
        options += [e + s, e.subs(s, s + 1), e.subs(s, 2 * s)]
    return rng.choice(options)


POINTS = [{x: sp.Rational(7, 5), y: sp.Rational(11, 13), t: sp.Rational(3, 7)}, {x: sp.Rational(19, 8), y: sp.Rational(5, 3), t: sp.Rational(9, 8)}, {x: sp.Rational(1, 3), y: sp.Rational(22, 9), t: sp.Rational(1, 5)}]


def gap(a, b):
    """Largest |a - b| at the points, to 60 digits; None: not a number there."""
    worst = sp.Float(0)
    for p in POINTS:
        v = sp.N((a - b).subs(p), 60, maxn=400)
        if not v.is_number or v.has(sp.nan, sp.zoo, sp.oo):
            return None
        worst = max(worst, abs(v))
    return worst


def scalars(make, kind, count, rng):
    rows = []
    while len(rows) < count:
        e = make(rng)
        if not e.is_finite and not e.free_symbols:
            continue
        equal = len(rows) % 2 == 0
        other = rewritten(rng, e) if equal else changed(rng, rewritten(rng, e))
        d = gap(e, other)
        if d is None or (equal and d > sp.Float("1e-50")) or (not equal and d < sp.Float("1e-30")):
            continue
        rows.append({"kind": kind, "gold": sp.latex(e), "answer": sp.latex(other), "same": equal})
    return rows


def interval(a, b, lo, hi):
    return ("(" if lo else "[") + sp.latex(a) + "," + sp.latex(b) + (")" if hi else "]")


def structures(count, rng):
    rows = []

    def add(kind, gold, answer, same):
        rows.append({"kind": kind, "gold": gold, "answer": answer, "same": same})

    for _ in range(count):
        # sets
        members = list({rational(rng, 9) if rng.random() < 0.7 else sp.sqrt(rng.randint(2, 30)) for _ in range(rng.randint(2, 5))})
        text = lambda m: "\\left\\{" + ", ".join(sp.latex(v) for v in m) + "\\right\\}"
        turned = members[:]
        rng.shuffle(turned)
        add("set", text(members), text(turned + [turned[0]]), True)
        other = members[:]
        other[0] = other[0] + 1
        add("set", text(members), text(other), sp.FiniteSet(*members) == sp.FiniteSet(*other))
        add("set", text(members), text(members[1:]), False)
        # unions of intervals, against sympy's own union
        pieces = []
        for _ in range(rng.randint(2, 3)):
            a = sp.Integer(rng.randint(-9, 8))
            pieces.append((a, a + rng.randint(1, 6), rng.random() < 0.5, rng.random() < 0.5))
        union = sp.Union(*[sp.Interval(*p) for p in pieces])
        parts = union.args if isinstance(union, sp.Union) else [union]
        if all(isinstance(p, sp.Interval) for p in parts):
            gold = "\\cup".join(interval(p.start, p.end, p.left_open, p.right_open) for p in parts)
            raw = "\\cup".join(interval(*p) for p in pieces)
            add("union", gold, raw, True)
            wrong = pieces[:]
            a, b, lo, hi = wrong[0]
            wrong[0] = (a, b, not lo, hi)
            add("union", gold, "\\cup".join(interval(*p) for p in wrong), sp.Union(*[sp.Interval(*p) for p in wrong]) == union)
            both = sp.Intersection(*[sp.Interval(*p) for p in pieces[:2]])
            if isinstance(both, sp.Interval):
                add("intersection", interval(both.start, both.end, both.left_open, both.right_open), "\\cap".join(interval(*p) for p in pieces[:2]), True)
                add("intersection", interval(both.start, both.end + 1, both.left_open, both.right_open), "\\cap".join(interval(*p) for p in pieces[:2]), False)
        # matrices
        n, m = rng.randint(1, 3), rng.randint(1, 3)
        a = sp.Matrix(n, m, lambda i, j: rational(rng, 6) if rng.random() < 0.8 else sp.sqrt(rng.randint(2, 9)))
        b = sp.Matrix(m, n, lambda i, j: rng.randint(-3, 3))
        lx = lambda v: sp.latex(v, mat_str="pmatrix", mat_delim="")
        add("matrix", lx(a * b), lx(a) + lx(b), True)
        other = a.copy()
        other[rng.randrange(n), rng.randrange(m)] += sp.Rational(1, 3)
        add("matrix", lx(a), lx(other), False)
        add("matrix", lx(a), sp.latex(a + a * 0, mat_str="array"), True)
        # lines and conics: equations up to a factor
        p, q, r, f = nonzero(rng), nonzero(rng), rational(rng, 9), nonzero(rng)
        add("equation", sp.latex(sp.Eq(p * x + q * y, r)), sp.latex(sp.Eq(sp.expand(f * (p * x + q * y) - f * r), 0)), True)
        add("equation", sp.latex(sp.Eq(p * x + q * y, r)), sp.latex(sp.Eq(sp.expand(f * (p * x + q * y) - f * r), 1)), False)
        # solution sets
        roots = sorted({rng.randint(-6, 6) for _ in range(3)})
        e = sp.expand(sp.prod([x - v for v in roots]))
        add("roots", sp.latex(e) + " = 0", ", ".join("x = " + str(v) for v in reversed(roots)), True)
        add("roots", sp.latex(e) + " = 0", ", ".join("x = " + str(v) for v in roots[1:]) or "x = 99", False)
        # inequalities
        s = rng.choice([-3, -2, 2, 3])
        add("inequality", sp.latex(x < r), f"{s} x {'<' if s > 0 else '>'} {sp.latex(s * r)}", True)
        add("inequality", sp.latex(x < r), f"{s} x {'>' if s > 0 else '<'} {sp.latex(s * r)}", False)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("tests/golden/verify_sympy.json"))
    args = parser.parse_args()
    rng = random.Random(args.seed)
    rows = scalars(constants, "constant", args.count, rng) + scalars(polynomials, "polynomial", args.count, rng) + scalars(functions, "function", args.count // 2, rng)
    rows += structures(args.count // 6, rng)
    out = args.out
    out.write_text("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")
    print(f"{out}: {len(rows)} pairs by sympy {sp.__version__}, {sum(r['same'] for r in rows)} the same")


if __name__ == "__main__":
    main()
