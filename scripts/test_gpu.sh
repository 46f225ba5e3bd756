#!/usr/bin/env bash
# Runs the tests whose names match Cuda on this machine's GPU and says of each program what ran, was skipped and failed.   test_gpu.sh [--no-build]
# Sets up and builds the cuda preset first, unless --no-build is given or the tests were built elsewhere: build/cuda/test_* are there and
# LD_LIBRARY_PATH says where libtorch and CUDA's libraries lie. Such a machine needs no registry, no compiler and no CUDA toolkit.
# Where there is a GPU, a test that skips itself for want of one is a failure: libtorch does not see it.
. "$(dirname "$0")/common.sh"
case ${1:-} in '' | --no-build) ;; *) code=2 die "unknown argument '$1' (--no-build)" ;; esac
limit=${R1_TEST_SECONDS:-600} # of one test program

tests() { find build/cuda -maxdepth 1 -type f -name 'test_*' -perm -u+x 2> /dev/null | sort; }
if [ "${1:-}" = --no-build ]; then
  say "not built here (--no-build)"
elif [ -n "$(tests)" ] && [ -n "${LD_LIBRARY_PATH:-}" ]; then
  say "not built here: build/cuda has tests and LD_LIBRARY_PATH is set (unset it to build)"
else
  scripts/setup.sh gpu
  scripts/build.sh cuda
fi
[ -n "$(tests)" ] || die "no tests in build/cuda: build them with scripts/build.sh cuda"
if ! nvidia-smi -L > /dev/null 2>&1; then
  say "SKIPPED: no GPU here (nvidia-smi finds none); build/cuda has the tests"
  exit 0
fi
nvidia-smi -L

# names <OK|SKIPPED|FAILED> <log>: the tests of which gtest said so, once each.
names() { sed -nE "s/^\[ +$1 +\] (.*) \([0-9]+ ms\)\$/\1/p" "$2"; }
ran=0 skipped=0 failed=()
run_test() {
  local test=$1 name log missing rc=0 ok bad skips
  name=$(basename "$test") log=$test.cuda.log
  missing=$(ldd "$test" 2> /dev/null | sed -n 's/^[[:space:]]*\(.*\) => not found.*/\1/p' | tr '\n' ' ' || true)
  if [ -n "$missing" ]; then
    failed+=("$name")
    say "$name: CANNOT START, LD_LIBRARY_PATH lacks the folder of $missing"
    return
  fi
  timeout "$limit" "$test" --gtest_filter='*Cuda*' > "$log" 2>&1 || rc=$?
  ok=$(names OK "$log" | wc -l) skips=$(names SKIPPED "$log") bad=$(names FAILED "$log")
  ran=$((ran + ok + $(grep -c . <<< "$bad" || true))) skipped=$((skipped + $(grep -c . <<< "$skips" || true)))
  local what="$ok passed${skips:+; skipped: ${skips//$'\n'/, }}${bad:+; failed: ${bad//$'\n'/, }}"
  if grep -q 'no CUDA device' "$log"; then
    failed+=("$name")
    say "$name: FAILED, libtorch does not see the GPU: $what"
  elif [ "$rc" = 0 ]; then
    say "$name: $what"
  else
    failed+=("$name")
    say "$name: FAILED, exit code $rc$([ "$rc" != 124 ] || echo " (stopped after $limit s)"): $what"
    grep -vE '^\[ +(RUN|OK) +\]' "$log" | tail -60 >&2 || true
    [ "$rc" -le 1 ] || say "the last to start: $(sed -nE 's/^\[ +RUN +\] //p' "$log" | tail -1)"
  fi
}
for test in $(tests); do run_test "$test"; done
say "GPU tests: $ran ran, $skipped skipped; programs that failed: ${failed[*]:-none} (whole output: build/cuda/*.cuda.log)"
[ ${#failed[@]} = 0 ] || exit 1
[ "$ran" -gt 0 ] || die "no Cuda test ran"
