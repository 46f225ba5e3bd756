#!/bin/bash
# A training step of r1 and of transformers on the same shapes, one after the other in turns, and the ratios: tokens/s, peak memory, time to
# step 50 from the start of the process.
#   bench/peers/run_train.sh BENCH_TRAIN_STEP [CASE...]      CASE: T1 T2 T3 (default all)   ROUNDS=1 PEER=compile PYTHON=python3
set -u
bench=$1
shift
here=$(dirname "$0")
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
declare -A shape=([T1]="gpt2-124m 64 1024" [T2]="qwen2.5-0.5b 8 4096" [T3]="qwen2.5-1.5b 4 4096")
[ $# -gt 0 ] || set -- T1 T2 T3
for name in "$@"; do
  read -r model batch seq <<< "${shape[$name]}"
  for round in $(seq "${ROUNDS:-1}"); do
    args="--shape $model --batch $batch --seq $seq --steps ${STEPS:-50} --warmup ${WARMUP:-20}"
    ours=$("$bench" $args)
    echo "$ours"
    peer=$("${PYTHON:-python3}" "$here/train_step.py" --peer "${PEER:-compile}" $args 2> "$errors" | tail -1)
    [ -n "$peer" ] || tail -3 "$errors"
    echo "$peer"
    "${PYTHON:-python3}" - "$name" "$ours" "$peer" << 'END'
import json, sys
name, ours, peer = sys.argv[1], json.loads(sys.argv[2].splitlines()[0]), json.loads(sys.argv[3])
print(json.dumps({"case": name, "tokens_per_second": round(ours["tokens_per_second"] / peer["tokens_per_second"], 3),
                  "peak_memory": round(ours["peak_allocated_gib"] / peer["peak_allocated_gib"], 3),
                  "faster_to_step_50": round(peer["seconds_to_step_50"] / ours["seconds_to_step_50"], 2)
                  if ours["seconds_to_step_50"] and peer["seconds_to_step_50"] else None}))
END
  done
done
