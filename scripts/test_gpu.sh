#!/usr/bin/env bash
# Builds the cuda preset and runs the tests whose names match Cuda on this machine's GPU.   test_gpu.sh [--no-build]
. "$(dirname "$0")/common.sh"
if [ "${1:-}" != --no-build ]; then
  scripts/setup.sh gpu
  scripts/build.sh cuda
fi
if ! nvidia-smi -L > /dev/null 2>&1; then
  say "SKIPPED: no GPU here (nvidia-smi finds none); the cuda preset is built"
  exit 0
fi
nvidia-smi -L
failed=()
for test in build/cuda/test_*; do
  [ -x "$test" ] && [ -f "$test" ] || continue
  "$test" --gtest_filter='*Cuda*' --gtest_brief=1 || failed+=("$(basename "$test")")
done
[ ${#failed[@]} = 0 ] || die "failed: ${failed[*]}"
say "GPU tests passed"
