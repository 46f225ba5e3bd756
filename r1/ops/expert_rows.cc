#include "r1/ops/expert_rows.h"

#include <ATen/core/grad_mode.h>

#include <vector>

#include "r1/base/error.h"
#include "r1/kernels/cpu/experts.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// Counting sort: rows of an expert stay in the order of the tokens.
ExpertRows sort_cpu(const Tensor& expert_TK, int64_t experts) {
  const int64_t tokens = expert_TK.size(0), per_token = expert_TK.size(1), rows = tokens * per_token;
  const ExpertRows out{aten::empty({rows}, at::kLong), aten::empty({tokens, per_token}, at::kLong), aten::zeros({experts}, at::kInt)};
  const int64_t* expert = expert_TK.const_data_ptr<int64_t>();
  int32_t* ends = out.ends_E.mutable_data_ptr<int32_t>();
  for (int64_t i = 0; i < rows; ++i) {
    check(expert[i] >= 0 && expert[i] < experts, "[sort_by_expert] expected experts below ", experts, ", got ", expert[i]);
    ++ends[expert[i]];
  }
  std::vector<int64_t> next(size_t(experts), 0);
  for (int64_t e = 1; e < experts; ++e) {
    next[size_t(e)] = ends[e - 1];
    ends[e] += ends[e - 1];
  }
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t place = next[size_t(expert[i])]++;
    out.place_TK.mutable_data_ptr<int64_t>()[i] = place;
    out.token_S.mutable_data_ptr<int64_t>()[place] = i / per_token;
  }
  return out;
}

ExpertRows sort_cuda(const Tensor& expert_TK, int64_t experts) {
  const auto [sorted_S, order_S] = aten::sort(expert_TK.flatten(), /*stable=*/true, /*dim=*/0, /*descending=*/false);
  const Tensor counting_S = aten::arange(order_S.size(0), order_S.options());
  const Tensor place_S = aten::empty_like(order_S).scatter_(0, order_S, counting_S);
  return {order_S.floor_divide(expert_TK.size(1)), place_S.view(expert_TK.sizes()),
          aten::searchsorted(sorted_S, aten::arange(experts, order_S.options()), /*out_int32=*/true, /*right=*/true)};
}

Tensor combine(const Tensor& y_SD, const Tensor& gate_TK, const Tensor& place_TK) {
  const int64_t tokens = place_TK.size(0), per_token = place_TK.size(1), dim = y_SD.size(1);
  Tensor out_TD = aten::empty({tokens, dim}, y_SD.options());
  kernels::combine_rows({.y = const_rows(y_SD),
                         .gates = gate_TK.defined() ? gate_TK.const_data_ptr<float>() : nullptr,
                         .place = place_TK.const_data_ptr<int64_t>(),
                         .out = rows(out_TD),
                         .tokens = tokens,
                         .per_token = per_token,
                         .dim = dim});
  return out_TD;
}

// A token's gradient is the sum over its K rows.
Tensor sum_of_rows(const Tensor& dy_SD, const Tensor& place_TK) {
  if (has_cpu_kernels(dy_SD)) return combine(dy_SD.contiguous(), {}, place_TK);
  return aten::index_select(dy_SD, 0, place_TK.flatten()).view({place_TK.size(0), place_TK.size(1), dy_SD.size(1)}).sum(1);
}

Tensor combine_cpu(const Tensor& y_SD, const Tensor& gate_TK, const ExpertRows& rows_of) {
  Tensor y, gate, out_TD;
  {
    const at::NoGradGuard no_grad;
    y = y_SD.contiguous(), gate = gate_TK.contiguous();
    out_TD = combine(y, gate, rows_of.place_TK);
  }
  if (!needs_grad({y_SD, gate_TK})) return out_TD;
  return differentiable("combine_rows", out_TD, {y_SD, gate_TK}, {y, gate, rows_of.place_TK},
                        [](const Tensor& dout, const Tensors& saved, const Wanted&) {
                          const Tensor &y = saved[0], &gate = saved[1], &place_TK = saved[2], dout_TD = dout.contiguous();
                          const Tensor dy_SD = aten::empty_like(y), dgate_TK = aten::empty_like(gate);
                          kernels::combine_rows_backward({.y = const_rows(y),
                                                          .dout = const_rows(dout_TD),
                                                          .gates = gate.const_data_ptr<float>(),
                                                          .place = place_TK.const_data_ptr<int64_t>(),
                                                          .dy = rows(dy_SD),
                                                          .dgates = dgate_TK.mutable_data_ptr<float>(),
                                                          .tokens = place_TK.size(0),
                                                          .per_token = place_TK.size(1),
                                                          .dim = y.size(1)});
                          return Tensors{dy_SD, dgate_TK};
                        });
}

}  // namespace

ExpertRows sort_by_expert(const Tensor& expert_TK, int64_t experts) {
  check(expert_TK.dim() == 2 && expert_TK.scalar_type() == at::kLong && expert_TK.is_contiguous() && experts > 0,
        "[sort_by_expert] expected int64 experts [T, K], got ", expert_TK.scalar_type(), " ", expert_TK.sizes());
  const at::NoGradGuard no_grad;
  return expert_TK.is_cpu() ? sort_cpu(expert_TK, experts) : sort_cuda(expert_TK, experts);
}

Tensor gather_rows(const Tensor& x_TD, const ExpertRows& rows) {
  check(x_TD.dim() == 2 && x_TD.size(0) == rows.place_TK.size(0), "[gather_rows] expected ", rows.place_TK.size(0), " tokens, got ",
        x_TD.sizes());
  Tensor y_SD;
  {
    const at::NoGradGuard no_grad;
    y_SD = gather_rows_ref(x_TD, rows);
  }
  if (!needs_grad({x_TD})) return y_SD;
  return differentiable("gather_rows", y_SD, {x_TD}, {rows.place_TK},
                        [](const Tensor& dy_SD, const Tensors& saved, const Wanted&) { return Tensors{sum_of_rows(dy_SD, saved[0])}; });
}

Tensor combine_rows(const Tensor& y_SD, const Tensor& gate_TK, const ExpertRows& rows) {
  check(y_SD.dim() == 2 && y_SD.size(0) == rows.token_S.size(0) && gate_TK.sizes() == rows.place_TK.sizes(), "[combine_rows] expected ",
        rows.token_S.size(0), " rows and gates ", rows.place_TK.sizes(), ", got ", y_SD.sizes(), " and ", gate_TK.sizes());
  return has_cpu_kernels(y_SD) && gate_TK.scalar_type() == at::kFloat ? combine_cpu(y_SD, gate_TK, rows)
                                                                      : combine_rows_ref(y_SD, gate_TK, rows);
}

}  // namespace r1::ops
