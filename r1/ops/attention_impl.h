// The device's own forms of attention.h, which checks and picks. Not for other folders.
#pragma once

#include "r1/ops/attention.h"

namespace r1::ops {

// CPU fp32 and bf16 (attention_cpu.cc): kernels/cpu/attention, with its backward.
Tensor attention_cpu(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                     const Window& window);
Tensor paged_attention_cpu(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& sequences,
                           double scale, const Window& window);
int64_t paged_attention_bytes_cpu(int64_t kv_heads, int64_t head_dim, int32_t block_size, at::ScalarType dtype);

// CUDA (attention_cuda.cc): ATen's flash attention for 16 bit types, the definition for the rest.
Tensor attention_cuda(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                      const Window& window);
Tensor paged_attention_cuda(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& sequences,
                            double scale, const Window& window);
// Fills the device side of `sequences`.
void upload_sequences(at::Device device, Sequences& sequences);

}  // namespace r1::ops
