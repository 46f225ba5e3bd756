#!/usr/bin/env python3
"""The table of docs/plan_cluster.md: published runs (tests/golden/plan_published.json) and what `r1 plan --cluster` says of their layouts.
    docs/results/plan_cluster.py build/cpu/r1"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

rows = json.loads((pathlib.Path(__file__).parents[2] / "tests/golden/plan_published.json").read_text())
r1 = sys.argv[1] if len(sys.argv) > 1 else "build/cpu/r1"


def plan(row, folder):
    model = row["model"]
    if "config" in row:
        model = os.path.join(folder, "model")
        os.makedirs(model, exist_ok=True)
        pathlib.Path(model, "config.json").write_text(json.dumps(row["config"]))
    run = subprocess.run([r1, "plan", "--model", model, *row["arguments"].split(), "--json", "--quiet"], capture_output=True, text=True)
    if not run.stdout:
        sys.exit(f"{row['name']}: {run.stderr}")
    return json.loads(run.stdout)


print("| run | published | predicted | ratio | MFU | memory, GiB | where the time goes |")
print("| --- | ---: | ---: | ---: | ---: | ---: | --- |")
within = 0
with tempfile.TemporaryDirectory() as folder:
    for row in rows:
        out = plan(row, folder)
        published = row["tokens_per_second_per_gpu"]
        if out["layouts"]:
            best = out["layouts"][0]
            predicted, mfu = best["tokens_per_second_per_gpu"], f"{100 * best['mfu_of_bf16_peak']:.0f} %"
            memory, where = f"{best['memory_bytes']['total'] / 2**30:.0f}", best["reason"].removeprefix("the first: ")
            where = ", ".join(where.split(", ")[:3])
        else:
            refused = out["refused"][0]
            predicted, mfu, memory, where = refused["tokens_per_second_if_it_fitted"] / out["gpus"], "", "too much", refused["reason"].split(":")[0]
        ratio = predicted / published
        within += abs(ratio - 1) <= 0.25
        mark = "" if abs(ratio - 1) <= 0.25 else " **x**"
        print(f"| {row['name']} | {published:,.0f} | {predicted:,.0f} | {ratio:.2f}{mark} | {mfu} | {memory} | {where} |")
print(f"\n{within} of {len(rows)} within 25 %.")
