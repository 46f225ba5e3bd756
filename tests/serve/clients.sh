#!/usr/bin/env bash
# clients.py with the Python of scripts/setup.sh oracle and SmolLM2; 77, which ctest takes for a skip, where one of them is not there.
set -euo pipefail
r1=$1
python=${R1_ORACLE_PYTHON:-${R1_DEPS:-$HOME/.cache/r1}/oracle/bin/python}
model=${R1_MODELS:-${R1_DEPS:-$HOME/.cache/r1}/models}/smollm2-135m-instruct-q4_1.gguf
[ -x "$python" ] || { echo "skipped: no $python (scripts/setup.sh oracle)"; exit 77; }
[ -f "$model" ] || { echo "skipped: no SmolLM2 in R1_MODELS"; exit 77; }
exec "$python" "$(dirname "$0")/clients.py" "$r1" "$model"
