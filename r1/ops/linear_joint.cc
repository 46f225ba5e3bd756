#include "r1/ops/linear_joint.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/ops/column_sums.h"
#include "r1/ops/linear.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// One tensor over all of `parts`, dense along their first axis, if the next begins where one ends.
Tensor over(const Tensors& parts) {
  int64_t rows = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Tensor& part = parts[i];
    const bool follows = i == 0 || (part.storage().is_alias_of(parts[0].storage()) && part.scalar_type() == parts[0].scalar_type() &&
                                    part.storage_offset() == parts[0].storage_offset() + rows * parts[0].stride(0) &&
                                    part.sizes().slice(1) == parts[0].sizes().slice(1));
    if (!follows || !part.is_contiguous() || part.is_meta()) return {};
    rows += part.size(0);
  }
  std::vector<int64_t> shape = parts[0].sizes().vec();
  shape[0] = rows;
  return parts[0].detach().as_strided(shape, parts[0].strides());
}

Tensors split(const Tensor& joint, const Tensors& like) {
  Tensors parts;
  int64_t begin = 0;
  for (const Tensor& t : like) {
    parts.push_back(joint.defined() ? joint.narrow(0, begin, t.size(0)) : Tensor());
    begin += t.size(0);
  }
  return parts;
}

}  // namespace

JointWeights joint_weights(const Tensors& weights, const Tensors& biases) {
  JointWeights w{.weight_OI = over(weights)};
  if (!w.weight_OI.defined()) return {};
  w.weights = weights;
  if (biases.empty() || !biases[0].defined()) return w;
  w.biases = biases;
  w.bias_O = over(biases);
  return w.bias_O.defined() ? w : JointWeights();
}

Tensor linear_joint(const Tensor& x_TI, const JointWeights& w) {
  check(w.weight_OI.defined(), "[linear_joint] expected weights that lie together");
  Tensors inputs{x_TI};
  inputs.insert(inputs.end(), w.weights.begin(), w.weights.end());
  inputs.insert(inputs.end(), w.biases.begin(), w.biases.end());
  Tensor x, y_TO;
  {
    const at::NoGradGuard no_grad;
    x = x_TI.contiguous();
    y_TO = ops::linear(x, w.weight_OI, w.bias_O);
  }
  if (!needs_grad(inputs)) return y_TO;
  const size_t maps = w.weights.size(), biases = w.biases.size();
  return differentiable("linear_joint", y_TO, inputs, {x, w.weight_OI},
                        [maps, biases, weights = w.weights](const Tensor& dy, const Tensors& saved, const Wanted& want) {
                          const Tensor dy_TO = dy.contiguous();
                          const auto wanted = [&](size_t first, size_t count) {
                            for (size_t i = first; i < first + count; ++i)
                              if (want[i]) return true;
                            return false;
                          };
                          Tensors grads{want[0] ? aten::matmul(dy_TO, saved[1]) : Tensor()};
                          const Tensor dweight_OI = wanted(1, maps) ? aten::matmul(dy_TO.t(), saved[0]) : Tensor();
                          const Tensor dbias_O = wanted(1 + maps, biases) ? column_sums(dy_TO) : Tensor();
                          for (const Tensor& part : split(dweight_OI, weights)) grads.push_back(part);
                          if (biases > 0)
                            for (const Tensor& part : split(dbias_O, weights)) grads.push_back(part);
                          return grads;
                        });
}

Tensor linear_joint_ref(const Tensor& x_TI, const JointWeights& w) {
  Tensors y;
  for (size_t i = 0; i < w.weights.size(); ++i) y.push_back(linear_ref(x_TI, w.weights[i], w.biases.empty() ? Tensor() : w.biases[i]));
  return aten::cat(y, 1);
}

}  // namespace r1::ops
