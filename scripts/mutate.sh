#!/usr/bin/env bash
# Plants small faults into sampled lines and counts how many the tests notice: scripts/mutate.py says how.   mutate.sh [--lines N] [--seed S] [--folders a,b]
. "$(dirname "$0")/common.sh"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec python3 scripts/mutate.py "$@"
