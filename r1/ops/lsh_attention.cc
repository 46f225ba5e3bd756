#include "r1/ops/lsh_attention.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/kernels/cpu/lsh_attention.h"
#include "r1/ops/attention_impl.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/ops/linear.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

constexpr int64_t kMostBits = 15;
constexpr int64_t kCodedTokens = 1024;

void check_lsh(const char* op, const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& q_codes_TNR,
               const Tensor& k_codes_TKR, const Sequences& sequences, const LshShape& shape) {
  check(v_TKH.sizes() == k_TKH.sizes(), "[", op, "] expected values of the keys' shape ", k_TKH.sizes(), ", got ", v_TKH.sizes());
  check(shape.rounds > 0 && shape.bucket > 0 && shape.window > 0 && shape.bits >= 0 && shape.bits <= kMostBits, "[", op,
        "] expected rounds, bucket, window > 0 and 0 to 15 bits, got ", shape.rounds, ", ", shape.bucket, ", ", shape.window, ", ",
        shape.bits);
  const std::vector<int64_t> q_shape{q_TNH.size(0), q_TNH.size(1), shape.rounds}, k_shape{k_TKH.size(0), k_TKH.size(1), shape.rounds};
  check(q_codes_TNR.sizes() == at::IntArrayRef(q_shape) && k_codes_TKR.sizes() == at::IntArrayRef(k_shape) &&
            q_codes_TNR.scalar_type() == at::kShort && k_codes_TKR.scalar_type() == at::kShort,
        "[", op, "] expected int16 codes ", at::IntArrayRef(q_shape), " and ", at::IntArrayRef(k_shape), ", got ",
        q_codes_TNR.scalar_type(), " ", q_codes_TNR.sizes(), " and ", k_codes_TKR.scalar_type(), " ", k_codes_TKR.sizes());
  check(sequences.cu_keylens.empty(), "[", op, "] expected as many keys as queries in the training form");
}

kernels::LshShape kernel_shape(const Tensor& q, const Tensor& k, double scale, const LshShape& s) {
  return {.heads = q.size(1),
          .kv_heads = k.size(1),
          .head_dim = q.size(2),
          .v_dim = q.size(2),
          .scale = float(scale),
          .rounds = s.rounds,
          .bits = s.bits,
          .bucket = s.bucket,
          .window = s.window};
}

// From Gray to binary: a bit is the parity of the signs up to it. products [rows, rounds * bits] -> [rows, rounds].
Tensor codes_of_signs(const Tensor& products, int64_t rounds) {
  const int64_t rows = products.size(0), bits = products.size(1) / rounds;
  if (has_cpu_kernels(products)) {
    const Tensor codes = aten::empty({rows, rounds}, products.options().dtype(at::kShort));
    kernels::lsh_codes(products.const_data_ptr<float>(), rows * rounds, bits, codes.mutable_data_ptr<int16_t>());
    return codes;
  }
  const Tensor parity = aten::remainder(aten::cumsum((products > 0).view({rows, rounds, bits}), -1), 2);
  const Tensor weight = aten::pow(2, aten::arange(bits - 1, -1, -1, parity.options()));
  return (parity * weight).sum(-1).to(at::kShort);
}

Tensors backward(const Tensor& dout, const Tensors& saved, const Sequences& sequences, double scale, const LshShape& shape) {
  const Tensor &q = saved[0], &k = saved[1], &v = saved[2], dout_TNH = dout.contiguous();
  const Tensor dq = aten::empty_like(q), dk = aten::empty_like(k), dv = aten::empty_like(v);
  kernels::lsh_attention_backward({.shape = kernel_shape(q, k, scale, shape),
                                   .q = const_rows(q),
                                   .k = const_rows(k),
                                   .v = const_rows(v),
                                   .out = const_rows(saved[3]),
                                   .q_codes = saved[5].const_data_ptr<int16_t>(),
                                   .k_codes = saved[6].const_data_ptr<int16_t>(),
                                   .lse = saved[4].const_data_ptr<float>(),
                                   .dout = const_rows(dout_TNH),
                                   .dq = rows(dq),
                                   .dk = rows(dk),
                                   .dv = rows(dv),
                                   .cu_seqlens = sequences.cu_seqlens.data(),
                                   .sequences = sequences.count()});
  return {dq, dk, dv};
}

Tensor lsh_attention_cpu(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& q_codes_TNR,
                         const Tensor& k_codes_TKR, const Sequences& sequences, double scale, const LshShape& shape) {
  const bool graph = needs_grad({q_TNH, k_TKH, v_TKH});
  Tensor q, k, v, lse_TN, out_TNH;
  const Tensor q_codes = q_codes_TNR.contiguous(), k_codes = k_codes_TKR.contiguous();
  {
    const at::NoGradGuard no_grad;
    q = q_TNH.contiguous(), k = k_TKH.contiguous(), v = v_TKH.contiguous();
    out_TNH = aten::empty_like(q);
    if (graph) lse_TN = aten::empty({q.size(0), q.size(1)}, q.options().dtype(at::kFloat));
    kernels::lsh_attention_forward({.shape = kernel_shape(q, k, scale, shape),
                                    .q = const_rows(q),
                                    .k = const_rows(k),
                                    .v = const_rows(v),
                                    .q_codes = q_codes.const_data_ptr<int16_t>(),
                                    .k_codes = k_codes.const_data_ptr<int16_t>(),
                                    .out = rows(out_TNH),
                                    .lse = graph ? lse_TN.mutable_data_ptr<float>() : nullptr,
                                    .cu_seqlens = sequences.cu_seqlens.data(),
                                    .sequences = sequences.count()});
  }
  if (!graph) return out_TNH;
  return differentiable("lsh_attention", out_TNH, {q_TNH, k_TKH, v_TKH}, {q, k, v, out_TNH, lse_TN, q_codes, k_codes},
                        [sequences, scale, shape](const Tensor& dout, const Tensors& saved, const Wanted&) {
                          return backward(dout, saved, sequences, scale, shape);
                        });
}

}  // namespace

int64_t lsh_bits(int64_t positions, int64_t bucket) {
  int64_t bits = 0;
  while (bits < kMostBits && (bucket << bits) < positions) ++bits;
  return bits;
}

Tensor lsh_directions(int64_t head_dim, const LshShape& shape, uint64_t seed, at::Device device) {
  const Tensor directions = aten::empty({shape.rounds * shape.bits, head_dim}, at::kFloat);
  // Row r * bits + i is a function of (seed, r, i) alone: a longer context only adds bits.
  for (int64_t row = 0; row < directions.size(0); ++row) {
    Rng rng(random_bits(seed, uint64_t(row / shape.bits), uint64_t(row % shape.bits)));
    for (int64_t d = 0; d < head_dim; ++d) directions.mutable_data_ptr<float>()[row * head_dim + d] = float(rng.normal());
  }
  return directions.to(device);
}

Tensor lsh_codes(const Tensor& x_TNH, const Tensor& directions, int64_t rounds) {
  const at::NoGradGuard no_grad;
  check(x_TNH.dim() == 3 && directions.dim() == 2 && directions.size(1) == x_TNH.size(2) && rounds > 0 && directions.size(0) % rounds == 0,
        "[lsh_codes] expected x [T, N, H] and directions [", rounds, " * bits, H], got ", x_TNH.sizes(), " and ", directions.sizes());
  const int64_t tokens = x_TNH.size(0), heads = x_TNH.size(1), dim = x_TNH.size(2);
  const auto options = x_TNH.options().dtype(at::kShort).requires_grad(false);
  if (directions.size(0) == 0) return aten::empty({tokens, heads, rounds}, options).zero_();
  const Tensor codes = aten::empty({tokens, heads, rounds}, options);
  // In parts: the products are ten times as many numbers as the codes.
  for (int64_t from = 0; from < tokens; from += kCodedTokens) {
    const int64_t count = std::min(kCodedTokens, tokens - from);
    const Tensor x = x_TNH.narrow(0, from, count).to(at::kFloat).reshape({count * heads, dim});
    const Tensor part = codes.narrow(0, from, count);
    part.copy_(codes_of_signs(linear(x, directions), rounds).view({count, heads, rounds}));
  }
  return codes;
}

Tensor lsh_attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& q_codes_TNR, const Tensor& k_codes_TKR,
                     const Sequences& sequences, double scale, const LshShape& shape) {
  check_attention_shapes("lsh_attention", q_TNH, k_TKH, v_TKH, sequences);
  check_lsh("lsh_attention", q_TNH, k_TKH, v_TKH, q_codes_TNR, k_codes_TKR, sequences, shape);
  if (has_cpu_kernels(q_TNH)) return lsh_attention_cpu(q_TNH, k_TKH, v_TKH, q_codes_TNR, k_codes_TKR, sequences, scale, shape);
  return lsh_attention_ref(q_TNH, k_TKH, v_TKH, q_codes_TNR, k_codes_TKR, sequences, scale, shape);
}

int64_t paged_lsh_bytes(int64_t kv_heads, int64_t head_dim, int64_t rounds, int32_t block_size, at::ScalarType dtype) {
  const int64_t bytes = kv_heads * (2 * head_dim * int64_t(c10::elementSize(dtype)) + 2 * rounds);
  return (bytes + 3) / 4 * 4 * block_size;
}

Tensor paged_lsh_attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& q_codes_TNR,
                           const Tensor& k_codes_TKR, const Tensor& cache, const Sequences& sequences, double scale,
                           const LshShape& shape) {
  check_attention_shapes("paged_lsh_attention", q_TNH, k_TKH, v_TKH, sequences);
  check_lsh("paged_lsh_attention", q_TNH, k_TKH, v_TKH, q_codes_TNR, k_codes_TKR, sequences, shape);
  check(sequences.paged(), "[paged_lsh_attention] expected block tables, got none");
  const int32_t block_size = sequences.block_size;
  check_cache("paged_lsh_attention", cache, paged_lsh_bytes(k_TKH.size(1), k_TKH.size(2), shape.rounds, block_size, k_TKH.scalar_type()),
              q_TNH, sequences);
  check(!needs_grad({q_TNH, k_TKH, v_TKH}), "[paged_lsh_attention] has no gradient: run the engine's forward under no_grad");
  if (!has_cpu_kernels(q_TNH))
    return paged_lsh_attention_ref(q_TNH, k_TKH, v_TKH, q_codes_TNR, k_codes_TKR, cache, sequences, scale, shape);
  const Tensor q = q_TNH.contiguous(), k = k_TKH.contiguous(), v = v_TKH.contiguous();
  const Tensor q_codes = q_codes_TNR.contiguous(), k_codes = k_codes_TKR.contiguous(), out_TNH = aten::empty_like(q);
  const auto new_rows = paged_rows(sequences);
  kernels::lsh_attention_paged({.shape = kernel_shape(q, k, scale, shape),
                                .q = const_rows(q),
                                .k = const_rows(k),
                                .v = const_rows(v),
                                .q_codes = q_codes.const_data_ptr<int16_t>(),
                                .k_codes = k_codes.const_data_ptr<int16_t>(),
                                .pool = {.data = cache.mutable_data_ptr(),
                                         .type = kernel_float(k.scalar_type()),
                                         .block_size = block_size,
                                         .block_stride = cache.stride(0)},
                                .out = rows(out_TNH),
                                .sequences = new_rows.data(),
                                .count = sequences.count()});
  return out_TNH;
}

}  // namespace r1::ops
