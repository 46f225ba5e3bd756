#include "r1/ops/segment_attention.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/kernels/cpu/attention.h"
#include "r1/ops/attention_impl.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

void check_segments(const Tensor& q_TNH, const Tensor& v_TKH, const Tensor& bias_NB, const Sequences& sequences) {
  check(v_TKH.size(2) == q_TNH.size(2), "[segment_attention] expected values of the keys' size ", q_TNH.size(2), ", got ", v_TKH.size(2));
  check(bias_NB.dim() == 2 && bias_NB.size(0) == q_TNH.size(1) && bias_NB.size(1) % 2 == 1 && bias_NB.scalar_type() == q_TNH.scalar_type(),
        "[segment_attention] expected a bias [", q_TNH.size(1), ", 2 w - 1] of ", q_TNH.scalar_type(), ", got ", bias_NB.scalar_type(), " ",
        bias_NB.sizes());
  check(sequences.cu_keylens.empty(), "[segment_attention] expected as many keys as queries in the training form");
}

// `bias_fp32`: contiguous, must outlive the shape.
kernels::AttentionShape segment_shape(const Tensor& q, const Tensor& k, const Tensor& bias_fp32, double scale) {
  kernels::AttentionShape shape{
      .heads = q.size(1), .kv_heads = k.size(1), .head_dim = q.size(2), .v_dim = q.size(2), .scale = float(scale)};
  shape.bias = bias_fp32.const_data_ptr<float>();
  shape.bias_span = bias_fp32.size(1);
  shape.window = (shape.bias_span + 1) / 2;
  shape.segments = true;
  return shape;
}

Tensors backward(const Tensor& dout, const Tensors& saved, const Sequences& sequences, double scale) {
  const Tensor &q = saved[0], &k = saved[1], &v = saved[2], &bias = saved[5];
  const Tensor bias_fp32 = bias.to(at::kFloat).contiguous(), dout_TNH = dout.contiguous();
  const Tensor dq = aten::empty_like(q), dk = aten::empty_like(k), dv = aten::empty_like(v), dbias = aten::empty_like(bias_fp32);
  kernels::attention_backward({.shape = segment_shape(q, k, bias_fp32, scale),
                               .q = const_rows(q),
                               .k = const_rows(k),
                               .v = const_rows(v),
                               .out = const_rows(saved[3]),
                               .lse = saved[4].const_data_ptr<float>(),
                               .dout = const_rows(dout_TNH),
                               .dq = rows(dq),
                               .dk = rows(dk),
                               .dv = rows(dv),
                               .cu_seqlens = sequences.cu_seqlens.data(),
                               .sequences = sequences.count(),
                               .dbias = dbias.mutable_data_ptr<float>()});
  return {dq, dk, dv, dbias.to(bias.scalar_type())};
}

Tensor segment_attention_cpu(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& bias_NB,
                             const Sequences& sequences, double scale) {
  const bool graph = needs_grad({q_TNH, k_TKH, v_TKH, bias_NB});
  Tensor q, k, v, lse_TN, out_TNH;
  {
    const at::NoGradGuard no_grad;
    q = q_TNH.contiguous(), k = k_TKH.contiguous(), v = v_TKH.contiguous();
    const Tensor bias_fp32 = bias_NB.to(at::kFloat).contiguous();
    out_TNH = aten::empty_like(q);
    if (graph) lse_TN = aten::empty({q.size(0), q.size(1)}, q.options().dtype(at::kFloat));
    kernels::attention_forward({.shape = segment_shape(q, k, bias_fp32, scale),
                                .q = const_rows(q),
                                .k = const_rows(k),
                                .v = const_rows(v),
                                .out = rows(out_TNH),
                                .lse = graph ? lse_TN.mutable_data_ptr<float>() : nullptr,
                                .cu_seqlens = sequences.cu_seqlens.data(),
                                .sequences = sequences.count()});
  }
  if (!graph) return out_TNH;
  return differentiable(
      "segment_attention", out_TNH, {q_TNH, k_TKH, v_TKH, bias_NB}, {q, k, v, out_TNH, lse_TN, bias_NB},
      [sequences, scale](const Tensor& dout, const Tensors& saved, const Wanted&) { return backward(dout, saved, sequences, scale); });
}

}  // namespace

Tensor segment_attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& bias_NB, const Sequences& sequences,
                         double scale) {
  check_attention_shapes("segment_attention", q_TNH, k_TKH, v_TKH, sequences);
  check_segments(q_TNH, v_TKH, bias_NB, sequences);
  if (has_cpu_kernels(q_TNH)) return segment_attention_cpu(q_TNH, k_TKH, v_TKH, bias_NB, sequences, scale);
  return segment_attention_ref(q_TNH, k_TKH, v_TKH, bias_NB, sequences, scale);
}

Tensor paged_segment_attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& bias_NB, const Tensor& cache,
                               const Sequences& sequences, double scale) {
  check_paged_attention("paged_segment_attention", q_TNH, k_TKH, v_TKH, cache, sequences);
  check_segments(q_TNH, v_TKH, bias_NB, sequences);
  if (!has_cpu_kernels(q_TNH)) return paged_segment_attention_ref(q_TNH, k_TKH, v_TKH, bias_NB, cache, sequences, scale);
  const Tensor q = q_TNH.contiguous(), bias_fp32 = bias_NB.to(at::kFloat).contiguous();
  return attend_paged_cpu(segment_shape(q, k_TKH, bias_fp32, scale), q, k_TKH, v_TKH, cache, sequences);
}

}  // namespace r1::ops
