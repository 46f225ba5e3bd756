
#include <limits>

#include "r1/ops/attention_impl.h"
#include "r1/ops/segment_attention.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// Queries at positions `first`.. against keys at position_l.
Tensor attend(const Tensor& q_tNH, const KeysAndValues& keys, const Tensor& bias_NB, int64_t first, double scale, const CacheForm& form) {
  const auto& [k_lKH, v_lKH, position_l, place_l] = keys;
  const auto wide = q_tNH.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const int64_t t = q_tNH.size(0), l = k_lKH.size(0), repeat = q_tNH.size(1) / k_lKH.size(1), w = (bias_NB.size(1) + 1) / 2;
  const Tensor q_NtH = q_tNH.to(wide).transpose(0, 1);
  const Tensor k_NlH = k_lKH.to(wide).transpose(0, 1).repeat_interleave(repeat, 0);
  const Tensor v_NlH = v_lKH.to(wide).transpose(0, 1).repeat_interleave(repeat, 0);
  const auto index = at::TensorOptions().dtype(at::kLong).device(q_tNH.device());
  const Tensor key_l = position_l.unsqueeze(0), position_t = aten::arange(first, first + t, index).unsqueeze(1);
  const Tensor segment_t = aten::floor_divide(position_t, w) * w, distance_tl = position_t - key_l;
  const Tensor hidden_tl = hidden_by_form(position_l, t, first, form).logical_or(key_l < segment_t - (w - 1)), own_tl = key_l >= segment_t;
  const Tensor bias_Ntl = bias_NB.to(wide).index_select(1, distance_tl.clamp(0, 2 * w - 2).flatten()).view({q_tNH.size(1), t, l});
  // The memory's keys and values are constants.
  const Tensor dots_Ntl =
      aten::where(own_tl, aten::matmul(q_NtH, k_NlH.transpose(1, 2)), aten::matmul(q_NtH, k_NlH.detach().transpose(1, 2)));
  const Tensor scores_Ntl = (dots_Ntl * scale + bias_Ntl).masked_fill(hidden_tl, -std::numeric_limits<double>::infinity());
  const Tensor p_Ntl = aten::softmax(scores_Ntl, -1);
  const Tensor out_NtH = aten::matmul(p_Ntl * own_tl, v_NlH) + aten::matmul(p_Ntl * own_tl.logical_not(), v_NlH.detach());
  return out_NtH.transpose(0, 1).to(q_tNH.scalar_type());
}

}  // namespace

Tensor segment_attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& bias_NB,
                             const Sequences& sequences, double scale) {
  std::vector<Tensor> outputs;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t begin = sequences.cu_seqlens[s], length = sequences.cu_seqlens[s + 1] - begin;
    const KeysAndValues all{k_TKH.narrow(0, begin, length), v_TKH.narrow(0, begin, length),
                            aten::arange(length, at::TensorOptions().dtype(at::kLong).device(q_TNH.device()))};
    outputs.push_back(attend(q_TNH.narrow(0, begin, length), all, bias_NB, 0, scale, {}));
  }
  return aten::cat(outputs, 0);
}

Tensor paged_segment_attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& bias_NB,
                                   const Tensor& cache, const Sequences& sequences, double scale) {
  const std::vector<KeysAndValues> cached = append_and_gather(k_TKH, v_TKH, cache, sequences);
  std::vector<Tensor> outputs;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t begin = sequences.cu_seqlens[s], length = sequences.cu_seqlens[s + 1] - begin;
    outputs.push_back(attend(q_TNH.narrow(0, begin, length), cached[s], bias_NB, sequences.context_lens[s], scale, sequences.cache_form()));
  }
  return aten::cat(outputs, 0);
}

}  // namespace r1::ops
