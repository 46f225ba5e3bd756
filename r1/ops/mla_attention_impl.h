// The parts of mla_attention.h, which checks and picks. Not for other folders.
#pragma once

#include "r1/ops/mla_attention.h"

namespace r1::ops {

// New queries q [T, N, H] against the expanded keys [L, N, H] and values [L, N, V] of all tokens, cached and new.
Tensor context_attention_ref(const Tensor& q_TNH, const Tensor& k_LNH, const Tensor& v_LNV, const Sequences& sequences, double scale);
// CUDA: ATen's flash attention for 16 bit types, the definition for the rest.
Tensor context_attention_cuda(const Tensor& q_TNH, const Tensor& k_LNH, const Tensor& v_LNV, const Sequences& sequences, double scale);

}  // namespace r1::ops
