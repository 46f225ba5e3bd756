#!/usr/bin/env bash
# The verifier against its peers (scripts/setup.sh oracle): Math-Verify's published cases, sympy's pairs, held-out pairs of real data, speed.
#   verify_peers.sh [--golden]      --golden: writes tests/golden/verify_*.json anew
. "$(dirname "$0")/common.sh"
python=${R1_ORACLE_PYTHON:-$R1_DEPS/oracle/bin/python}
data=${R1_DATA:-../shared/data}
[ -x "$python" ] || die "no oracle Python at $python; run scripts/setup.sh oracle"
scripts/build.sh cpu bench_verify_notorch test_verify > /dev/null
bench=build/cpu/bench/bench_verify_notorch
golden=()
if [ "${1:-}" = --golden ]; then
  golden=(--golden tests/golden/verify_math_verify.json)
  "$python" tests/oracles/verify_sympy.py
fi
say "published cases"
"$python" tests/oracles/verify_math_verify.py published --bench "$bench" "${golden[@]}"
say "sympy"
build/cpu/test_verify --gtest_filter='Golden.*' --gtest_brief=1
say "held out"
for seed in 1 2; do "$python" tests/oracles/verify_math_verify.py heldout --bench "$bench" --data "$data" --seed $seed; done
say "speed"
"$python" bench/verify_peer.py --bench "$bench" --data "$data"
