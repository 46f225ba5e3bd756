// Dropout whose mask is a pure function of (seed, stream, element): recomputing a block and resuming a run give the same mask, on any
// number of threads and on any device. Element i of the flattened x is kept, and scaled by 1/(1-p), if word i % 4 of Philox4x32-10
// (base/rng.h) at counter i / 4 of (seed, stream) is at least p * 2^32.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

// p in [0, 1); 0 returns x itself. `stream` tells the uses of one forward apart.
Tensor dropout(const Tensor& x, double p, uint64_t seed, uint64_t stream);
Tensor dropout_ref(const Tensor& x, double p, uint64_t seed, uint64_t stream);
// 0 or 1/(1-p) for each element, fp32: the mask itself.
Tensor dropout_mask_ref(at::IntArrayRef shape, at::Device device, double p, uint64_t seed, uint64_t stream);

}  // namespace r1::ops
