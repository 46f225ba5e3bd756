#!/usr/bin/env bash
# Set-up, build, and R1-Zero in a nutshell: a small model learns to think (recipes/demo.yaml). Its last line is one JSON object with the results.
. "$(dirname "$0")/common.sh"
scripts/setup.sh
scripts/build.sh cpu r1 >&2
[ -f recipes/demo.yaml ] || die "recipes/demo.yaml is missing"
exec build/cpu/r1 run recipes/demo.yaml "$@"
