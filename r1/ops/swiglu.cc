#include "r1/ops/swiglu.h"

#include "r1/base/error.h"

namespace r1::ops {

Tensor swiglu(const Tensor& gate_TF, const Tensor& up_TF) {
  check(gate_TF.sizes() == up_TF.sizes() && gate_TF.scalar_type() == up_TF.scalar_type(),
        "[swiglu] expected gate and up of one shape and dtype, got ", gate_TF.sizes(), " and ", up_TF.sizes());
  return swiglu_ref(gate_TF, up_TF);
}

}  // namespace r1::ops
