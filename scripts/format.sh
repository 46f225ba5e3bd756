#!/usr/bin/env bash
# Checks the C++ files against .clang-format, or fixes them.   format.sh [check|fix]
. "$(dirname "$0")/common.sh"
tool=$(command -v clang-format-14 || command -v clang-format) || die "clang-format-14 is missing: scripts/setup.sh"
case ${1:-check} in
  check) flags=(--dry-run -Werror) ;;
  fix) flags=(-i) ;;
  *) code=2 die "unknown argument '$1' (check or fix)" ;;
esac
git ls-files -z -- '*.cc' '*.h' '*.cu' '*.cuh' | xargs -0 "$tool" "${flags[@]}"
