#!/usr/bin/env bash
# Set-up, build and all tests of the cpu preset.   test.sh [ctest arguments, e.g. -R text/]
. "$(dirname "$0")/common.sh"
scripts/setup.sh
say "build"
scripts/build.sh cpu
say "tests"
# A test process each, so one thread each.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
if [ -z "${R1_ORACLE_PYTHON:-}" ] && [ -x "$R1_DEPS/oracle/bin/python" ]; then export R1_ORACLE_PYTHON=$R1_DEPS/oracle/bin/python; fi
exec ctest --test-dir build/cpu -j "$jobs" --output-on-failure --no-tests=error "$@"
