# Sourced by the other scripts: where things are, and how they talk.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export R1_DEPS=${R1_DEPS:-$HOME/.cache/r1}
export R1_MODELS=${R1_MODELS:-$R1_DEPS/models}
[ -n "${R1_DATA:-}" ] || { [ -d ../shared/data ] && R1_DATA=$(cd ../shared/data && pwd) && export R1_DATA; } || true
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$PWD} CCACHE_NOHASHDIR=1
jobs=${R1_JOBS:-$(nproc)}

say() { printf '\n== %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit "${code:-1}"; }

# The presets know where nvcc usually is; shells often do not.
find_nvcc() {
  local at
  for at in "$(command -v nvcc || true)" "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc"; do
    if [ -x "$at" ]; then echo "$at"; return 0; fi
  done
  return 1
}
