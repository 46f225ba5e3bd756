// The instructions below CUDA C++ that kernels use: copies to shared memory that run beside the arithmetic, 8x8 matrices from shared memory,
// and the product of 16x16 and 16x8 bf16 with sums in fp32.
//
// Where a warp holds a matrix, lane l has row l / 4 and columns 2 (l % 4) and one more of each 8x8 part, two bf16 a register:
//   A 16x16: a[0] rows 0-7, columns 0-7; a[1] rows 8-15; a[2] rows 0-7, columns 8-15; a[3] rows 8-15, columns 8-15
//   B 16x8, held transposed (row l / 4 is B's column): b[0] B's rows 0-7, b[1] B's rows 8-15
//   C 16x8: c[0], c[1] rows 0-7; c[2], c[3] rows 8-15
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace r1::kernels::cuda {

__device__ __forceinline__ uint32_t shared_address(const void* p) {
  return uint32_t(__cvta_generic_to_shared(p));
}

// 16 bytes, or 16 zero bytes where not `present`; `from` is not read then.
__device__ __forceinline__ void copy_16_async(uint32_t to_shared, const void* from, bool present) {
  const int bytes = present ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to_shared), "l"(from), "r"(bytes) : "memory");
}
__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
// Waits until no more than Open of this thread's groups of copies are under way.
template <int Open>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Open) : "memory");
}

// Four 8x8 matrices; lane l gives the address of row l % 8 of matrix l / 8.
__device__ __forceinline__ void load_matrices(uint32_t (&m)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
               : "r"(address)
               : "memory");
}
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&m)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
               : "r"(address)
               : "memory");
}
__device__ __forceinline__ uint32_t transposed(uint32_t m) {
  uint32_t t;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(t) : "r"(m));
  return t;
}

// c += a b
__device__ __forceinline__ void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Two floats as bf16 in a register, the first in its lower half.
__device__ __forceinline__ uint32_t pack_bf16(float first, float second) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

// Where 16-byte chunk `chunk` of row `row` lies in a tile of shared memory whose rows have Chunks of them, in bytes: eight rows' chunks of one
// column lie in different banks, whatever Chunks is.
template <int Chunks>
struct TileLayout {
  static_assert(Chunks % 2 == 0);
  static constexpr bool kSwizzled = Chunks % 8 == 0;
  static constexpr int kRowChunks = kSwizzled ? Chunks : Chunks + 1;  // an odd distance
  static constexpr int bytes(int rows) { return rows * kRowChunks * 16; }
  __device__ static __forceinline__ uint32_t at(int row, int chunk) {
    return uint32_t(row * kRowChunks + (kSwizzled ? chunk ^ (row & 7) : chunk)) * 16;
  }
};

}  // namespace r1::kernels::cuda
