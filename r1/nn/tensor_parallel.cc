#include "r1/nn/tensor_parallel.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/dist/group.h"
#include "r1/ops/autograd.h"
#include "r1/ops/logprob.h"
#include "r1/tensor/aten.h"

namespace r1::nn {

namespace {

// In memory of its own: what is summed in place belongs to nobody else.
Tensor sum_over(const Tensor& x, dist::Group* ranks) {
  Tensor sum = x.detach().clone(at::MemoryFormat::Contiguous);
  ranks->all_reduce(sum);
  return sum;
}

}  // namespace

bool is_shared_out(const dist::Group* ranks) {
  return ranks && ranks->size() > 1;
}

Tensor shared(const Tensor& x, dist::Group* ranks) {
  if (!is_shared_out(ranks) || !x.defined() || !ops::needs_grad({x})) return x;
  return ops::differentiable("shared", x.detach(), {x}, {}, [ranks](const Tensor& dx, const ops::Tensors&, const ops::Wanted&) {
    return ops::Tensors{sum_over(dx, ranks)};
  });
}

Tensor summed(const Tensor& y, dist::Group* ranks) {
  if (!is_shared_out(ranks)) return y;
  const Tensor sum = sum_over(y, ranks);
  if (!ops::needs_grad({y})) return sum;
  return ops::differentiable("summed", sum, {y}, {},
                             [](const Tensor& dy, const ops::Tensors&, const ops::Wanted&) { return ops::Tensors{dy}; });
}

Tensor summed(const Linear& map, const Tensor& x_TI, dist::Group* ranks) {
  if (!is_shared_out(ranks)) return map(x_TI);
  const Tensor y_TO = summed(map.without_bias(x_TI), ranks);
  return map.bias().defined() ? y_TO + map.bias() : y_TO;
}

Tensor shared_by_neighbours(const Tensor& w, int64_t copies, dist::Group* ranks) {
  if (!is_shared_out(ranks) || copies == 1 || !w.defined() || !ops::needs_grad({w})) return w;
  return ops::differentiable("shared_by_neighbours", w.detach(), {w}, {},
                             [ranks, copies](const Tensor& dw, const ops::Tensors&, const ops::Wanted&) {
                               const int64_t part = ranks->rank() / copies;
                               std::vector<int64_t> shape{ranks->size() / copies};
                               for (const int64_t n : dw.sizes()) shape.push_back(n);
                               Tensor all = aten::zeros(shape, dw.options());
                               all.select(0, part).copy_(dw);
                               ranks->all_reduce(all);
                               return ops::Tensors{all.select(0, part).clone()};
                             });
}

int64_t first_token(int64_t rows, const dist::Group* ranks) {
  return is_shared_out(ranks) ? ranks->rank() * rows : 0;
}

Tensor shared_lookup(const Weight& weight_VD, const Tensor& ids_T, dist::Group* ranks) {
  if (!is_shared_out(ranks)) return weight_VD.lookup(ids_T);
  const int64_t rows = weight_VD.sizes()[0], vocabulary = rows * ranks->size();
  check(!ids_T.is_cpu() || ids_T.numel() == 0 || (ids_T.min().item<int64_t>() >= 0 && ids_T.max().item<int64_t>() < vocabulary),
        "[embedding] expected ids below ", vocabulary);
  const Tensor own_T = ids_T - first_token(rows, ranks), elsewhere_T = (own_T < 0) | (own_T >= rows);
  const Tensor x_TD = weight_VD.lookup(own_T.masked_fill(elsewhere_T, 0)).masked_fill(elsewhere_T.unsqueeze(1), 0);
  return summed(x_TD, ranks);
}

ops::HeadShare head_share(int64_t rows, dist::Group* ranks) {
  return {.first = first_token(rows, ranks),
          .vocabulary = rows * ranks->size(),
          .sum = [ranks](Tensor& x) { ranks->all_reduce(x); },
          .max = [ranks](Tensor& x) { ranks->all_reduce(x, dist::Reduce::kMax); }};
}

Tensor gathered_logits(const Tensor& logits_RV, dist::Group* ranks) {
  if (!is_shared_out(ranks)) return logits_RV;
  const at::NoGradGuard no_grad;
  const int64_t rows = logits_RV.size(0), own = logits_RV.size(1);
  Tensor all = aten::empty({ranks->size(), rows, own}, logits_RV.options());
  ranks->all_gather(all, logits_RV.contiguous());
  return all.permute({1, 0, 2}).reshape({rows, ranks->size() * own});
}

}  // namespace r1::nn
