#!/usr/bin/env bash
# What training and sampling lose beside other busy processes: one that never rests for each CPU, so that the fair share is half of the machine.
#   bench_busy.sh [--rounds 3] [--steps 40]        needs build/cpu/r1
# One JSON object: wall seconds alone and beside the busy ones (medians of interleaved rounds), and how often slower than the fair share the latter is.
# Good manners are at most 1.25; GOMP_SPINCOUNT=300000, the library's own setting, shows what it would be otherwise.
. "$(dirname "$0")/common.sh"
rounds=3 steps=40
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2; shift 2 ;;
    --steps) steps=$2; shift 2 ;;
    *) code=2 die "unknown argument '$1' (--rounds N, --steps N)" ;;
  esac
done
r1=$PWD/build/cpu/r1 work=$(mktemp -d)
[ -x "$r1" ] || die "no build/cpu/r1; run scripts/build.sh"
busy=()
rest() { [ ${#busy[@]} -eq 0 ] || kill "${busy[@]}" 2>/dev/null || true; busy=(); }
trap 'rest; rm -rf "$work"' EXIT

# Seconds of the training steps themselves, without the first two.
train() {
  "$r1" pretrain --preset=tiny-1m --task=arithmetic --task_options.style=chain --max_length=256 --per_device_train_batch_size=8 --optim=muon \
    --max_steps="$steps" --save_steps=0 --logging_steps=1 --output_dir="$work/run" --overwrite_output_dir --quiet > /dev/null
  python3 - "$work/run/metrics.jsonl" <<'P'
import json, sys
print(sum(line["step_time"] for line in map(json.loads, open(sys.argv[1])) if line["step"] > 2 and "step_time" in line))
P
}

alone=() beside=()
for _ in $(seq "$rounds"); do
  alone+=("$(train)")
  for _ in $(seq "$(nproc)"); do timeout 300 sh -c 'while :; do :; done' & busy+=($!); done
  beside+=("$(train)")
  rest
done
python3 - "${alone[*]}" "${beside[*]}" <<'P'
import json, statistics, sys
alone, beside = (statistics.median(map(float, text.split())) for text in sys.argv[1:])
print(json.dumps({"what": "train_beside_busy_processes", "alone_s": round(alone, 3), "beside_s": round(beside, 3), "slower_than_fair_share": round(beside / alone / 2, 3)}))
P
