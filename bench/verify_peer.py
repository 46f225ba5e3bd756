#!/usr/bin/env python3
"""r1/verify against Math-Verify: the same pairs, one thread each, in turn; JSON lines, the last one the summary.

  verify_peer.py [--bench build/cpu/bench/bench_verify_notorch] [--data ../shared/data] [--count 600] [--rounds 5] [--seed 3]
Pairs: GSM8K, SVAMP and AQuA completions and MATH-style answers (tests/oracles/verify_math_verify.py pairs). Needs math-verify 0.9.0.
"""
import argparse, importlib.util, json, logging, os, platform, statistics, subprocess, sys, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def oracle():
    spec = importlib.util.spec_from_file_location("verify_math_verify", ROOT / "tests/oracles/verify_math_verify.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", default="build/cpu/bench/bench_verify_notorch")
    parser.add_argument("--data", default=os.environ.get("R1_DATA", "../shared/data"))
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    from importlib.metadata import version
    from math_verify import parse, verify
    rows = oracle().heldout_pairs(args.data, args.count, args.seed)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        f.write("".join(json.dumps({"gold": r["gold"], "answer": r["answer"]}) + "\n" for r in rows))
        f.flush()
        theirs = [bool(verify(parse(r["gold"]), parse(r["answer"]))) for r in rows]  # also warms up
        ours = [json.loads(line)["verdict"] == "right" for line in subprocess.run([args.bench, f.name, "--verdicts"], check=True, capture_output=True, text=True).stdout.splitlines()]
        ratios, speeds = [], []
        for n in range(args.rounds):
            report = json.loads(subprocess.run([args.bench, f.name, "--rounds=1"], check=True, capture_output=True, text=True).stdout)
            start = time.perf_counter()
            for r in rows:
                verify(parse(r["gold"]), parse(r["answer"]))
            peer = len(rows) / (time.perf_counter() - start)
            ratios.append(report["pairs_per_second"] / peer)
            speeds.append((report["pairs_per_second"], peer))
            print(json.dumps({"bench": "verify", "round": n, "pairs": len(rows), "ours_per_second": round(speeds[-1][0], 1), "math_verify_per_second": round(peer, 1),
                              "ratio": round(ratios[-1], 1), "ours_slowest_seconds": report["slowest_seconds"]}), flush=True)
    print(json.dumps({"bench": "verify", "summary": True, "ratio_median": round(statistics.median(ratios), 1), "ratio_least": round(min(ratios), 1), "ratio_most": round(max(ratios), 1),
                      "ours_per_second": round(statistics.median(s[0] for s in speeds), 1), "math_verify_per_second": round(statistics.median(s[1] for s in speeds), 1),
                      "same_verdict": sum(a == b for a, b in zip(ours, theirs)), "pairs": len(rows), "math_verify": version("math-verify"), "sympy": version("sympy"),
                      "python": platform.python_version(), "machine": platform.machine()}))
    return 0 if statistics.median(ratios) >= 50 else 1


if __name__ == "__main__":
    sys.exit(main())
