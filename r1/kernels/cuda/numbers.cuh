// What kernels do with floats: fp32 arithmetic on fp32 or bf16 memory, several numbers a load, sums over a warp and a block.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "r1/base/error.h"
#include "r1/kernels/cpu/rows.h"

namespace r1::kernels::cuda {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

__device__ __forceinline__ float to_float(float x) {
  return x;
}
__device__ __forceinline__ float to_float(__nv_bfloat16 x) {
  return __bfloat162float(x);
}
template <class T>
__device__ __forceinline__ T from_float(float x);
template <>
__device__ __forceinline__ float from_float<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}

// N numbers that are read or written at once; N * sizeof(T) is 4, 8 or 16 and the address a multiple of it.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T v[N];
};
template <class T, int N>
__device__ __forceinline__ void load(const T* from, float (&to)[N]) {
  const auto pack = *reinterpret_cast<const Pack<T, N>*>(from);
#pragma unroll
  for (int i = 0; i < N; ++i) to[i] = to_float(pack.v[i]);
}
template <class T, int N>
__device__ __forceinline__ void store(T* to, const float (&from)[N]) {
  Pack<T, N> pack;
#pragma unroll
  for (int i = 0; i < N; ++i) pack.v[i] = from_float<T>(from[i]);
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}
// What is read once leaves the caches to what is read again.
template <class T, int N>
__device__ __forceinline__ Pack<T, N> load_once(const Pack<T, N>* from) {
  static_assert(sizeof(Pack<T, N>) == 16);
  const uint4 bits = __ldcs(reinterpret_cast<const uint4*>(from));
  return *reinterpret_cast<const Pack<T, N>*>(&bits);
}
__device__ __forceinline__ void prefetch_to_l2(const void* address) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(address));
}
// Numbers of T in 16 bytes.
template <class T>
constexpr int kPer16Bytes = 16 / int(sizeof(T));

// Every lane gets the result. The order of the sum depends on nothing but the lanes.
__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
  for (int offset = kWarp / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(kAllLanes, x, offset);
  return x;
}
__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
  for (int offset = kWarp / 2; offset > 0; offset /= 2) x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, offset));
  return x;
}
// Over a block of up to 1024 threads, a multiple of a warp. `scratch`: 32 floats of shared memory; may be used again at once.
__device__ __forceinline__ float block_sum(float x, float* scratch) {
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  x = warp_sum(x);
  if (lane == 0) scratch[warp] = x;
  __syncthreads();
  x = warp_sum(lane < blockDim.x / kWarp ? scratch[lane] : 0.0f);
  __syncthreads();
  return x;
}
__device__ __forceinline__ float block_max(float x, float* scratch) {
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  x = warp_max(x);
  if (lane == 0) scratch[warp] = x;
  __syncthreads();
  x = warp_max(lane < blockDim.x / kWarp ? scratch[lane] : -INFINITY);
  __syncthreads();
  return x;
}

// Calls f with a null pointer of the C++ type: f(T*).
template <class F>
void with_type(Float type, F&& f) {
  if (type == Float::kF32)
    f(static_cast<float*>(nullptr));
  else
    f(static_cast<__nv_bfloat16*>(nullptr));
}

// Whether the address and every distance given (in elements) allow 16-byte loads of T.
template <class T, class... Distances>
bool takes_16_bytes(const void* data, Distances... distances) {
  return reinterpret_cast<uintptr_t>(data) % 16 == 0 && ((int64_t(distances) % kPer16Bytes<T> == 0) && ...);
}

}  // namespace r1::kernels::cuda
