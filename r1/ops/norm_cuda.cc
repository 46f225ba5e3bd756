#include "r1/ops/norm_cuda.h"

#include <ATen/core/grad_mode.h>

#include "r1/ops/cuda_kernels.h"
#include "r1/ops/cuda_rows.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

const void* data_or_null(const Tensor& t) {
  return t.defined() ? t.const_data_ptr() : nullptr;
}

struct Normed {
  Tensor x, sum, y;             // x as the kernel read it; sum where there is a delta
  Tensor weight_D, mean, rstd;  // mean of LayerNorm
};

Normed forward(const NormForm& form, const Tensor& x, const Tensor& delta, const Tensor& weight_D, const Tensor& bias_D, bool graph) {
  const at::NoGradGuard no_grad;
  const bool layer = form.kind == NormKind::kLayer;
  Normed r{.x = with_rows(x), .y = aten::empty(x.sizes(), x.options()), .weight_D = weight_D.contiguous()};
  const Tensor delta_dense = delta.defined() ? delta.contiguous() : delta, bias = bias_D.defined() ? bias_D.contiguous() : bias_D;
  if (delta.defined()) r.sum = aten::empty(x.sizes(), x.options());
  const int64_t rows = row_count(r.x);
  if (graph) r.rstd = aten::empty({rows}, x.options().dtype(at::kFloat));
  if (graph && layer) r.mean = aten::empty_like(r.rstd);
  kernels::cuda::norm({.kind = form.kind,
                       .type = kernel_float(x.scalar_type()),
                       .x = r.x.const_data_ptr(),
                       .delta = data_or_null(delta_dense),
                       .weight = r.weight_D.const_data_ptr(),
                       .bias = data_or_null(bias),
                       .sum = delta.defined() ? r.sum.mutable_data_ptr() : nullptr,
                       .y = r.y.mutable_data_ptr(),
                       .mean = graph && layer ? r.mean.mutable_data_ptr<float>() : nullptr,
                       .rstd = graph ? r.rstd.mutable_data_ptr<float>() : nullptr,
                       .rows = rows,
                       .dim = x.size(-1),
                       .x_stride = row_stride(r.x),
                       .eps = float(form.eps),
                       .offset = float(form.offset)},
                      kernel_stream(x.device()));
  return r;
}

struct Gradients {
  Tensor dx, dweight_D, dbias_D;
};

// saved: what was normalised, weight, rstd and, for LayerNorm, mean. dsum may be undefined.
Gradients backward(const NormForm& form, const Tensors& saved, const Tensor& dy, const Tensor& dsum, bool want_weight, bool want_bias) {
  const Tensor &x = saved[0], &weight_D = saved[1], dy_dense = dy.contiguous(), dsum_dense = dsum.defined() ? dsum.contiguous() : dsum;
  const kernels::cuda::Stream stream = kernel_stream(x.device());
  Gradients g{.dx = aten::empty(x.sizes(), x.options())};
  if (want_weight) g.dweight_D = aten::empty_like(weight_D);
  if (want_bias) g.dbias_D = aten::empty_like(weight_D);
  const int64_t rows = row_count(x), dim = x.size(-1);
  Tensor partial;
  if (want_weight || want_bias) partial = aten::empty({kernels::cuda::norm_partials(rows, dim, stream)}, x.options().dtype(at::kFloat));
  kernels::cuda::norm_backward({.kind = form.kind,
                                .type = kernel_float(x.scalar_type()),
                                .x = x.const_data_ptr(),
                                .weight = weight_D.const_data_ptr(),
                                .dy = dy_dense.const_data_ptr(),
                                .dsum = data_or_null(dsum_dense),
                                .mean = form.kind == NormKind::kLayer ? saved[3].const_data_ptr<float>() : nullptr,
                                .rstd = saved[2].const_data_ptr<float>(),
                                .dx = g.dx.mutable_data_ptr(),
                                .dweight = want_weight ? g.dweight_D.mutable_data_ptr() : nullptr,
                                .dbias = want_bias ? g.dbias_D.mutable_data_ptr() : nullptr,
                                .partial = partial.defined() ? partial.mutable_data_ptr<float>() : nullptr,
                                .rows = rows,
                                .dim = dim,
                                .x_stride = row_stride(x),
                                .offset = float(form.offset)},
                               stream);
  return g;
}

Tensors kept(const Normed& r, const Tensor& normalised) {
  Tensors saved{normalised, r.weight_D, r.rstd};
  if (r.mean.defined()) saved.push_back(r.mean);
  return saved;
}

}  // namespace

bool takes_norm_kernel(const Tensor& x, const Tensor& weight_D, const Tensor& bias_D) {
  return has_cuda_kernels(x) && x.numel() > 0 && weight_D.scalar_type() == x.scalar_type() &&
         (!bias_D.defined() || bias_D.scalar_type() == x.scalar_type());
}

Tensor norm_cuda(const NormForm& form, const Tensor& x, const Tensor& weight_D, const Tensor& bias_D) {
  const bool graph = needs_grad({x, weight_D, bias_D});
  const Normed r = forward(form, x, {}, weight_D, bias_D, graph);
  if (!graph) return r.y;
  return differentiable(form.name, r.y, {x, weight_D, bias_D}, kept(r, r.x),
                        [form](const Tensor& dy, const Tensors& saved, const Wanted& want) {
                          const Gradients g = backward(form, saved, dy, {}, want[1], want[2]);
                          return Tensors{g.dx, g.dweight_D, g.dbias_D};
                        });
}

Tensors add_norm_cuda(const NormForm& form, const Tensor& x, const Tensor& delta, const Tensor& weight_D, const Tensor& bias_D) {
  const bool graph = needs_grad({x, delta, weight_D, bias_D});
  const Normed r = forward(form, x, delta, weight_D, bias_D, graph);
  if (!graph) return {r.sum, r.y};
  return differentiable_many(form.name, {r.sum, r.y}, {x, delta, weight_D, bias_D}, kept(r, r.sum),
                             [form](const Tensors& dys, const Tensors& saved, const Wanted& want) {
                               if (!dys[1].defined()) return Tensors{dys[0], dys[0], {}, {}};
                               const Gradients g = backward(form, saved, dys[1], dys[0], want[2], want[3]);
                               return Tensors{g.dx, g.dx, g.dweight_D, g.dbias_D};
                             });
}

}  // namespace r1::ops
