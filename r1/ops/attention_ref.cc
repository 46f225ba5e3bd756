
#include <algorithm>
#include <limits>

#include "r1/ops/attention_impl.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// Of the keys at these positions, which the window and the form hide from the query at position first + i.
Tensor hidden_keys(const Tensor& position_l, int64_t t, int64_t first, const Window& window, const CacheForm& form) {
  const Tensor hidden_tl = hidden_by_form(position_l, t, first, form);
  if (window.tokens == 0) return hidden_tl;
  std::vector<int64_t> before;  // the last position that is out of sight
  for (int64_t i = 0; i < t; ++i) before.push_back(first + i - window.at(first + i));
  return hidden_tl.logical_or(position_l.unsqueeze(0) <= aten::tensor(before, at::kLong).to(position_l.device()).unsqueeze(1));
}

// Queries at positions `first`.. against keys at position_l; causal. q [t, N, H], k and v [l, K, H].
Tensor attend(const Tensor& q_tNH, const KeysAndValues& keys, int64_t first, double scale, const Window& window, const CacheForm& form) {
  const auto wide = q_tNH.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const int64_t repeat = q_tNH.size(1) / keys.k_lKH.size(1);
  const Tensor q_NtH = q_tNH.to(wide).transpose(0, 1);
  const Tensor k_NlH = keys.k_lKH.to(wide).transpose(0, 1).repeat_interleave(repeat, 0);
  const Tensor v_NlH = keys.v_lKH.to(wide).transpose(0, 1).repeat_interleave(repeat, 0);
  const Tensor hidden_tl = hidden_keys(keys.position_l, q_tNH.size(0), first, window, form);
  const Tensor scores_Ntl =
      (aten::matmul(q_NtH, k_NlH.transpose(1, 2)) * scale).masked_fill(hidden_tl, -std::numeric_limits<double>::infinity());
  return aten::matmul(aten::softmax(scores_Ntl, -1), v_NlH).transpose(0, 1).to(q_tNH.scalar_type());
}

Tensor positions(int64_t first, int64_t end, at::Device device) {
  return aten::arange(first, end, at::TensorOptions().dtype(at::kLong).device(device));
}

// A sequence's places [l] in a cache of the plain layout: in one of rows of a token (int8), or of blocks of keys and then values.
struct PlainCache {
  Tensor rows_PKE;
  bool int8;
  int64_t block_size, head_dim;

  PlainCache(const Tensor& cache, const Tensor& k_TKH, const Sequences& s)
      : int8(s.cache_type == CacheType::kInt8), block_size(s.block_size), head_dim(k_TKH.size(2)) {
    const int64_t heads = k_TKH.size(1);
    rows_PKE = int8 ? cache.view({-1, heads, int8_row_bytes(head_dim)})
                    : cache.view(cache_dtype(s.cache_type, k_TKH.scalar_type())).view({-1, heads, head_dim});
  }
  int64_t place(int32_t block, int64_t offset) const { return (int8 ? 1 : 2) * block_size * block + offset; }

  void write(const Tensor& place_t, const Tensor& k_tKH, const Tensor& v_tKH) const {
    if (!int8) {
      rows_PKE.index_copy_(0, place_t, k_tKH.to(rows_PKE.scalar_type()));
      rows_PKE.index_copy_(0, place_t + block_size, v_tKH.to(rows_PKE.scalar_type()));
      return;
    }
    const Int8Rows k = quantized(k_tKH), v = quantized(v_tKH);
    rows_PKE.index_copy_(0, place_t,
                         aten::cat({k.number.view(at::kByte), v.number.view(at::kByte), k.scale.contiguous().view(at::kByte),
                                    v.scale.contiguous().view(at::kByte)},
                                   -1));
  }

  // Keys and values; int8 as what it stands for, in `wide`.
  std::pair<Tensor, Tensor> read(const Tensor& place_l, at::ScalarType wide) const {
    if (!int8) return {rows_PKE.index_select(0, place_l), rows_PKE.index_select(0, place_l + block_size)};
    const Tensor rows_lKE = rows_PKE.index_select(0, place_l);
    const auto part = [&](int64_t which) {
      const Tensor number_lKH = rows_lKE.narrow(2, which * head_dim, head_dim).contiguous().view(at::kChar);
      const Tensor scale_lK1 = rows_lKE.narrow(2, 2 * head_dim + 4 * which, 4).contiguous().view(at::kFloat);
      return number_lKH.to(wide) * scale_lK1.to(wide);
    };
    return {part(0), part(1)};
  }
};

}  // namespace

Tensor attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                     const Window& window) {
  std::vector<Tensor> outputs;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t begin = sequences.cu_seqlens[s], length = sequences.cu_seqlens[s + 1] - begin;
    const int64_t k_begin = sequences.key_rows()[s], keys = sequences.key_rows()[s + 1] - k_begin;
    const KeysAndValues all{k_TKH.narrow(0, k_begin, keys), v_TKH.narrow(0, k_begin, keys), positions(0, keys, q_TNH.device())};
    outputs.push_back(attend(q_TNH.narrow(0, begin, length), all, keys - length, scale, window, {}));
  }
  return aten::cat(outputs, 0);
}

Int8Rows quantized(const Tensor& x) {
  const Tensor wide = x.to(at::kFloat), top = wide.abs().amax({-1}, /*keepdim=*/true);
  const Tensor scale = top / aten::full_like(top, 127);  // on a GPU a mere number would be multiplied with as its reciprocal
  const Tensor good = aten::isfinite(top).logical_and(scale > 0);
  const Tensor number = aten::where(good, (wide / scale).round().clamp(-127, 127), 0).to(at::kChar);
  return {number, aten::where(aten::isfinite(top), scale, std::numeric_limits<double>::quiet_NaN()).to(at::kFloat)};
}

Tensor hidden_by_form(const Tensor& position_l, int64_t queries, int64_t first, const CacheForm& form) {
  const Tensor key_1l = position_l.unsqueeze(0), position_t1 = positions(first, first + queries, position_l.device()).unsqueeze(1);
  const Tensor future_tl = key_1l > position_t1;
  if (form.kept_last == 0) return future_tl;
  return future_tl.logical_or((key_1l >= form.kept_first).logical_and(key_1l <= position_t1 - form.kept_last));
}

std::vector<KeysAndValues> append_and_gather(const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& sequences) {
  const PlainCache plain(cache, k_TKH, sequences);
  const auto wide = k_TKH.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const CacheForm form = sequences.cache_form();
  std::vector<KeysAndValues> all;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t begin = sequences.cu_seqlens[s], length = sequences.cu_seqlens[s + 1] - begin, context = sequences.context_lens[s];
    const auto places = [&](const std::vector<int64_t>& tokens) {
      std::vector<int64_t> slots;
      for (const int64_t p : tokens)
        slots.push_back(plain.place(sequences.block_tables[s][size_t(p / form.block_size)], p % form.block_size));
      return aten::tensor(slots, at::kLong).to(cache.device());
    };
    std::vector<int64_t> added, seen;
    for (int64_t p = 0; p < context + length; ++p) {
      if (p >= context) added.push_back(p);
      if (form.kept_last == 0 || p < form.kept_first || p > context - form.kept_last) seen.push_back(p);
    }
    plain.write(places(added), k_TKH.narrow(0, begin, length), v_TKH.narrow(0, begin, length));
    auto [k_lKH, v_lKH] = plain.read(places(seen), wide);
    all.push_back({k_lKH, v_lKH, aten::tensor(seen, at::kLong).to(cache.device())});
  }
  return all;
}

Tensor paged_attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& sequences,
                           double scale, const Window& window) {
  const std::vector<KeysAndValues> cached = append_and_gather(k_TKH, v_TKH, cache, sequences);
  std::vector<Tensor> outputs;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t begin = sequences.cu_seqlens[s], length = sequences.cu_seqlens[s + 1] - begin;
    outputs.push_back(attend(q_TNH.narrow(0, begin, length), cached[s], sequences.context_lens[s], scale, window, sequences.cache_form()));
  }
  return aten::cat(outputs, 0);
}

}  // namespace r1::ops
