#!/usr/bin/env bash
# The CPU kernels for 64 bit Arm, compiled with Debian's cross compiler (g++-aarch64-linux-gnu) and tested under qemu-user: on a processor with the dot
# product of 8 bit integers and on one without. An emulator is slow, so a test binary's arguments are taken: test_aarch64.sh [--gtest_filter=...]
. "$(dirname "$0")/common.sh"
command -v aarch64-linux-gnu-g++ > /dev/null && command -v qemu-aarch64 > /dev/null || { say "no cross compiler or no emulator: apt install g++-aarch64-linux-gnu qemu-user"; exit 77; }
cmake --preset aarch64 > /dev/null
ninja -C build/aarch64 -j "$jobs" test_kernels
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
for cpu in max cortex-a53; do
  say "$cpu"
  qemu-aarch64 -cpu "$cpu" -L /usr/aarch64-linux-gnu build/aarch64/test_kernels --gtest_brief=1 "${@:---gtest_filter=Packed*:Attention.*Int4*:Attention.ScoresAre*:Attention.KeptSlots*:RmsNorm*:LayerNorm*:Rope*:SwiGlu*:Elementary*:Embedding*:GemmF32*:Optimizer*}"
done
