// x_TD[t] = weight_VD[ids_T[t]]. The backward adds rows in order of t, so it is the same whatever the number of threads (CPU), and
// on CUDA every time, in fp32 and rounded once.
//   ids int64 [T] in [0, V), checked on the CPU; weight [V, D].
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

Tensor embedding(const Tensor& ids_T, const Tensor& weight_VD);
Tensor embedding_ref(const Tensor& ids_T, const Tensor& weight_VD);

}  // namespace r1::ops
