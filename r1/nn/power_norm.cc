#include "r1/nn/power_norm.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "r1/tensor/aten.h"

namespace r1::nn {

namespace {

constexpr double kAlpha = 0.9;  // share of the old statistics that a step keeps

}  // namespace

PowerNorm::PowerNorm(std::string name, int64_t dim, double eps, const Placement& placement)
    : name_(std::move(name)), eps_(eps), weight_D_(new_weight({dim}, placement)), bias_D_(new_weight({dim}, placement)) {
  const Placement wide{placement.device, at::kFloat};
  square_D_ = new_weight({dim}, wide);
  nu_D_ = new_weight({dim}, wide);
  count_1_ = new_weight({1}, wide);
}

ops::PowerNormState PowerNorm::state() const {
  return {square_D_ + (count_1_ == 0), nu_D_};  // a new norm's squares are 0
}

Tensor PowerNorm::operator()(const Tensor& x, const LayerContext& context) const {
  std::function<void(const ops::PowerNormSums&)> seen;
  if (context.record)
    seen = [name = name_, tokens = double(x.size(0)), record = context.record](const ops::PowerNormSums& sums) {
      record->add(name + ".squares", sums.squares_D);
      record->add(name + ".lambda", sums.lambda_D);
      record->add(name + ".tokens", aten::full({1}, tokens, at::kDouble));
    };
  return ops::power_norm(x, weight_D_, bias_D_, state(), eps_, seen);
}

void PowerNorm::parameters(ParameterList list, const std::string& name) {
  list.add(name, weight_D_);
  list.add(name + "_bias", bias_D_);
  list.add(name + "_square", square_D_);
  list.add(name + "_nu", nu_D_);
  list.add(name + "_count", count_1_);
}

void PowerNorm::after_step(const ForwardRecord& record) {
  const auto squares = record.sums.find(name_ + ".squares");
  if (squares == record.sums.end()) return;
  const at::NoGradGuard no_grad;
  const ops::PowerNormState now = state();
  ops::power_norm_step(now, {.sums = {squares->second, record.sums.at(name_ + ".lambda")},
                             .tokens = record.sums.at(name_ + ".tokens").item<double>(),
                             .rate = std::max(1 - kAlpha, 1 / (count_1_.item<double>() + 1)),
                             .nu_rate = 1 - kAlpha,
                             .eps = eps_});
  square_D_.copy_(now.square_D);
  count_1_.add_(1);
}

}  // namespace r1::nn
