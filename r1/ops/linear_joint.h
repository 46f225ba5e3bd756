// Several linear maps of one x whose weights lie one below the other in one piece of memory, as one product: y [T, sum of the outputs].
#pragma once

#include <vector>

#include "r1/ops/autograd.h"
#include "r1/tensor/tensor.h"

namespace r1::ops {

struct JointWeights {
  Tensor weight_OI, bias_O;  // of all maps; the bias undefined if they have none
  Tensors weights, biases;   // each map's own: views of the above, in order; biases empty if there are none
};

// What `weights` (and `biases`, one each or none defined) are together if they lie so; nothing defined else. No copy.
JointWeights joint_weights(const Tensors& weights, const Tensors& biases);

// Gradients are those of each map's own weight and bias.
Tensor linear_joint(const Tensor& x_TI, const JointWeights& w);
Tensor linear_joint_ref(const Tensor& x_TI, const JointWeights& w);

}  // namespace r1::ops
