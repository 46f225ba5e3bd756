#!/usr/bin/env bash
# Builds one preset into build/<preset>; the program is build/<preset>/r1.
#   build.sh [cpu|cpu-asan|cpu-tsan|fuzz|cuda] [targets]        R1_JOBS=n: parallel compilations (default: all CPUs)
. "$(dirname "$0")/common.sh"
preset=${1:-cpu}
[ $# = 0 ] || shift
case $preset in cpu | cpu-asan | cpu-tsan | fuzz) ;; cuda)
  nvcc=$(find_nvcc) || die "the cuda preset needs the CUDA toolkit (nvcc): set CUDA_HOME"
  export CUDACXX=$nvcc ;;
*) code=2 die "unknown preset '$preset' (cpu, cpu-asan, cpu-tsan, fuzz or cuda)" ;; esac
cmake --preset "$preset" > /dev/null
# What each compilation costs (scripts/compile_times.py reads it); what comes out of the cache costs nothing.
export R1_COMPILE_TIMES=$PWD/build/$preset/compile_times.txt CCACHE_PREFIX=$PWD/scripts/timed_compile.sh
ninja -C "build/$preset" -j "$jobs" "$@"
