#!/bin/sh
# wait_policy.sh R1: the program's OpenMP threads spin only briefly when they wait, unless the user says otherwise, and nothing else about it changes.
set -u
r1=$1
unset OMP_WAIT_POLICY GOMP_SPINCOUNT
failures=0
expect() {  # expect WHAT WANTED GOT
  [ "$2" = "$3" ] && return
  echo "$1: expected '$2', got '$3'"
  failures=$((failures + 1))
}
# As OpenMP read it.
setting() { env OMP_DISPLAY_ENV=verbose "$@" "$r1" --version 2>&1 | sed -n "s/.*GOMP_SPINCOUNT = '\(.*\)'/\1/p"; }

expect "spins by default" 1000 "$(setting A=b)"
expect "the user's spins" 123 "$(setting GOMP_SPINCOUNT=123)"
expect "the user's policy" 0 "$(setting OMP_WAIT_POLICY=passive)"
# Arguments (blanks too) and exit codes arrive.
"$r1" "no such command" "" >/dev/null 2>&1
expect "exit code" 2 $?
expect "arguments" 1 "$("$r1" "no  such" 2>&1 | grep -c 'no  such')"
exit $((failures > 0))
