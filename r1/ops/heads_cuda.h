// From tensors to what kernels/cuda/qkv_heads takes. For files of this folder.
#pragma once

#include "r1/kernels/cuda/qkv_heads.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/ops/qkv_heads.h"

namespace r1::ops {

// x [T, N, H] itself where a kernel can read it (a token's heads dense, addresses multiples of so many numbers), else a copy.
inline Tensor readable_heads(const Tensor& x_TNH, int64_t numbers = 4) {
  const bool dense = x_TNH.stride(2) == 1 && (x_TNH.size(1) == 1 || x_TNH.stride(1) == x_TNH.size(2));
  const bool aligned =
      reinterpret_cast<uintptr_t>(x_TNH.const_data_ptr()) % (numbers * x_TNH.element_size()) == 0 && x_TNH.stride(0) % numbers == 0;
  return dense && aligned ? x_TNH : x_TNH.clone(at::MemoryFormat::Contiguous);
}
// Of what readable_heads gave, or an undefined tensor.
inline kernels::cuda::ConstHeadRows const_heads(const Tensor& x_TNH) {
  if (!x_TNH.defined()) return {};
  return {.data = x_TNH.const_data_ptr(), .token_stride = x_TNH.stride(0)};
}
inline kernels::cuda::HeadRows heads(const Tensor& x_TNH) {
  if (!x_TNH.defined()) return {};
  return {.data = x_TNH.mutable_data_ptr(), .token_stride = x_TNH.stride(0)};
}

// Whether the kernel has these: fp32 or bf16 on CUDA, its head sizes, positions of one component.
bool has_heads_kernel(const Tensor& x, int64_t head_dim, const HeadNorms* norms, const RotaryTable* table, const Tensor& positions);
// The pointers live as long as the tensors do.
kernels::cuda::HeadsNorm heads_norm(const HeadNorms* norms);
kernels::cuda::HeadsRotation heads_rotation(const RotaryTable* table, const Tensor& positions);

// attention_cuda.cc: the paged form by kernels/cuda/paged_attention, for heads of this size.
bool has_paged_kernels(const Tensor& x, int64_t head_dim, int32_t block_size, double scale);
// Appends the rows, then attends. `append` says what there is of q, k and v (points into `rows`) and what is done to them; its outputs and its
// cache are filled in here. Without q in `append`, rows.q_TNH is taken as it is.
Tensor paged_by_kernels(kernels::cuda::QkvHeads append, const Qkv& rows, const Tensor& cache, const Sequences& sequences, double scale,
                        const Window& window);

}  // namespace r1::ops
