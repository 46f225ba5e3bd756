// The one door to libtorch: the tensor type and nothing else. Operators and arithmetic signs come from r1/tensor/aten.h, which costs little
// more than this; single <ATen/ops/x.h>, torch/torch.h, ATen/ATen.h and torch/nn.h are never included (a guard test holds that).
#pragma once

#include <ATen/core/Tensor.h>

namespace r1 {

using Tensor = at::Tensor;

}  // namespace r1
