
#include <algorithm>
#include <limits>

#include "r1/ops/attention_impl.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// hidden[i, j]: the query at position first + i does not see key j.
Tensor hidden_keys(int64_t t, int64_t l, int64_t first, const Window& window, at::TensorOptions index) {
  const Tensor key_l = aten::arange(l, index).unsqueeze(0), position_t = aten::arange(first, first + t, index).unsqueeze(1);
  const Tensor future_tl = key_l > position_t;
  if (window.tokens == 0) return future_tl;
  std::vector<int64_t> width;
  for (int64_t i = 0; i < t; ++i) width.push_back(window.at(first + i));
  const Tensor width_t = aten::tensor(width, at::kLong).to(index.device()).unsqueeze(1);
  return future_tl.logical_or(key_l <= position_t - width_t);
}

// Queries at positions `first`.. against keys at positions 0..; causal. q [t, N, H], k and v [l, K, H].
Tensor attend(const Tensor& q_tNH, const Tensor& k_lKH, const Tensor& v_lKH, int64_t first, double scale, const Window& window) {
  const auto wide = q_tNH.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const int64_t t = q_tNH.size(0), l = k_lKH.size(0), repeat = q_tNH.size(1) / k_lKH.size(1);
  const Tensor q_NtH = q_tNH.to(wide).transpose(0, 1);
  const Tensor k_NlH = k_lKH.to(wide).transpose(0, 1).repeat_interleave(repeat, 0);
  const Tensor v_NlH = v_lKH.to(wide).transpose(0, 1).repeat_interleave(repeat, 0);
  const auto index = at::TensorOptions().dtype(at::kLong).device(q_tNH.device());
  const Tensor hidden_tl = hidden_keys(t, l, first, window, index);
  const Tensor scores_Ntl =
      (aten::matmul(q_NtH, k_NlH.transpose(1, 2)) * scale).masked_fill(hidden_tl, -std::numeric_limits<double>::infinity());
  return aten::matmul(aten::softmax(scores_Ntl, -1), v_NlH).transpose(0, 1).to(q_tNH.scalar_type());
}

}  // namespace

Tensor attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                     const Window& window) {
  std::vector<Tensor> outputs;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t begin = sequences.cu_seqlens[s], length = sequences.cu_seqlens[s + 1] - begin;
    const int64_t k_begin = sequences.key_rows()[s], keys = sequences.key_rows()[s + 1] - k_begin;
    outputs.push_back(attend(q_TNH.narrow(0, begin, length), k_TKH.narrow(0, k_begin, keys), v_TKH.narrow(0, k_begin, keys), keys - length,
                             scale, window));
  }
  return aten::cat(outputs, 0);
}

std::vector<KeysAndValues> append_and_gather(const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& sequences) {
  const int64_t size = sequences.block_size, heads = k_TKH.size(1), head_dim = k_TKH.size(2);
  const Tensor rows_PKH = cache.view(k_TKH.scalar_type()).view({-1, heads, head_dim});
  std::vector<KeysAndValues> all;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t begin = sequences.cu_seqlens[s], length = sequences.cu_seqlens[s + 1] - begin, context = sequences.context_lens[s];
    std::vector<int64_t> slots;
    for (int64_t p = 0; p < context + length; ++p) slots.push_back(2 * size * sequences.block_tables[s][size_t(p / size)] + p % size);
    const Tensor k_slots_l = aten::tensor(slots, at::kLong).to(cache.device()), v_slots_l = k_slots_l + size;
    rows_PKH.index_copy_(0, k_slots_l.narrow(0, context, length), k_TKH.narrow(0, begin, length));
    rows_PKH.index_copy_(0, v_slots_l.narrow(0, context, length), v_TKH.narrow(0, begin, length));
    all.push_back({rows_PKH.index_select(0, k_slots_l), rows_PKH.index_select(0, v_slots_l)});
  }
  return all;
}

Tensor paged_attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& sequences,
                           double scale, const Window& window) {
  const std::vector<KeysAndValues> cached = append_and_gather(k_TKH, v_TKH, cache, sequences);
  std::vector<Tensor> outputs;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t begin = sequences.cu_seqlens[s], length = sequences.cu_seqlens[s + 1] - begin;
    outputs.push_back(attend(q_TNH.narrow(0, begin, length), cached[s].k_lKH, cached[s].v_lKH, sequences.context_lens[s], scale, window));
  }
  return aten::cat(outputs, 0);
}

}  // namespace r1::ops
