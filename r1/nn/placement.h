// Where and in what a layer's weights live.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::nn {

// The ranks that share a layer's work, and which of them this is: what a layer's share is computed from. No communicator; those are dist::Group.
struct Group {
  int64_t rank = 0, size = 1;
};

struct Placement {
  at::Device device = at::kCPU;
  at::ScalarType dtype = at::kFloat;
  // The layers made (model/layers) hold this rank's share of heads and neurons, and what they give is to be summed over the group.
  Group group = {};
  // Weights take no memory until they are loaded (nn/weight).
  bool deferred = false;
};
// Uninitialised, and never deferred.
Tensor new_weight(at::IntArrayRef shape, const Placement& placement);

}  // namespace r1::nn
