#!/usr/bin/env bash
# A compilation and what it cost: runs its arguments and appends "<CPU seconds> <object>" to $R1_COMPILE_TIMES. ccache calls it (CCACHE_PREFIX) for
# what it has to compile; CPU seconds, because wall time on a busy machine says nothing.
object=
for ((i = 1; i < $#; i++)); do [ "${!i}" != -o ] || { j=$((i + 1)); object=${!j}; }; done
"$@"
code=$?
# The second line of `times` is that of the children: "0m1.234s 0m0.050s".
times > "$R1_COMPILE_TIMES.$$"
awk -v object="$object" 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); s += t[1] * 60 + t[2] } printf "%.2f %s\n", s, object }' \
  "$R1_COMPILE_TIMES.$$" >> "$R1_COMPILE_TIMES"
rm -f "$R1_COMPILE_TIMES.$$"
exit $code
