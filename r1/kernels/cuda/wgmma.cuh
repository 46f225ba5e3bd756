// Hopper's products by four warps together (PTX ISA, "wgmma"): D[64, N] += A[64, 16] B[16, N], bf16, sums in fp32, which run beside the warps'
// other work.
//
// A lies in registers: warp w of the four holds rows 16 w .. 16 w + 15 as tensor_cores.cuh has a 16x16 matrix. D: d[4 b .. 4 b + 3] is the 16x8
// matrix C of columns 8 b .. 8 b + 7. B lies in shared memory transposed, a row of 64 columns (128 bytes) for each of its columns, rows in tiles
// of eight (1024 bytes, at a multiple of that) whose 16-byte chunks stand at place chunk ^ row % 8 (the 128-byte swizzle).
#pragma once

#include <cstdint>

namespace r1::kernels::cuda {

// Of a tile at this address of shared memory; step k16 of its 64 columns is 2 further on.
__device__ __forceinline__ uint64_t wgmma_tile(uint32_t shared_address) {
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62, kEightRows = uint64_t{1024 / 16} << 32;
  return kSwizzle128 | kEightRows | uint64_t{1} << 16 | ((shared_address & 0x3ffff) >> 4);
}
// Shared memory written by ordinary stores or copies, for products to read.
__device__ __forceinline__ void make_visible_to_wgmma() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
// Before the first product after registers of A or D were written.
__device__ __forceinline__ void wgmma_begin() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
// Until no more than Open groups of them are under way.
template <int Open>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Open) : "memory");
}
// The compiler does not know that products write D later: what follows reads it after this.
template <int Count>
__device__ __forceinline__ void wgmma_written(float (&d)[Count]) {
#pragma unroll
  for (int i = 0; i < Count; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

#define R1_D4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define R1_D16(i) R1_D4(i), R1_D4(i + 4), R1_D4(i + 8), R1_D4(i + 12)
#define R1_INPUTS "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add)

// d = a b + (add ? d : 0)
__device__ __forceinline__ void wgmma(float (&d)[4], const uint32_t (&a)[4], uint64_t b, int add) {
  asm volatile(
      "{.reg .pred p; setp.ne.b32 p, %9, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0,%1,%2,%3}, {%4,%5,%6,%7}, %8, p, 1, 1, 0;}\n"
      : R1_D4(0)
      : R1_INPUTS);
}
__device__ __forceinline__ void wgmma(float (&d)[8], const uint32_t (&a)[4], uint64_t b, int add) {
  asm volatile(
      "{.reg .pred p; setp.ne.b32 p, %13, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {%0,%1,%2,%3,%4,%5,%6,%7}, {%8,%9,%10,%11}, %12, p, 1, 1, 0;}\n"
      : R1_D4(0), R1_D4(4)
      : R1_INPUTS);
}
__device__ __forceinline__ void wgmma(float (&d)[16], const uint32_t (&a)[4], uint64_t b, int add) {
  asm volatile(
      "{.reg .pred p; setp.ne.b32 p, %21, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, "
      "{%16,%17,%18,%19}, %20, p, 1, 1, 0;}\n"
      : R1_D16(0)
      : R1_INPUTS);
}
__device__ __forceinline__ void wgmma(float (&d)[32], const uint32_t (&a)[4], uint64_t b, int add) {
  asm volatile(
      "{.reg .pred p; setp.ne.b32 p, %37, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
      "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}, {%32,%33,%34,%35}, %36, p, 1, 1, 0;}\n"
      : R1_D16(0), R1_D16(16)
      : R1_INPUTS);
}
__device__ __forceinline__ void wgmma(float (&d)[64], const uint32_t (&a)[4], uint64_t b, int add) {
  asm volatile(
      "{.reg .pred p; setp.ne.b32 p, %69, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
      "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"
      "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}, {%64,%65,%66,%67}, %68, p, 1, 1, 0;}\n"
      : R1_D16(0), R1_D16(16), R1_D16(32), R1_D16(48)
      : R1_INPUTS);
}

#undef R1_D4
#undef R1_D16
#undef R1_INPUTS

}  // namespace r1::kernels::cuda
