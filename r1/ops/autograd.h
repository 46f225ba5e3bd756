// How an op with its own backward joins ATen's autograd, without the price of torch/csrc/autograd/custom_function.h (7 s a file): a result
// that is computed already is given a closure that turns its gradient into the gradients of its inputs. Leaves out double backward (refused
// by name) and in-place ops.
//
//   Tensor y = kernel(x, w);  // under no_grad
//   if (!needs_grad({x, w})) return y;
//   return differentiable("rms_norm", y, {x, w}, {x, w}, [eps](const Tensor& dy, const Tensors& saved, const Wanted& want) {
//     ...
//     return Tensors{dx, dw};
//   });
#pragma once

#include <functional>
#include <initializer_list>
#include <vector>

#include "r1/tensor/tensor.h"

namespace r1::ops {

using Tensors = std::vector<Tensor>;
using Wanted = std::vector<bool>;  // [inputs] which gradients somebody waits for; the others may come back undefined

// Grad mode is on and one of them (undefined ones are skipped) requires grad.
bool needs_grad(std::initializer_list<Tensor> inputs);
bool needs_grad(const Tensors& inputs);

// Gets dy (defined), the tensors saved at the forward and what is wanted; returns one gradient an input, undefined where there is none.
using Backward = std::function<Tensors(const Tensor& dy, const Tensors& saved, const Wanted& want)>;

// `saved` may hold inputs, the output itself and intermediate tensors; a saved tensor changed in place before the backward is an error
// there, as in ATen. What the closure captures must be no tensor that requires grad.
Tensor differentiable(const char* name, Tensor output, const Tensors& inputs, const Tensors& saved, Backward backward);

// The same for an op with several outputs: the backward gets one gradient an output, undefined where nothing flowed into it (never all of
// them). The outputs must be tensors of their own, no views of one another.
using BackwardMany = std::function<Tensors(const Tensors& dys, const Tensors& saved, const Wanted& want)>;
Tensors differentiable_many(const char* name, Tensors outputs, const Tensors& inputs, const Tensors& saved, BackwardMany backward);

// d(outputs)/d(inputs) for the checkpointing of nn/block and for tests: gradients of sum(outputs * output_grads); undefined where nothing
// flows.
Tensors gradients(const Tensors& outputs, const Tensors& output_grads, const Tensors& inputs);

}  // namespace r1::ops
