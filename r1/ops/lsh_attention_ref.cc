
#include <limits>

#include "r1/ops/lsh_attention.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// The distance of bucket b from `own` on the ring of 2^level buckets: 0, 1 (a neighbour) or 2 (further).
int ring_distance(int64_t b, int64_t own, int64_t level) {
  const int64_t n = int64_t{1} << level, d = (b - own + n) % n;
  return d == 0 ? 0 : d == 1 || d == n - 1 ? 1 : 2;
}

// hidden[h, i, j]: the query at position first + i does not see key j. Codes [t, N, R] and [l, K, R] on the CPU.
Tensor hidden_keys(const Tensor& q_codes, const Tensor& k_codes, int64_t first, const LshShape& shape) {
  const int64_t t = q_codes.size(0), heads = q_codes.size(1), l = k_codes.size(0), kv_heads = k_codes.size(1);
  const Tensor hidden = aten::ones({heads, t, l}, at::kBool);
  const int16_t *q = q_codes.const_data_ptr<int16_t>(), *k = k_codes.const_data_ptr<int16_t>();
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t i = 0; i < t; ++i) {
      bool* row = hidden.mutable_data_ptr<bool>() + (h * t + i) * l;
      const int64_t p = first + i, kv = h / (heads / kv_heads);
      int64_t level = 0;
      while (level < shape.bits && (shape.bucket << level) < p + 1) ++level;
      for (int64_t j = p; j >= 0 && j > p - shape.window; --j) row[j] = false;
      for (int64_t r = 0; r < shape.rounds; ++r) {
        const auto bucket = [&](int16_t code) { return int64_t(code) >> (shape.bits - level); };
        const int64_t own = bucket(q[(i * heads + h) * shape.rounds + r]), buckets = int64_t{1} << level;
        int64_t left[3] = {2 * shape.bucket, shape.bucket, shape.bucket};  // of itself, the bucket below, the bucket above
        for (int64_t j = p; j >= 0; --j) {
          const int64_t b = bucket(k[(j * kv_heads + kv) * shape.rounds + r]);
          if (ring_distance(b, own, level) == 2) continue;
          const int which = b == own ? 0 : b == (own + buckets - 1) % buckets ? 1 : 2;
          if (left[which]-- > 0) row[j] = false;
        }
      }
    }
  return hidden;
}

Tensor attend(const Tensor& q_tNH, const Tensor& k_lKH, const Tensor& v_lKH, const Tensor& hidden_Ntl, double scale) {
  const auto wide = q_tNH.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const int64_t repeat = q_tNH.size(1) / k_lKH.size(1);
  const Tensor q_NtH = q_tNH.to(wide).transpose(0, 1);
  const Tensor k_NlH = k_lKH.to(wide).transpose(0, 1).repeat_interleave(repeat, 0);
  const Tensor v_NlH = v_lKH.to(wide).transpose(0, 1).repeat_interleave(repeat, 0);
  const Tensor scores_Ntl = (aten::matmul(q_NtH, k_NlH.transpose(1, 2)) * scale)
                                .masked_fill(hidden_Ntl.to(q_tNH.device()), -std::numeric_limits<double>::infinity());
  return aten::matmul(aten::softmax(scores_Ntl, -1), v_NlH).transpose(0, 1).to(q_tNH.scalar_type());
}

}  // namespace

Tensor lsh_attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& q_codes_TNR,
                         const Tensor& k_codes_TKR, const Sequences& sequences, double scale, const LshShape& shape) {
  const Tensor q_codes = q_codes_TNR.cpu().contiguous(), k_codes = k_codes_TKR.cpu().contiguous();
  std::vector<Tensor> outputs;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t begin = sequences.cu_seqlens[s], length = sequences.cu_seqlens[s + 1] - begin;
    const Tensor hidden_Ntl = hidden_keys(q_codes.narrow(0, begin, length), k_codes.narrow(0, begin, length), 0, shape);
    outputs.push_back(
        attend(q_TNH.narrow(0, begin, length), k_TKH.narrow(0, begin, length), v_TKH.narrow(0, begin, length), hidden_Ntl, scale));
  }
  return aten::cat(outputs, 0);
}

// A token's bytes in the cache are k, v and codes; they are written and read as bytes.
Tensor paged_lsh_attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& q_codes_TNR,
                               const Tensor& k_codes_TKR, const Tensor& cache, const Sequences& sequences, double scale,
                               const LshShape& shape) {
  const int64_t size = sequences.block_size, tokens = k_TKH.size(0), kv_heads = k_TKH.size(1), head_dim = k_TKH.size(2);
  const auto bytes_of = [&](const Tensor& x) { return x.contiguous().view({tokens, -1}).view(at::kByte); };
  const Tensor new_TB = aten::cat({bytes_of(k_TKH), bytes_of(v_TKH), bytes_of(k_codes_TKR)}, 1);
  const int64_t kv_bytes = (new_TB.size(1) - kv_heads * shape.rounds * 2) / 2;
  const Tensor q_codes = q_codes_TNR.cpu().contiguous(), rows_PB = cache.view({-1, cache.size(1) / size});
  std::vector<Tensor> outputs;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t begin = sequences.cu_seqlens[s], length = sequences.cu_seqlens[s + 1] - begin, context = sequences.context_lens[s];
    std::vector<int64_t> slots;
    for (int64_t p = 0; p < context + length; ++p) slots.push_back(size * sequences.block_tables[s][size_t(p / size)] + p % size);
    const Tensor slots_l = aten::tensor(slots, at::kLong).to(cache.device());
    rows_PB.narrow(1, 0, new_TB.size(1)).index_copy_(0, slots_l.narrow(0, context, length), new_TB.narrow(0, begin, length));
    const Tensor mine_lB = rows_PB.index_select(0, slots_l);
    const auto part = [&](int64_t from, int64_t bytes, at::ScalarType type, int64_t last) {
      return mine_lB.narrow(1, from, bytes).contiguous().view(type).view({context + length, kv_heads, last});
    };
    const Tensor k_lKH = part(0, kv_bytes, k_TKH.scalar_type(), head_dim), v_lKH = part(kv_bytes, kv_bytes, k_TKH.scalar_type(), head_dim);
    const Tensor codes_lKR = part(2 * kv_bytes, kv_heads * shape.rounds * 2, at::kShort, shape.rounds).cpu();
    const Tensor hidden_Ntl = hidden_keys(q_codes.narrow(0, begin, length), codes_lKR, context, shape);
    outputs.push_back(attend(q_TNH.narrow(0, begin, length), k_lKH, v_lKH, hidden_Ntl, scale));
  }
  return aten::cat(outputs, 0);
}

}  // namespace r1::ops
