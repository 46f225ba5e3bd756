// What the two kernels of paged_attention.h share: their arguments, what a sequence asks of them, and their launches. For those .cu files.
#pragma once

#include "r1/kernels/cpu/window.h"
#include "r1/kernels/cuda/launch.cuh"
#include "r1/kernels/cuda/numbers.cuh"
#include "r1/kernels/cuda/paged_attention.h"
#include "r1/kernels/cuda/tensor_cores.cuh"

namespace r1::kernels::cuda {

struct PagedArgs {
  const void* q;
  const uint8_t* cache;
  void* out;
  int64_t q_stride, block_bytes;
  int sequences, heads, kv_heads, group;
  int block_size;
  const int32_t *table, *cu, *context;
  int64_t table_width;
  float scale_log2;  // of scores, for powers of 2
  int window, grows_to;
  int few;  // rows of a sequence that the narrow kernel takes at most
  int* counters;
  struct {  // PagedAttention::joint
    ConstHeadRows q, k, v;
    HeadsNorm norm;
    HeadsRotation rotation;
    void* cache;
  } joint;
  float* partials;
};

// Sequence s: rows `begin`.. of q, after `context` tokens.
struct PagedRows {
  int begin, rows, context;
};
__device__ __forceinline__ PagedRows rows_of(const PagedArgs& a, int s) {
  const int begin = __ldg(a.cu + s);
  return {begin, __ldg(a.cu + s + 1) - begin, __ldg(a.context + s)};
}

// kernels/cpu/window.h on the device: the first key that the query at `position` sees.
__device__ __forceinline__ int first_seen(const PagedArgs& a, int position) {
  if (a.window <= 0) return 0;
  const int quarter = (position + 1) / 4;
  int tokens = a.window;
  if (a.grows_to > a.window && quarter > a.window) tokens = quarter < a.grows_to ? quarter : a.grows_to;
  return max(0, position - tokens + 1);
}

// exp2(m - of) where nothing was seen yet (m = -inf) is 0, also if `of` is -inf.
__device__ __forceinline__ float finite(float m) {
  return m == -INFINITY ? 0.0f : m;
}

// Its own file: the kernel on a joint projection.
void launch_joint(const PagedAttention& a, const PagedArgs& args, Stream stream);
void launch_narrow(const PagedAttention& a, const PagedArgs& args, Stream stream);
void launch_wide(const PagedAttention& a, const PagedArgs& args, Stream stream);
// Blocks of the narrow kernel that run at a time, and floats of a partial sum.
struct NarrowSizes {
  int blocks = 0;
  int64_t partial_floats = 0;
};
NarrowSizes narrow_sizes(const PagedAttention& a, int device);

}  // namespace r1::kernels::cuda
