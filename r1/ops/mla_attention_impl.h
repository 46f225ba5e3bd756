// The parts of mla_attention.h, which checks and picks. Not for other folders.
#pragma once

#include "r1/ops/mla_attention.h"

namespace r1::ops {

// New queries q [T, N, H] against the expanded keys [L, N, H] and values [L, N, V] of all tokens, cached and new.
Tensor context_attention_ref(const Tensor& q_TNH, const Tensor& k_LNH, const Tensor& v_LNV, const Sequences& sequences, double scale);
// CUDA: ATen's flash attention for 16 bit types, the definition for the rest.
Tensor context_attention_cuda(const Tensor& q_TNH, const Tensor& k_LNH, const Tensor& v_LNV, const Sequences& sequences, double scale);
// Kernels of ours that read tables and lengths on the device (kernels/cuda): nothing that they launch depends on the contexts.
void mla_append_cuda(const Tensor& rows_TW, const Tensor& cache, const Sequences& sequences);
bool has_absorbed_kernel(const Tensor& q_TNW, const Sequences& sequences, int64_t latent, double scale);
Tensor absorbed_cuda(const Tensor& q_TNW, const Tensor& cache, const Sequences& sequences, int64_t latent, double scale);

}  // namespace r1::ops
