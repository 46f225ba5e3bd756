#!/usr/bin/env bash
# Accepts the program's present commands and options as the frozen list that tests/app compares with. Read the diff before you commit it.
#   update_options.sh [path of r1]
set -euo pipefail
cd "$(dirname "$0")/.."
"${1:-build/cpu/r1}" options > tests/guard/options.txt
git --no-pager diff --stat -- tests/guard/options.txt
