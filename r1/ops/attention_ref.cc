#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/floor_divide.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <limits>

#include "r1/ops/attention.h"

namespace r1::ops {

namespace {

// hidden[i, j]: the query at position first + i does not see key j.
Tensor hidden_keys(int64_t t, int64_t l, int64_t first, const Window& window, at::TensorOptions index) {
  const Tensor key_l = at::arange(l, index).unsqueeze(0), position_t = at::arange(first, first + t, index).unsqueeze(1);
  const Tensor future_tl = key_l > position_t;
  if (window.tokens == 0) return future_tl;
  Tensor width_t = at::full({t, 1}, window.tokens, index);
  if (window.grows_to > window.tokens) width_t = at::floor_divide(position_t + 1, 4).clamp(window.tokens, window.grows_to);
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
      (at::matmul(q_NtH, k_NlH.transpose(1, 2)) * scale).masked_fill(hidden_tl, -std::numeric_limits<double>::infinity());
  return at::matmul(at::softmax(scores_Ntl, -1), v_NlH).transpose(0, 1).to(q_tNH.scalar_type());
}

}  // namespace

Tensor attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                     const Window& window) {
  std::vector<Tensor> outputs;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t begin = sequences.cu_seqlens[s], length = sequences.cu_seqlens[s + 1] - begin;
    outputs.push_back(
        attend(q_TNH.narrow(0, begin, length), k_TKH.narrow(0, begin, length), v_TKH.narrow(0, begin, length), 0, scale, window));
  }
  return at::cat(outputs, 0);
}

Tensor paged_attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& sequences,
                           double scale, const Window& window) {
  const PagedSequences& paged = *sequences.paged;
  const int64_t size = paged.block_size, heads = k_TKH.size(1), head_dim = k_TKH.size(2);
  const Tensor blocks = cache.view(k_TKH.scalar_type()).view({cache.size(0), 2, size, heads, head_dim});
  std::vector<Tensor> outputs;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t begin = sequences.cu_seqlens[s], length = sequences.cu_seqlens[s + 1] - begin, context = paged.context_lens[s];
    std::vector<int64_t> table(paged.block_tables[s].begin(), paged.block_tables[s].end());
    for (int64_t i = 0; i < length; ++i) {
      const Tensor block = blocks[table[(context + i) / size]];
      block[0][(context + i) % size].copy_(k_TKH[begin + i]);
      block[1][(context + i) % size].copy_(v_TKH[begin + i]);
    }
    table.resize((context + length + size - 1) / size);
    const Tensor mine = blocks.index_select(0, at::tensor(table, at::TensorOptions().dtype(at::kLong).device(cache.device())));
    const Tensor k_lKH = mine.select(1, 0).reshape({-1, heads, head_dim}).narrow(0, 0, context + length);
    const Tensor v_lKH = mine.select(1, 1).reshape({-1, heads, head_dim}).narrow(0, 0, context + length);
    outputs.push_back(attend(q_TNH.narrow(0, begin, length), k_lKH, v_lKH, context, scale, window));
  }
  return at::cat(outputs, 0);
}

}  // namespace r1::ops
