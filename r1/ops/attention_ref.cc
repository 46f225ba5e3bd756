
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

// Queries at positions `first`.. against keys at position_l; causal. q [t, N, H], k and v [l, K, H]. score_lK: to be set to what each key got of all
// queries; null: not wanted.
Tensor attend(const Tensor& q_tNH, const KeysAndValues& keys, int64_t first, double scale, const Window& window, const CacheForm& form,
              Tensor* score_lK = nullptr) {
  const auto wide = q_tNH.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const int64_t repeat = q_tNH.size(1) / keys.k_lKH.size(1);
  const Tensor q_NtH = q_tNH.to(wide).transpose(0, 1);
  const Tensor k_NlH = keys.k_lKH.to(wide).transpose(0, 1).repeat_interleave(repeat, 0);
  const Tensor v_NlH = keys.v_lKH.to(wide).transpose(0, 1).repeat_interleave(repeat, 0);
  const Tensor hidden_tl = hidden_keys(keys.position_l, q_tNH.size(0), first, window, form);
  const Tensor scores_Ntl =
      (aten::matmul(q_NtH, k_NlH.transpose(1, 2)) * scale).masked_fill(hidden_tl, -std::numeric_limits<double>::infinity());
  const Tensor shares_Ntl = aten::softmax(scores_Ntl, -1);
  if (score_lK) *score_lK = shares_Ntl.sum(1).view({-1, repeat, shares_Ntl.size(2)}).sum(1).t().to(at::kFloat);
  return aten::matmul(shares_Ntl, v_NlH).transpose(0, 1).to(q_tNH.scalar_type());
}

Tensor positions(int64_t first, int64_t end, at::Device device) {
  return aten::arange(first, end, at::TensorOptions().dtype(at::kLong).device(device));
}

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

Tensor mixed(const Tensor& x) {
  const int64_t count = x.size(-1), size = kernels::mix_size(count);
  Tensor y = x.contiguous();
  for (int64_t half = 1; half < size; half *= 2) {
    const Tensor pairs = y.view({y.numel() / (2 * half), 2, half}), a = pairs.select(1, 0), b = pairs.select(1, 1);
    y = aten::stack({a + b, a - b}, 1).view(x.sizes());
  }
  return y;
}

Int4Rows quantized_int4(const Tensor& x) {
  const int64_t missing = (kernels::kInt4Group - x.size(-1) % kernels::kInt4Group) % kernels::kInt4Group;
  Tensor wide = x.to(at::kFloat);
  if (missing > 0) {  // by the last number, which changes neither end of its group
    std::vector<int64_t> more = wide.sizes().vec();
    more.back() = missing;
    wide = aten::cat({wide, wide.narrow(-1, x.size(-1) - 1, 1).expand(more)}, -1);
  }
  std::vector<int64_t> grouped = wide.sizes().vec(), bytes = grouped;
  grouped.back() /= kernels::kInt4Group, bytes.back() /= 2;
  grouped.push_back(kernels::kInt4Group);
  const Tensor groups = wide.reshape(grouped), least = groups.amin({-1}, true), most = groups.amax({-1}, true);
  Tensor low = least.to(at::kBFloat16);
  const Tensor range = (most - low.to(at::kFloat)).clamp_min(0);
  Tensor scale = (range / aten::full_like(range, 15)).to(at::kBFloat16);
  const Tensor step = scale.to(at::kFloat), from = low.to(at::kFloat);
  const Tensor finite = aten::isfinite(groups).all(-1, true).logical_and(aten::isfinite(step));
  const Tensor good = finite.logical_and(step > 0);
  const Tensor number = aten::where(good, ((groups - from) / step).round().clamp(0, 15), 0).to(at::kByte);
  scale = aten::where(finite, scale.to(at::kFloat), std::numeric_limits<double>::quiet_NaN()).to(at::kBFloat16);
  low = aten::where(finite, low.to(at::kFloat), std::numeric_limits<double>::quiet_NaN()).to(at::kBFloat16);
  const Tensor packed = number.narrow(-1, 0, 16) + number.narrow(-1, 16, 16) * 16;
  return {packed.reshape(bytes), aten::cat({scale, low}, -1)};
}

Tensor from_int4(const Int4Rows& rows, int64_t count, at::ScalarType wide) {
  std::vector<int64_t> grouped = rows.number.sizes().vec(), flat = grouped;
  grouped.back() /= kernels::kInt4Group / 2, flat.back() *= 2;
  grouped.push_back(kernels::kInt4Group / 2);
  const Tensor bytes = rows.number.reshape(grouped).to(at::kInt), upper = aten::floor_divide(bytes, 16);
  const Tensor number = aten::cat({bytes - upper * 16, upper}, -1).to(at::kFloat);
  const Tensor both = rows.scale_and_low.to(at::kFloat);
  // A product of 8 and 4 bits is exact, so this is rounded once, like the kernels' fma.
  return (number * both.narrow(-1, 0, 1) + both.narrow(-1, 1, 1)).reshape(flat).narrow(-1, 0, count).to(wide);
}

bool has_row_layout(const CacheForm& form) {
  return form.type == CacheType::kInt8 || form.type == CacheType::kInt4 || form.budget > 0;
}

namespace {

int64_t groups_of(int64_t head_dim) {
  return (head_dim + kernels::kInt4Group - 1) / kernels::kInt4Group;
}
// Of a key or a value in a row.
int64_t number_bytes(CacheType type, int64_t head_dim, at::ScalarType of_model) {
  if (type == CacheType::kInt8) return head_dim;
  if (type == CacheType::kInt4) return groups_of(head_dim) * kernels::kInt4Group / 2;
  return head_dim * int64_t(c10::elementSize(cache_dtype(type, of_model)));
}
int64_t scale_bytes(CacheType type, int64_t head_dim) {
  return type == CacheType::kInt8 || type == CacheType::kInt4 ? 4 * (type == CacheType::kInt4 ? groups_of(head_dim) : 1) : 0;
}
Tensor as_bytes(const Tensor& x) {
  return x.contiguous().view(at::kByte);
}

}  // namespace

int64_t row_bytes(const CacheForm& form, int64_t head_dim, at::ScalarType of_model) {
  return 2 * (number_bytes(form.type, head_dim, of_model) + scale_bytes(form.type, head_dim)) + (form.budget > 0 ? 4 : 0);
}

PlainCache::PlainCache(const Tensor& cache, const CacheForm& form, int64_t heads, int64_t head_dim, at::ScalarType dtype)
    : form(form), head_dim(head_dim), dtype(dtype) {
  rows_PKE = rows() ? cache.view({-1, heads, row_bytes(form, head_dim, dtype)})
                    : cache.view(cache_dtype(form.type, dtype)).view({-1, heads, head_dim});
}

Tensor PlainCache::places(std::span<const int32_t> blocks, const std::vector<int64_t>& tokens) const {
  std::vector<int64_t> places;
  for (const int64_t t : tokens)
    places.push_back((rows() ? 1 : 2) * form.block_size * blocks[size_t(t / form.block_size)] + t % form.block_size);
  return aten::tensor(places, at::kLong).to(rows_PKE.device());
}

void PlainCache::write(const Tensor& place_t, const Tensor& k_tKH, const Tensor& v_tKH) const {
  if (!rows()) {
    rows_PKE.index_copy_(0, place_t, k_tKH.to(rows_PKE.scalar_type()));
    rows_PKE.index_copy_(0, place_t + form.block_size, v_tKH.to(rows_PKE.scalar_type()));
    return;
  }
  std::vector<Tensor> parts;
  if (form.type == CacheType::kInt8) {
    const Int8Rows k = quantized(k_tKH), v = quantized(v_tKH);
    parts = {as_bytes(k.number), as_bytes(v.number), as_bytes(k.scale), as_bytes(v.scale)};
  } else if (form.type == CacheType::kInt4) {
    const Int4Rows k = quantized_int4(mixed(k_tKH.to(at::kFloat))), v = quantized_int4(v_tKH);
    parts = {k.number, v.number, as_bytes(k.scale_and_low).flatten(2), as_bytes(v.scale_and_low).flatten(2)};
  } else {
    const auto type = cache_dtype(form.type, dtype);
    parts = {as_bytes(k_tKH.to(type)), as_bytes(v_tKH.to(type))};
  }
  if (form.budget > 0) parts.push_back(aten::zeros({k_tKH.size(0), k_tKH.size(1), 4}, parts[0].options()));
  rows_PKE.index_copy_(0, place_t, aten::cat(parts, -1));
}

std::pair<Tensor, Tensor> PlainCache::read(const Tensor& place_l, at::ScalarType wide) const {
  if (!rows()) return {rows_PKE.index_select(0, place_l), rows_PKE.index_select(0, place_l + form.block_size)};
  const Tensor rows_lKE = rows_PKE.index_select(0, place_l);
  const int64_t numbers = number_bytes(form.type, head_dim, dtype), scales = scale_bytes(form.type, head_dim);
  const auto part = [&](int64_t which) {
    const Tensor number = rows_lKE.narrow(2, which * numbers, numbers).contiguous();
    const Tensor scale = rows_lKE.narrow(2, 2 * numbers + which * scales, scales).contiguous();
    if (form.type == CacheType::kInt8) return number.view(at::kChar).to(wide) * scale.view(at::kFloat).to(wide);
    if (form.type != CacheType::kInt4) return number.view(cache_dtype(form.type, dtype));
    const Tensor both = scale.view(at::kBFloat16).view({number.size(0), number.size(1), groups_of(head_dim), 2}),
                 x = from_int4({number, both}, head_dim, wide);
    return which == 0 ? mixed(x) / double(kernels::mix_size(head_dim)) : x;
  };
  return {part(0), part(1)};
}

Tensor PlainCache::scores(const Tensor& place_l) const {
  const Tensor rows_lKE = rows_PKE.index_select(0, place_l);
  return rows_lKE.narrow(2, rows_lKE.size(2) - 4, 4).contiguous().view(at::kFloat).squeeze(2);
}

void PlainCache::add_scores(const Tensor& place_l, const Tensor& score_lK) const {
  const Tensor sum_lK1 = (scores(place_l) + score_lK).unsqueeze(2);
  rows_PKE.narrow(2, rows_PKE.size(2) - 4, 4).index_copy_(0, place_l, as_bytes(sum_lK1));
}

Tensor hidden_by_form(const Tensor& position_l, int64_t queries, int64_t first, const CacheForm& form) {
  const Tensor key_1l = position_l.unsqueeze(0), position_t1 = positions(first, first + queries, position_l.device()).unsqueeze(1);
  const Tensor future_tl = key_1l > position_t1;
  if (form.kept_last == 0) return future_tl;
  return future_tl.logical_or((key_1l >= form.kept_first).logical_and(key_1l <= position_t1 - form.kept_last));
}

std::vector<KeysAndValues> append_and_gather(const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& sequences,
                                             const KeyBias* bias) {
  const CacheForm form = sequences.cache_form();
  const PlainCache plain(cache, form, k_TKH.size(1), k_TKH.size(2), k_TKH.scalar_type());
  const auto wide = k_TKH.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  std::vector<KeysAndValues> all;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t begin = sequences.cu_seqlens[s], length = sequences.cu_seqlens[s + 1] - begin, context = sequences.context_lens[s];
    std::vector<int64_t> added, seen;
    for (int64_t p = 0; p < context + length; ++p) {
      if (p >= context) added.push_back(p);
      if (form.kept_last == 0 || p < form.kept_first || p > context - form.kept_last) seen.push_back(p);
    }
    const auto& blocks = sequences.block_tables[s];
    Tensor new_tKH = k_TKH.narrow(0, begin, length);
    if (bias) new_tKH = new_tKH.to(wide) - rotated_bias(*bias, sequences.positions_T.narrow(0, begin, length)).to(wide);
    plain.write(plain.places(blocks, added), new_tKH, v_TKH.narrow(0, begin, length));
    const Tensor place_l = plain.places(blocks, seen);
    auto [k_lKH, v_lKH] = plain.read(place_l, wide);
    if (bias) k_lKH = k_lKH + rotated_bias(*bias, aten::tensor(seen, at::kLong).to(cache.device(), at::kInt)).to(wide);
    all.push_back({k_lKH, v_lKH, aten::tensor(seen, at::kLong).to(cache.device()), place_l});
  }
  return all;
}

Tensor paged_attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& sequences,
                           double scale, const Window& window, const KeyBias* bias) {
  const std::vector<KeysAndValues> cached = append_and_gather(k_TKH, v_TKH, cache, sequences, bias);
  const CacheForm form = sequences.cache_form();
  std::vector<Tensor> outputs;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t begin = sequences.cu_seqlens[s], length = sequences.cu_seqlens[s + 1] - begin;
    Tensor score_lK;
    outputs.push_back(attend(q_TNH.narrow(0, begin, length), cached[s], sequences.context_lens[s], scale, window, form,
                             form.budget > 0 ? &score_lK : nullptr));
    if (form.budget > 0) PlainCache(cache, form, k_TKH.size(1), k_TKH.size(2), k_TKH.scalar_type()).add_scores(cached[s].place_l, score_lK);
  }
  return aten::cat(outputs, 0);
}

}  // namespace r1::ops
