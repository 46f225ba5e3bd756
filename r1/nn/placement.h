// Where and in what a layer's weights live.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::dist {
class Group;
}

namespace r1::nn {

// The ranks that share a layer's work, and which of them this is: what a layer's share is computed from.
struct Group {
  int64_t rank = 0, size = 1;
};

struct Placement {
  at::Device device = at::kCPU;
  at::ScalarType dtype = at::kFloat;
  // The layers made (model/layers) hold this rank's share of heads and neurons, and what they give is to be summed over the group.
  Group group = {};
  // The same ranks as they talk: then the layers sum (nn/tensor_parallel). Null: they do not, and who runs them adds up.
  dist::Group* ranks = nullptr;
  // Weights take no memory until they are loaded (nn/weight).
  bool deferred = false;

  // For what every rank has whole, or what is a part of something that is summed as one.
  Placement alone() const { return {.device = device, .dtype = dtype, .deferred = deferred}; }
  Placement unsummed() const { return {.device = device, .dtype = dtype, .group = group, .deferred = deferred}; }
};
// Uninitialised, and never deferred.
Tensor new_weight(at::IntArrayRef shape, const Placement& placement);

}  // namespace r1::nn
