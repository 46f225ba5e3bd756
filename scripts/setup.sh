#!/usr/bin/env bash
# Brings what the build needs to a fresh Debian 12 or Ubuntu 24.04: apt packages and libtorch 2.11.0 (unpacked from its wheel, checked by SHA-256).
# Idempotent; a second run needs no network. Downloads are kept under ${R1_DEPS:-~/.cache/r1}.
#   setup.sh          for the CPU build
#   setup.sh cuda     also checks that the CUDA toolkit is there (it is found, not installed; linking needs nothing else)
#   setup.sh gpu      also brings the 2 GB of libraries that the cuda build needs to run on a GPU
#   setup.sh parquet  also brings Arrow C++ (pyarrow's wheel, 55 MB), of which the build makes the plug-in that reads Parquet files
#   setup.sh browser  also brings Chromium, its driver and a Python environment with Selenium (the pages' tests use them if they are there)
#   setup.sh oracle   also makes the Python environment that compares with the peer libraries (tests use it if it is there)
. "$(dirname "$0")/common.sh"
what=${1:-cpu}
case $what in cpu | cuda | gpu | oracle | browser | parquet) ;; *) code=2 die "unknown argument '$what' (cpu, cuda, gpu, parquet, oracle or browser)" ;; esac

packages=(build-essential ca-certificates git cmake ninja-build ccache mold clang-format-14 python3 python3-pip python3-venv unzip
  nlohmann-json3-dev libyaml-cpp-dev libpcre2-dev libutf8proc-dev libgmp-dev libmpfr-dev libseccomp-dev
  bubblewrap libreadline-dev libssl-dev zlib1g-dev libzstd-dev libsqlite3-dev libgumbo-dev libexpat1-dev libxxhash-dev libbz2-dev liblzma-dev libcurl4-openssl-dev
  libgtest-dev libbenchmark-dev
  libbrotli-dev libcld2-0)  # the build does without these two: Brotli, a second opinion on languages
# The server is written to Boost 1.81 and later; each release of a distribution has another one.
case $(. /etc/os-release; echo "$ID$VERSION_ID") in debian12) packages+=(libboost1.81-dev) ;; *) packages+=(libboost1.83-dev) ;; esac

# Chromium on Debian; Ubuntu has it as a snap only, and its tests skip.
if [ "$what" = browser ]; then case $(. /etc/os-release; echo "$ID") in debian) packages+=(chromium chromium-driver) ;; esac; fi

install_packages() {
  local missing=() package root=()
  for package in "${packages[@]}"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  if [ ${#missing[@]} = 0 ]; then say "apt packages: all ${#packages[@]} there"; return; fi
  say "apt packages: installing ${missing[*]}"
  if [ "$(id -u)" != 0 ]; then
    command -v sudo > /dev/null || die "needs root for: apt-get install ${missing[*]}"
    root=(sudo)
  fi
  export DEBIAN_FRONTEND=noninteractive
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null < /dev/null
}

# unpack_wheels <list> <folder>: into $R1_DEPS/<folder>, whole or not at all; the list's own hash marks what lies there.
# cp312 whatever python3 is: only the C++ half is used.
unpack_wheels() {
  local list=scripts/$1 root=$R1_DEPS/$2 mark wheel tmp
  mark=$root/.$1.$(sha256sum < "$list" | cut -c1-16)
  if [ -e "$mark" ]; then say "$1: there, in $root"; return; fi
  say "$1: downloading to $R1_DEPS/wheels"
  mkdir -p "$R1_DEPS/wheels" "$root"
  tmp=$(mktemp -d "$R1_DEPS/unpack.XXXXXX")
  trap 'rm -rf "${tmp:-}"' EXIT
  python3 -m pip download -q --no-deps --require-hashes --only-binary=:all: --implementation cp --python-version 3.12 --abi cp312 --abi none \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux_2_18_x86_64 \
    --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2010_x86_64 \
    --find-links "$R1_DEPS/wheels" -d "$R1_DEPS/wheels" -r "$list"
  for wheel in $(sed -n 's/^\([a-z][^ ]*\)==\([^ ]*\) .*/\1-\2/p' "$list" | tr - _ | sed 's/_\([0-9][0-9.]*\)$/-\1/'); do
    python3 -m zipfile -e "$(ls "$R1_DEPS/wheels/$wheel"-*.whl)" "$tmp"
  done
  # Hard links, so that nothing of a half-copied set is ever seen under its final name without its content.
  cp -rlf "$tmp"/. "$root"/
  rm -rf "$tmp"
  trap - EXIT
  touch "$mark"
  say "$1: unpacked into $root ($(du -sh "$root" | cut -f1))"
}

oracle() {
  local list=tests/oracles/requirements.txt root=$R1_DEPS/oracle mark
  [ -f "$list" ] || die "$list is missing"
  mark=$root/.$(sha256sum < "$list" | cut -c1-16)
  if [ -e "$mark" ]; then say "oracle: there, in $root"; return; fi
  say "oracle: making $root (Python, about 4 GB)"
  # What is there of an earlier list stays; one that pip cannot work with is made anew.
  "$root/bin/python" -m pip install -q --no-cache-dir -r "$list" 2> /dev/null ||
    { python3 -m venv --clear "$root" && "$root/bin/python" -m pip install -q --no-cache-dir -r "$list"; }
  promtool "$root/bin" || say "no promtool; its check will be skipped"
  touch "$mark"
}

# Prometheus' checker of metrics, out of its package: nothing is installed, no daemon started.
promtool() {
  local tmp
  tmp=$(mktemp -d)
  (cd "$tmp" && apt-get download -qq prometheus > /dev/null 2>&1 && dpkg -x prometheus_*.deb . && cp usr/bin/promtool "$1") || { rm -rf "$tmp"; return 1; }
  rm -rf "$tmp"
}

browser() {
  local list=tests/browser/requirements.txt root=$R1_DEPS/browser mark
  mark=$root/.$(sha256sum < "$list" | cut -c1-16)
  if [ -e "$mark" ]; then say "browser: there, in $root"; return; fi
  say "browser: making $root"
  python3 -m venv --clear "$root"
  "$root/bin/python" -m pip install -q --no-cache-dir -r "$list"
  touch "$mark"
}

started=$SECONDS
install_packages
unpack_wheels wheels_cpu.txt libtorch-2.11.0
case $what in
  cuda) nvcc=$(find_nvcc) || die "no CUDA toolkit: install 13.0 or later, or set CUDA_HOME"
        say "CUDA: $nvcc, $("$nvcc" --version | sed -n 's/.*\(release [^,]*\),.*/\1/p')" ;;
  gpu) unpack_wheels wheels_gpu.txt libtorch-2.11.0 ;;
  parquet) unpack_wheels wheels_parquet.txt pyarrow-26.0.1 ;;
  oracle) oracle ;;
  browser) browser ;;
esac
say "set-up done in $((SECONDS - started)) s"
