
#include <algorithm>
#include <limits>

#include "r1/ops/blockwise_attention.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// Heads first, keys and values repeated for the heads of their group.
Tensor by_head(const Tensor& x_tKH, at::ScalarType type, int64_t heads) {
  return x_tKH.to(type).transpose(0, 1).repeat_interleave(heads / x_tKH.size(1), 0);
}

// Queries begin .. end-1 of one sequence against its keys, block by block.
Tensor attend_block(const Tensor& q_NtH, const Tensor& k_NlH, const Tensor& v_NlH, int64_t begin, double scale, int64_t block) {
  const int64_t t = q_NtH.size(1), end = begin + t;
  const auto options = q_NtH.options();
  Tensor m_Nt1 = aten::full({q_NtH.size(0), t, 1}, -std::numeric_limits<double>::infinity(), options);
  Tensor l_Nt1 = aten::zeros_like(m_Nt1), o_NtH = aten::zeros_like(q_NtH);
  for (int64_t first = 0; first < end; first += block) {
    const int64_t keys = std::min(block, end - first);
    const Tensor hidden_tb = aten::arange(first, first + keys, at::kLong).unsqueeze(0) > aten::arange(begin, end, at::kLong).unsqueeze(1);
    const Tensor scores_Ntb = (aten::matmul(q_NtH, k_NlH.narrow(1, first, keys).transpose(1, 2)) * scale)
                                  .masked_fill(hidden_tb.to(options.device()), -std::numeric_limits<double>::infinity());
    const Tensor top_Nt1 = aten::maximum(m_Nt1, scores_Ntb.amax(-1, true)).detach();  // the result does not depend on it
    const Tensor c_Nt1 = (m_Nt1 - top_Nt1).exp(), p_Ntb = (scores_Ntb - top_Nt1).exp();
    l_Nt1 = l_Nt1 * c_Nt1 + p_Ntb.sum(-1, true);
    o_NtH = o_NtH * c_Nt1 + aten::matmul(p_Ntb, v_NlH.narrow(1, first, keys));
    m_Nt1 = top_Nt1;
  }
  return o_NtH / l_Nt1;
}

}  // namespace

Tensor blockwise_attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                               int64_t block) {
  const auto wide = q_TNH.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  std::vector<Tensor> outputs;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t first = sequences.cu_seqlens[s], length = sequences.cu_seqlens[s + 1] - first, heads = q_TNH.size(1);
    const Tensor q_NtH = by_head(q_TNH.narrow(0, first, length), wide, heads);
    const Tensor k_NlH = by_head(k_TKH.narrow(0, first, length), wide, heads), v_NlH = by_head(v_TKH.narrow(0, first, length), wide, heads);
    for_each_block(length, block, [&](int64_t begin, int64_t end) {
      outputs.push_back(attend_block(q_NtH.narrow(1, begin, end - begin), k_NlH, v_NlH, begin, scale, block).transpose(0, 1));
    });
  }
  return aten::cat(outputs, 0).to(q_TNH.scalar_type());
}

}  // namespace r1::ops
