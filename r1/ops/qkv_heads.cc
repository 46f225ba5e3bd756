#include "r1/ops/qkv_heads.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/kernels/cuda/paged_attention.h"
#include "r1/ops/attention_impl.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cuda_kernels.h"
#include "r1/ops/heads_cuda.h"
#include "r1/ops/norm.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

void check_heads(const char* op, const Tensor& qkv_TE, const HeadsShape& s, const HeadNorms* norms, const RotaryTable* table,
                 const Tensor& positions) {
  check(s.heads > 0 && s.kv_heads > 0 && s.head_dim > 0 && s.heads % s.kv_heads == 0, "[", op, "] expected key heads that divide the ",
        s.heads, " heads, got ", s.kv_heads, " of ", s.head_dim);
  check(qkv_TE.dim() == 2 && qkv_TE.size(1) == (s.heads + 2 * s.kv_heads) * s.head_dim && (qkv_TE.size(1) == 1 || qkv_TE.stride(1) == 1),
        "[", op, "] expected rows [T, ", (s.heads + 2 * s.kv_heads) * s.head_dim, "] of dense columns, got ", qkv_TE.sizes());
  if (norms) {
    for (const Tensor& weight_H : {norms->q_weight_H, norms->k_weight_H})
      check(weight_H.dim() == 1 && weight_H.size(0) == s.head_dim && weight_H.device() == qkv_TE.device(), "[", op,
            "] expected norms' weights [", s.head_dim, "] beside the rows, got ", weight_H.sizes());
  }
  if (!table) return;
  check(table->cos_PH.size(1) * 2 == s.head_dim, "[", op, "] expected a table for heads of ", s.head_dim, ", got one for ",
        table->cos_PH.size(1) * 2);
  check((positions.dim() == 1 || positions.dim() == 2) && positions.size(0) == qkv_TE.size(0) && positions.scalar_type() == at::kInt, "[",
        op, "] expected int32 positions of ", qkv_TE.size(0), " rows, got ", positions.scalar_type(), " ", positions.sizes());
}

// The three parts of the rows, as they are.
Qkv parts(const Tensor& qkv_TE, const HeadsShape& s) {
  const auto part = [&](int64_t first, int64_t heads) {
    return qkv_TE.narrow(1, first * s.head_dim, heads * s.head_dim).view({qkv_TE.size(0), heads, s.head_dim});
  };
  return {part(0, s.heads), part(s.heads, s.kv_heads), part(s.heads + s.kv_heads, s.kv_heads)};
}

// One op after another.
Qkv split_by_ops(const Tensor& qkv_TE, const HeadsShape& s, const HeadNorms* norms, const RotaryTable* table, const Tensor& positions) {
  Qkv h = parts(qkv_TE, s);
  if (norms) {
    h.q_TNH = rms_norm(h.q_TNH, norms->q_weight_H, norms->eps, norms->offset);
    h.k_TKH = rms_norm(h.k_TKH, norms->k_weight_H, norms->eps, norms->offset);
  }
  if (table) {
    h.q_TNH = rotary(h.q_TNH, *table, positions);
    h.k_TKH = rotary(h.k_TKH, *table, positions);
  }
  return h;
}

kernels::cuda::HeadsShape kernel_shape(const Tensor& qkv_TE, const HeadsShape& s) {
  return {.type = kernel_float(qkv_TE.scalar_type()),
          .tokens = qkv_TE.size(0),
          .heads = s.heads,
          .kv_heads = s.kv_heads,
          .head_dim = s.head_dim};
}

// Rows whose parts the kernel can read.
Tensor readable_rows(const Tensor& qkv_TE) {
  const bool aligned = reinterpret_cast<uintptr_t>(qkv_TE.const_data_ptr()) % (4 * qkv_TE.element_size()) == 0 && qkv_TE.stride(0) % 4 == 0;
  return aligned ? qkv_TE : qkv_TE.clone(at::MemoryFormat::Contiguous);
}

struct BackwardShape {
  HeadsShape heads;
  bool normed, rotated, interleaved;
  double eps, offset;
};

// saved: rows, the norms' weights, cos and sin, positions; undefined where there are none.
Tensors split_backward(const BackwardShape& shape, const Tensors& dys, const Tensors& saved, const Wanted& want) {
  const HeadsShape& s = shape.heads;
  const Tensor& qkv_TE = saved[0];
  Tensors readable;
  for (const Tensor& dy : dys) readable.push_back(dy.defined() ? readable_heads(dy) : dy);
  const Tensor drows_TE = aten::empty(qkv_TE.sizes(), qkv_TE.options());
  const Qkv x = parts(qkv_TE, s), d = parts(drows_TE, s);
  const HeadNorms norms{saved[1], saved[2], shape.eps, shape.offset};
  RotaryTable table;
  if (shape.rotated) table = {saved[3], saved[4], shape.interleaved, {}, 1};
  const bool weights = shape.normed && (want[1] || want[2]);
  const kernels::cuda::HeadsShape of = kernel_shape(qkv_TE, s);
  Tensor dq_weight_H, dk_weight_H, workspace;
  kernels::cuda::QkvHeadsBackward a{.shape = of,
                                    .q = const_heads(x.q_TNH),
                                    .k = const_heads(x.k_TKH),
                                    .norm = heads_norm(shape.normed ? &norms : nullptr),
                                    .rotation = heads_rotation(shape.rotated ? &table : nullptr, saved[5]),
                                    .dq_out = const_heads(readable[0]),
                                    .dk_out = const_heads(readable[1]),
                                    .dv_out = const_heads(readable[2]),
                                    .dq = heads(d.q_TNH),
                                    .dk = heads(d.k_TKH),
                                    .dv = heads(d.v_TKH)};
  if (weights) {
    dq_weight_H = aten::empty(norms.q_weight_H.sizes(), norms.q_weight_H.options());
    dk_weight_H = aten::empty(norms.k_weight_H.sizes(), norms.k_weight_H.options());
    workspace = aten::empty({kernels::cuda::qkv_heads_workspace(of, qkv_TE.device().index())}, qkv_TE.options().dtype(at::kFloat));
    a.dq_weight = rows(dq_weight_H), a.dk_weight = rows(dk_weight_H);
    a.workspace = workspace.mutable_data_ptr<float>();
  }
  kernels::cuda::qkv_heads_backward(a, kernel_stream(qkv_TE.device()));
  return {drows_TE, dq_weight_H, dk_weight_H};
}

Qkv split_cuda(const Tensor& given_TE, const HeadsShape& s, const HeadNorms* norms, const RotaryTable* table, const Tensor& positions) {
  const Tensor q_weight_H = norms ? norms->q_weight_H : Tensor(), k_weight_H = norms ? norms->k_weight_H : Tensor();
  Tensor qkv_TE;
  Qkv h;
  {
    const at::NoGradGuard no_grad;
    qkv_TE = readable_rows(given_TE);
    const Qkv x = parts(qkv_TE, s);
    h = {aten::empty(x.q_TNH.sizes(), qkv_TE.options()), aten::empty(x.k_TKH.sizes(), qkv_TE.options()),
         aten::empty(x.v_TKH.sizes(), qkv_TE.options())};
    kernels::cuda::qkv_heads({.shape = kernel_shape(qkv_TE, s),
                              .q = const_heads(x.q_TNH),
                              .k = const_heads(x.k_TKH),
                              .v = const_heads(x.v_TKH),
                              .norm = heads_norm(norms),
                              .rotation = heads_rotation(table, positions),
                              .q_out = heads(h.q_TNH),
                              .k_out = heads(h.k_TKH),
                              .v_out = heads(h.v_TKH)},
                             kernel_stream(qkv_TE.device()));
  }
  if (!needs_grad({given_TE, q_weight_H, k_weight_H})) return h;
  const BackwardShape shape{
      s, norms != nullptr, table != nullptr, table && table->interleaved, norms ? norms->eps : 0, norms ? norms->offset : 0};
  // Without norms the rows are not looked at again, only their shape is.
  const Tensor kept_TE = norms ? qkv_TE : aten::empty({1}, qkv_TE.options()).expand({qkv_TE.size(0), qkv_TE.size(1)});
  const Tensors out = differentiable_many(
      "split_heads", {h.q_TNH, h.k_TKH, h.v_TKH}, {given_TE, q_weight_H, k_weight_H},
      {kept_TE, q_weight_H, k_weight_H, table ? table->cos_PH : Tensor(), table ? table->sin_PH : Tensor(), table ? positions : Tensor()},
      [shape](const Tensors& dys, const Tensors& saved, const Wanted& want) { return split_backward(shape, dys, saved, want); });
  return {out[0], out[1], out[2]};
}

}  // namespace

bool has_heads_kernel(const Tensor& x, int64_t head_dim, const HeadNorms* norms, const RotaryTable* table, const Tensor& positions) {
  const auto fits = [](const Tensor& weight_H) { return is_kernel_float(weight_H.scalar_type()) && weight_H.is_contiguous(); };
  return has_cuda_kernels(x) && kernels::cuda::has_qkv_heads(head_dim) &&
         (!norms || (fits(norms->q_weight_H) && fits(norms->k_weight_H))) &&
         (!table || (positions.dim() == 1 && positions.is_contiguous() && table->cos_PH.is_contiguous() && table->sin_PH.is_contiguous()));
}

kernels::cuda::HeadsNorm heads_norm(const HeadNorms* norms) {
  if (!norms) return {};
  return {.q_weight = const_rows(norms->q_weight_H),
          .k_weight = const_rows(norms->k_weight_H),
          .eps = float(norms->eps),
          .offset = float(norms->offset)};
}

kernels::cuda::HeadsRotation heads_rotation(const RotaryTable* table, const Tensor& positions) {
  if (!table) return {};
  return {.cos = table->cos_PH.const_data_ptr<float>(),
          .sin = table->sin_PH.const_data_ptr<float>(),
          .interleaved = table->interleaved,
          .positions = positions.const_data_ptr<int32_t>()};
}

Qkv split_heads(const Tensor& qkv_TE, const HeadsShape& shape, const HeadNorms* norms, const RotaryTable* table, const Tensor& positions) {
  check_heads("split_heads", qkv_TE, shape, norms, table, positions);
  if (has_heads_kernel(qkv_TE, shape.head_dim, norms, table, positions)) return split_cuda(qkv_TE, shape, norms, table, positions);
  return split_by_ops(qkv_TE, shape, norms, table, positions);
}

bool paged_qkv_replays(at::ScalarType dtype, int64_t head_dim, double scale) {
  constexpr int32_t kAnyBlockSize = 16;  // the engine's are multiples of it
  return is_kernel_float(dtype) && scale > 0 && kernels::cuda::has_qkv_heads(head_dim) &&
         kernels::cuda::has_paged_attention(kernel_float(dtype), head_dim, /*latent=*/0, kAnyBlockSize);
}

Tensor paged_qkv_attention(const Tensor& given_TE, const HeadsShape& shape, const HeadNorms* norms, const RotaryTable* table,
                           const Tensor& cache, const Sequences& sequences, double scale, const Window& window) {
  const Tensor& positions = sequences.positions_T;
  check_heads("paged_qkv_attention", given_TE, shape, norms, table, positions);
  check(!needs_grad({given_TE}), "[paged_qkv_attention] has no gradient: run the engine's forward under no_grad");
  if (!has_plain_form(given_TE, sequences) || !has_heads_kernel(given_TE, shape.head_dim, norms, table, positions) ||
      !has_paged_kernels(given_TE, shape.head_dim, sequences.block_size, scale)) {
    const Qkv h = split_by_ops(given_TE, shape, norms, table, positions);
    return paged_attention(h.q_TNH, h.k_TKH, h.v_TKH, cache, sequences, scale, window);
  }
  const Tensor qkv_TE = readable_rows(given_TE);
  const Qkv x = parts(qkv_TE, shape);
  check_paged_attention("paged_qkv_attention", x.q_TNH, x.k_TKH, x.v_TKH, cache, sequences);
  check_window("paged_qkv_attention", window);
  return paged_by_kernels({.shape = kernel_shape(qkv_TE, shape),
                           .q = const_heads(x.q_TNH),
                           .k = const_heads(x.k_TKH),
                           .v = const_heads(x.v_TKH),
                           .norm = heads_norm(norms),
                           .rotation = heads_rotation(table, positions)},
                          x, cache, sequences, scale, window);
}

}  // namespace r1::ops
