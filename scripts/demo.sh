#!/usr/bin/env bash
# Set-up, build, and R1-Zero in a nutshell: a small model finds out that thinking pays (recipes/r1_zero_tiny.yaml, three to five minutes on 2 cores after the build).
# stdout is one JSON object, the results; all else goes to stderr. Arguments are the recipe's: scripts/demo.sh --seed=2 --output_dir=runs/second
. "$(dirname "$0")/common.sh"
scripts/setup.sh >&2
scripts/build.sh cpu r1 >&2
say "R1-Zero in a nutshell"
exec build/cpu/r1 run recipes/r1_zero_tiny.yaml "$@"
