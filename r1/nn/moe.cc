#include "r1/nn/moe.h"

#include "r1/nn/tensor_parallel.h"
#include "r1/ops/grouped_linear.h"
#include "r1/ops/swiglu.h"
#include "r1/tensor/aten.h"

namespace r1::nn {

namespace {

// Each row through the matrix of its expert. Of a packed weight, and where somebody asks for inputs, one by one of the experts that have rows.
Tensor through_experts(const Tensor& x_SI, const Weight& weight_EOI, const Tensor& ends_E) {
  if (!weight_EOI.packed() && !weight_EOI.has_input()) return ops::grouped_linear(x_SI, weight_EOI.dense(), ends_E);
  const Tensor ends = ends_E.to(at::kCPU), y_SO = aten::empty({x_SI.size(0), weight_EOI.sizes()[1]}, x_SI.options());
  int64_t begin = 0;
  for (int64_t e = 0; e < ends.size(0); ++e) {
    const int64_t end = ends.const_data_ptr<int32_t>()[e], count = end - begin;
    if (count > 0) y_SO.narrow(0, begin, count).copy_(weight_EOI.product(x_SI.narrow(0, begin, count).contiguous(), e, 1));
    begin = end;
  }
  return y_SO;
}

}  // namespace

Moe::Moe(const std::string& name, const MoeShape& shape, const Placement& placement)
    : experts_(shape.router.experts),
      ranks_(placement.ranks),
      router_(name, shape.router, placement),
      gate_EFD_({experts_, shape.inner, shape.router.dim}, placement),
      up_EFD_({experts_, shape.inner, shape.router.dim}, placement),
      down_EDF_({experts_, shape.router.dim, shape.inner}, placement) {
  if (shape.shared_inner > 0) shared_ = std::make_unique<Mlp>(shape.router.dim, shape.shared_inner, placement.unsummed());
}

Tensor Moe::operator()(const Tensor& whole_TD, const LayerContext& context, const LayerCache* cache) const {
  const ops::Routes routes = router_(whole_TD, context, cache);
  const ops::ExpertRows rows = ops::sort_by_expert(routes.expert_TK, experts_);
  const auto experts = [&](const Tensor& x_SI, const Weight& weight_EOI) { return through_experts(x_SI, weight_EOI, rows.ends_E); };
  const Tensor x_TD = shared(whole_TD, ranks_), x_SD = ops::gather_rows(x_TD, rows);
  const Tensor y_SD = experts(ops::swiglu(experts(x_SD, gate_EFD_), experts(x_SD, up_EFD_)), down_EDF_);
  Tensor y_TD = ops::combine_rows(y_SD, shared(routes.gate_TK, ranks_), rows);
  if (shared_) y_TD = y_TD + (*shared_)(x_TD);
  y_TD = summed(y_TD, ranks_);
  return context.training() ? router_.balanced(y_TD, routes, rows, context) : y_TD;
}

void Moe::parameters(ParameterList list) {
  router_.parameters(list);
  ParameterList experts = list.under("experts");
  experts.add("gate", gate_EFD_);
  experts.add("up", up_EFD_);
  experts.add("down", down_EDF_);
  if (shared_) shared_->parameters(list.under("shared"));
}

}  // namespace r1::nn
