#include <ATen/core/grad_mode.h>

#include <cmath>

#include "r1/ops/optimizer_step.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

void adamw_step_ref(Tensor& w, const Tensor& g, Tensor& m, Tensor& v, const AdamW& o) {
  at::NoGradGuard no_grad;
  const Tensor grad = g * o.gradient_scale;
  w.mul_(1 - o.lr * o.weight_decay);
  m.mul_(o.beta1).add_(grad, 1 - o.beta1);
  v.mul_(o.beta2).addcmul_(grad, grad, 1 - o.beta2);
  const Tensor denominator = v.sqrt() / std::sqrt(1 - std::pow(o.beta2, double(o.t))) + o.epsilon;
  w.addcdiv_(m, denominator, -o.lr / (1 - std::pow(o.beta1, double(o.t))));
}

}  // namespace r1::ops
