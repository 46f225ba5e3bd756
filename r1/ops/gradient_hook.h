// To be told when a leaf of ATen's graph has the whole of its gradient: once in each backward pass that reaches it, when all uses of the leaf
// have added theirs and the sum stands in its .grad. For who passes gradients on while the backward still runs.
#pragma once

#include <functional>

#include "r1/tensor/tensor.h"

namespace r1::ops {

// `then` runs in the thread of the backward pass, may take the leaf's .grad away, and what it throws comes out of the backward. A leaf has one
// of them; an empty one takes it away.
void on_gradient(const Tensor& leaf, std::function<void()> then);

}  // namespace r1::ops
