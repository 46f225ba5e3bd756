#include "r1/nn/placement.h"

#include "r1/tensor/aten.h"

namespace r1::nn {

Tensor new_weight(at::IntArrayRef shape, const Placement& placement) {
  return aten::empty(shape, at::TensorOptions().device(placement.device).dtype(placement.dtype));
}

}  // namespace r1::nn
