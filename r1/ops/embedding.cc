#include "r1/ops/embedding.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/kernels/cpu/embedding.h"
#include "r1/kernels/cuda/embedding.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/ops/cuda_kernels.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

Tensor embedding_cpu(const Tensor& ids_T, const Tensor& weight_VD) {
  const int64_t tokens = ids_T.size(0), vocab = weight_VD.size(0), dim = weight_VD.size(1);
  Tensor ids, x_TD;
  {
    const at::NoGradGuard no_grad;
    ids = ids_T.contiguous();
    const Tensor weight = weight_VD.contiguous();
    x_TD = aten::empty({tokens, dim}, weight_VD.options());
    kernels::embedding({.table = const_rows(weight),
                        .ids = ids.const_data_ptr<int64_t>(),
                        .out = rows(x_TD),
                        .tokens = tokens,
                        .vocab = vocab,
                        .dim = dim});
  }
  if (!needs_grad({weight_VD})) return x_TD;
  const auto type = weight_VD.scalar_type();
  return differentiable("embedding", x_TD, {weight_VD}, {ids},
                        [tokens, vocab, dim, type](const Tensor& dx, const Tensors& saved, const Wanted&) {
                          const Tensor dx_TD = dx.contiguous();
                          Tensor dweight_VD = aten::zeros({vocab, dim}, dx.options().dtype(at::kFloat));
                          kernels::embedding_backward({.dout = const_rows(dx_TD),
                                                       .ids = saved[0].const_data_ptr<int64_t>(),
                                                       .dtable = rows(dweight_VD),
                                                       .tokens = tokens,
                                                       .vocab = vocab,
                                                       .dim = dim});
                          return Tensors{dweight_VD.to(type)};
                        });
}

// Rows of the table by ATen. Its gradient would be added up row by row by atomics, in the table's type; here it is sorted by id first.
Tensor embedding_cuda(const Tensor& ids_T, const Tensor& weight_VD) {
  Tensor x_TD;
  {
    const at::NoGradGuard no_grad;
    x_TD = aten::index_select(weight_VD, 0, ids_T);
  }
  if (!needs_grad({weight_VD})) return x_TD;
  const int64_t vocab = weight_VD.size(0), dim = weight_VD.size(1);
  return differentiable("embedding", x_TD, {weight_VD}, {ids_T}, [vocab, dim](const Tensor& dx, const Tensors& saved, const Wanted&) {
    const Tensor dx_TD = dx.contiguous(), dweight_VD = aten::zeros({vocab, dim}, dx.options());
    const auto [ids_T, order_T] = aten::sort(saved[0], /*stable=*/true, /*dim=*/0, /*descending=*/false);
    kernels::cuda::embedding_backward({.type = kernel_float(dx.scalar_type()),
                                       .dout = dx_TD.const_data_ptr(),
                                       .ids = ids_T.const_data_ptr<int64_t>(),
                                       .order = order_T.const_data_ptr<int64_t>(),
                                       .dtable = dweight_VD.mutable_data_ptr(),
                                       .tokens = ids_T.size(0),
                                       .dim = dim},
                                      kernel_stream(dx.device()));
    return Tensors{dweight_VD};
  });
}

}  // namespace

Tensor embedding(const Tensor& ids_T, const Tensor& weight_VD) {
  check(ids_T.dim() == 1 && ids_T.scalar_type() == at::kLong && weight_VD.dim() == 2,
        "[embedding] expected int64 ids [T] and weight [V, D], got ", ids_T.scalar_type(), " ", ids_T.sizes(), " and ", weight_VD.sizes());
  if (ids_T.is_cpu()) {
    const auto ids = ids_T.accessor<int64_t, 1>();
    for (int64_t t = 0; t < ids.size(0); ++t) {
      check(ids[t] >= 0 && ids[t] < weight_VD.size(0), "[embedding] expected ids below ", weight_VD.size(0), ", got ", ids[t], " at token ",
            t);
    }
  }
  if (has_cpu_kernels(weight_VD)) return embedding_cpu(ids_T, weight_VD);
  if (has_cuda_kernels(weight_VD)) return embedding_cuda(ids_T, weight_VD);
  return embedding_ref(ids_T, weight_VD);
}

}  // namespace r1::ops
