#include "r1/ops/mla_attention.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "r1/base/error.h"
#include "r1/kernels/cpu/attention.h"
#include "r1/ops/attention_impl.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/ops/mla_attention_impl.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

constexpr int64_t kGroupTokens = 8192;

int64_t keys_of(const Sequences& s, int64_t i) {
  return s.context_lens[size_t(i)] + s.cu_seqlens[size_t(i) + 1] - s.cu_seqlens[size_t(i)];
}

// Rows [T, W] as they stand in a cache of that type: of another dtype, or as groups of whole numbers and then their scales, as bytes.
struct Stored {
  CacheType type;
  at::ScalarType dtype;  // of the model

  bool whole() const { return type == CacheType::kInt8 || type == CacheType::kInt4; }
  int64_t group() const { return type == CacheType::kInt4 ? kernels::kInt4Group : kInt8Group; }
  int64_t group_bytes() const { return type == CacheType::kInt4 ? group() / 2 : group(); }  // and 4 for what scales them
  at::ScalarType element() const { return whole() ? at::kByte : cache_dtype(type, dtype); }
  int64_t elements(int64_t width) const { return whole() ? (width + group() - 1) / group() * (group_bytes() + 4) : width; }
  int64_t bytes(int64_t width) const { return elements(width) * int64_t(c10::elementSize(element())); }
  bool same() const { return element() == dtype; }

  Tensor from(const Tensor& rows_TW) const {
    if (!whole()) return rows_TW.to(element()).contiguous();
    if (type == CacheType::kInt4) {
      const Int4Rows rows = quantized_int4(rows_TW);
      return aten::cat({rows.number, rows.scale_and_low.flatten(1).contiguous().view(at::kByte)}, 1);
    }
    const int64_t width = rows_TW.size(1), missing = (kInt8Group - width % kInt8Group) % kInt8Group;
    const Int8Rows rows = quantized(aten::constant_pad_nd(rows_TW, {0, missing}).view({rows_TW.size(0), -1, kInt8Group}));
    return aten::cat({rows.number.flatten(1).view(at::kByte), rows.scale.flatten(1).contiguous().view(at::kByte)}, 1);
  }
  Tensor to_rows(const Tensor& stored_LE, int64_t width) const {
    if (!whole()) return stored_LE.to(dtype);
    const auto wide = dtype == at::kDouble ? at::kDouble : at::kFloat;
    const int64_t groups = stored_LE.size(1) / (group_bytes() + 4);
    const Tensor number = stored_LE.narrow(1, 0, groups * group_bytes()).contiguous();
    const Tensor scale = stored_LE.narrow(1, groups * group_bytes(), groups * 4).contiguous();
    if (type == CacheType::kInt4)
      return from_int4({number, scale.view(at::kBFloat16).view({number.size(0), groups, 2})}, width, wide).to(dtype).contiguous();
    const Tensor number_LGE = number.view(at::kChar).view({-1, groups, kInt8Group}), scale_LG = scale.view(at::kFloat);
    return (number_LGE.to(wide) * scale_LG.unsqueeze(2).to(wide)).flatten(1).narrow(1, 0, width).to(dtype).contiguous();
  }
};
Stored stored_by(const Sequences& s, at::ScalarType dtype) {
  return {s.cache_type, dtype};
}

// Where in a sequence no query of the batch looks: tokens [first, last).
std::pair<int64_t, int64_t> unseen(const Sequences& s, int64_t i) {
  if (s.kept_last == 0) return {0, 0};
  const int64_t first = std::min(s.kept_first, keys_of(s, i));
  return {first, std::max(first, s.context_lens[size_t(i)] + 1 - s.kept_last)};
}

void check_cache(const char* op, const Tensor& cache, const Sequences& s, int64_t width, at::ScalarType dtype) {
  check(s.paged(), "[", op, "] expected block tables, got none");
  const int64_t bytes = mla_cache_bytes(width, s.cache_form(), dtype);
  check(cache.dim() == 2 && cache.scalar_type() == at::kByte && cache.is_contiguous() && cache.size(1) == bytes, "[", op,
        "] expected a cache of bytes [blocks, ", bytes, "], got ", cache.scalar_type(), " ", cache.sizes());
  check(s.block_bound <= cache.size(0), "[", op, "] expected block ids below ", cache.size(0), ", got ", s.block_bound - 1);
}

// ---- CPU: rows are copied to and from their places.

// Calls visit(row of the batch's gathered or new tokens, address of its place in the cache) for positions [from, to) of sequence i.
template <class Visit>
void for_places(const Tensor& cache, const Sequences& s, int64_t i, int64_t from, int64_t to, int64_t row_bytes, const Visit& visit) {
  auto* base = static_cast<uint8_t*>(cache.mutable_data_ptr());
  const auto& table = s.block_tables[size_t(i)];
  const int64_t size = s.block_size;
  for (int64_t p = from; p < to;) {
    const int64_t run = std::min(to, (p / size + 1) * size) - p;  // what lies in one block lies together
    visit(p - from, run, base + table[size_t(p / size)] * cache.size(1) + p % size * row_bytes);
    p += run;
  }
}

// ---- other devices: a token lies in the row of the cache that Sequences calls its place.
Tensor rows_of(const Tensor& cache, int64_t width, at::ScalarType dtype) {
  return cache.view(dtype).view({-1, width});
}

std::vector<int32_t> running_sums(const Sequences& s, int64_t first, int64_t last, bool keys) {
  std::vector<int32_t> sums{0};
  for (int64_t i = first; i < last; ++i)
    sums.push_back(int32_t(sums.back() + (keys ? keys_of(s, i) : s.cu_seqlens[size_t(i) + 1] - s.cu_seqlens[size_t(i)])));
  return sums;
}

kernels::ConstHeads heads_in(const Tensor& t, int64_t row_stride = 0) {
  return {.data = t.const_data_ptr(), .type = kernel_float(t.scalar_type()), .row_stride = row_stride};
}

// Queries of sequences first .. last - 1 (rows of q_tNH) against all of their keys.
Tensor attend_cpu(const Tensor& q_tNH, const kernels::ConstHeads& k, const kernels::ConstHeads& v, int64_t kv_heads, int64_t v_dim,
                  const Sequences& s, int64_t first, int64_t last, double scale) {
  const std::vector<int32_t> cu_q = running_sums(s, first, last, false), cu_keys = running_sums(s, first, last, true);
  const Tensor q = q_tNH.contiguous();
  Tensor out_tNV = aten::empty({q.size(0), q.size(1), v_dim}, q.options());
  kernels::attention_forward({.shape = {.heads = q.size(1),
                                        .kv_heads = kv_heads,
                                        .head_dim = q.size(2),
                                        .v_dim = v_dim,
                                        .scale = float(scale),
                                        .kept_first = s.kept_first,
                                        .kept_last = s.kept_last},
                              .q = heads_in(q),
                              .k = k,
                              .v = v,
                              .out = rows(out_tNV),
                              .cu_seqlens = cu_q.data(),
                              .sequences = last - first,
                              .cu_keys = cu_keys.data()});
  return out_tNV;
}

Tensor absorbed_cpu(const Tensor& q_TNW, const Tensor& cache, const Sequences& s, int64_t latent, double scale) {
  const int64_t width = q_TNW.size(2);
  const Tensor rows_LW = mla_gather(cache, s, 0, s.count(), width, q_TNW.scalar_type());
  return attend_cpu(q_TNW, heads_in(rows_LW, width), heads_in(rows_LW, width), 1, latent, s, 0, s.count(), scale);
}

// One query a sequence: all of them padded to the longest context, as two batched products. The places come from the block tables alone;
// what lies after a sequence's end is not looked at.
Tensor absorbed_decode(const Tensor& q_SNW, const Tensor& cache, const Sequences& s, int64_t latent, double scale) {
  const int64_t width = q_SNW.size(2), count = s.count(), longest = s.max_keylen;
  const Tensor position_L = aten::arange(longest, s.cu_seqlens_dev.options().dtype(at::kLong));
  const Tensor absent_SL = position_L.unsqueeze(0) > s.context_lens_dev.unsqueeze(1);
  const Tensor block_SL = s.block_table_SM.index_select(1, aten::floor_divide(position_L, s.block_size)).to(at::kLong);
  const Tensor place_SL = block_SL * int64_t(s.block_size) + aten::remainder(position_L, s.block_size);
  const Tensor read_SL = aten::where(absent_SL, place_SL.narrow(1, 0, 1), place_SL);  // its first token: a number, whatever the cache holds
  const Tensor rows_SLW = rows_of(cache, width, q_SNW.scalar_type()).index_select(0, read_SL.flatten()).view({count, longest, width});
  const Tensor rows_SWL = rows_SLW.transpose(1, 2);
  const bool wide = q_SNW.scalar_type() == at::kFloat;  // of 16 bit types the scores are kept in fp32
  const Tensor scores_SNL = (wide ? aten::bmm(q_SNW, rows_SWL) : aten::bmm(q_SNW, rows_SWL, at::kFloat)) * scale;
  const Tensor seen_SNL = scores_SNL.masked_fill(absent_SL.unsqueeze(1), -std::numeric_limits<double>::infinity());
  return aten::bmm(aten::softmax(seen_SNL, -1).to(q_SNW.scalar_type()), rows_SLW.narrow(2, 0, latent));
}

}  // namespace

int64_t mla_cache_bytes(int64_t width, const CacheForm& form, at::ScalarType dtype) {
  return form.block_size * Stored{form.type, dtype}.bytes(width);
}

void mla_append(const Tensor& latent_TW, const Tensor& cache, const Sequences& s) {
  check(latent_TW.dim() == 2 && latent_TW.size(0) == s.tokens(), "[mla_append] expected rows [", s.tokens(), ", W], got ",
        latent_TW.sizes());
  check(!needs_grad({latent_TW}), "[mla_append] has no gradient: run the engine's forward under no_grad");
  check_cache("mla_append", cache, s, latent_TW.size(1), latent_TW.scalar_type());
  const Stored stored = stored_by(s, latent_TW.scalar_type());
  const Tensor rows_TW = stored.same() ? latent_TW.contiguous() : stored.from(latent_TW);
  const int64_t row_bytes = stored.bytes(latent_TW.size(1));
  if (cache.is_cuda() && row_bytes % 4 == 0) return mla_append_cuda(rows_TW, cache, s);
  if (!cache.is_cpu()) {
    rows_of(cache, rows_TW.size(1), rows_TW.scalar_type()).index_copy_(0, s.new_places(), rows_TW);
    return;
  }
  const auto* from = static_cast<const uint8_t*>(rows_TW.const_data_ptr());
  for (int64_t i = 0; i < s.count(); ++i) {
    const uint8_t* mine = from + s.cu_seqlens[size_t(i)] * row_bytes;
    for_places(cache, s, i, s.context_lens[size_t(i)], keys_of(s, i), row_bytes,
               [&](int64_t row, int64_t count, uint8_t* place) { std::memcpy(place, mine + row * row_bytes, size_t(count * row_bytes)); });
  }
}

Tensor mla_gather(const Tensor& cache, const Sequences& s, int64_t first, int64_t last, int64_t width, at::ScalarType dtype) {
  check_cache("mla_gather", cache, s, width, dtype);
  const std::vector<int32_t> cu_keys = running_sums(s, 0, last, true);
  const int64_t begin = cu_keys[size_t(first)], total = cu_keys.back() - begin;
  const Stored stored = stored_by(s, dtype);
  const auto begin_of = [&](int64_t i) { return cu_keys[size_t(i)] - begin; };
  if (!cache.is_cpu()) {
    const Tensor rows_LE = rows_of(cache, stored.elements(width), stored.element()).index_select(0, s.places().narrow(0, begin, total));
    const Tensor rows_LW = stored.same() ? rows_LE : stored.to_rows(rows_LE, width);
    for (int64_t i = first; i < last; ++i) {
      const auto [from, to] = unseen(s, i);
      if (to > from) rows_LW.narrow(0, begin_of(i) + from, to - from).zero_();
    }
    return rows_LW;
  }
  Tensor rows_LE = aten::empty({total, stored.elements(width)}, at::TensorOptions().dtype(stored.element()));
  const int64_t row_bytes = stored.bytes(width);
  auto* to = static_cast<uint8_t*>(rows_LE.mutable_data_ptr());
  for (int64_t i = first; i < last; ++i) {
    uint8_t* mine = to + begin_of(i) * row_bytes;
    const auto [gone, back] = unseen(s, i);
    const auto copy = [&](int64_t from, int64_t end) {
      for_places(cache, s, i, from, end, row_bytes, [&](int64_t row, int64_t count, const uint8_t* place) {
        std::memcpy(mine + (from + row) * row_bytes, place, size_t(count * row_bytes));
      });
    };
    copy(0, gone);
    std::memset(mine + gone * row_bytes, 0, size_t((back - gone) * row_bytes));
    copy(back, keys_of(s, i));
  }
  return stored.same() ? rows_LE : stored.to_rows(rows_LE, width);
}

Tensor mla_expanded(const Tensor& q_TNH, const Tensor& cache, const Sequences& s, int64_t width, const ExpandLatents& expand,
                    double scale) {
  check(q_TNH.dim() == 3 && q_TNH.size(0) == s.tokens(), "[mla_expanded] expected q [", s.tokens(), ", N, H], got ", q_TNH.sizes());
  check(!needs_grad({q_TNH}), "[mla_expanded] has no gradient: run the engine's forward under no_grad");
  const auto expanded = [&](int64_t first, int64_t last) { return expand(mla_gather(cache, s, first, last, width, q_TNH.scalar_type())); };
  if (!has_cpu_kernels(q_TNH)) {
    const auto [k_LNH, v_LNV] = expanded(0, s.count());
    const bool all_kept = s.kept_last == 0;
    return q_TNH.is_cuda() && all_kept ? context_attention_cuda(q_TNH, k_LNH, v_LNV, s, scale)
                                       : context_attention_ref(q_TNH, k_LNH, v_LNV, s, scale);
  }
  std::vector<Tensor> outputs;
  for (int64_t first = 0, last; first < s.count(); first = last) {
    int64_t tokens = keys_of(s, first);
    for (last = first + 1; last < s.count() && tokens + keys_of(s, last) <= kGroupTokens; ++last) tokens += keys_of(s, last);
    const auto [k_LNH, v_LNV] = expanded(first, last);
    const Tensor k = k_LNH.contiguous(), v = v_LNV.contiguous();
    const int64_t begin = s.cu_seqlens[size_t(first)], count = s.cu_seqlens[size_t(last)] - begin;
    outputs.push_back(attend_cpu(q_TNH.narrow(0, begin, count), heads_in(k), heads_in(v), k.size(1), v.size(2), s, first, last, scale));
  }
  return outputs.size() == 1 ? outputs[0] : aten::cat(outputs, 0);
}

Tensor mla_absorbed(const Tensor& q_TNW, const Tensor& cache, const Sequences& s, int64_t latent, double scale) {
  check(q_TNW.dim() == 3 && q_TNW.size(0) == s.tokens() && q_TNW.size(2) >= latent, "[mla_absorbed] expected q [", s.tokens(),
        ", N, W] with W of at least ", latent, ", got ", q_TNW.sizes());
  check(!needs_grad({q_TNW}), "[mla_absorbed] has no gradient: run the engine's forward under no_grad");
  check_cache("mla_absorbed", cache, s, q_TNW.size(2), q_TNW.scalar_type());
  if (has_cpu_kernels(q_TNW)) return absorbed_cpu(q_TNW, cache, s, latent, scale);
  if (s.kept_last > 0 || !stored_by(s, q_TNW.scalar_type()).same()) return mla_absorbed_ref(q_TNW, cache, s, latent, scale);
  if (has_absorbed_kernel(q_TNW, s, latent, scale)) return absorbed_cuda(q_TNW, cache, s, latent, scale);
  if (s.max_seqlen == 1 && s.tokens() == s.count() && !q_TNW.is_cpu()) return absorbed_decode(q_TNW, cache, s, latent, scale);
  return mla_absorbed_ref(q_TNW, cache, s, latent, scale);
}

Tensor with_shared_key(const Tensor& k_nope_TNC, const Tensor& r_TP) {
  check(k_nope_TNC.dim() == 3 && r_TP.dim() == 2 && r_TP.size(0) == k_nope_TNC.size(0),
        "[with_shared_key] expected k [T, N, C] and a shared key [T, P], got ", k_nope_TNC.sizes(), " and ", r_TP.sizes());
  const int64_t tokens = r_TP.size(0), heads = k_nope_TNC.size(1), own = k_nope_TNC.size(2), shared = r_TP.size(1);
  Tensor k_TNH;
  {
    const at::NoGradGuard no_grad;
    k_TNH = aten::cat({k_nope_TNC, r_TP.unsqueeze(1).expand({tokens, heads, shared})}, 2);
  }
  if (!needs_grad({k_nope_TNC, r_TP})) return k_TNH;
  return differentiable("with_shared_key", k_TNH, {k_nope_TNC, r_TP}, {},
                        [heads, own, shared](const Tensor& dk_TNH, const Tensors&, const Wanted& want) {
                          Tensor dr_TP;
                          if (want[1]) {
                            const Tensor dr_TNP = dk_TNH.narrow(2, own, shared);
                            dr_TP = dr_TNP.select(1, 0).clone();
                            for (int64_t n = 1; n < heads; ++n) dr_TP.add_(dr_TNP.select(1, n));
                          }
                          return Tensors{want[0] ? dk_TNH.narrow(2, 0, own) : Tensor(), dr_TP};
                        });
}

}  // namespace r1::ops
