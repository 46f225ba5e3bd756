// What an optimizer does to one tensor or to all of a step, and the sums that clipping needs. State is fp32, updated in place; nothing here
// knows of models or schedules.
//
//   AdamW (Loshchilov & Hutter, "Decoupled Weight Decay Regularization", the form of torch.optim.AdamW):
//     w *= 1 - lr * weight_decay;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2
//     w -= lr / (1-b1^t) * m / (sqrt(v) / sqrt(1-b2^t) + eps)
//   Muon (Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024): momentum, Nesterov look-ahead, and the update's
//   nearest
//     orthogonal matrix by five Newton-Schulz steps, times sqrt(max(1, rows/columns)).
//
// CPU: every element and every block of a sum is computed alike whatever the number of threads, so results are bitwise reproducible.
// CUDA: the ops on all tensors are one launch each (the norm: two), and nothing in them waits for the device.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "r1/tensor/tensor.h"

namespace r1::ops {

struct AdamW {
  double lr = 0, beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weight_decay = 0;
  int64_t t = 1;              // counts updates from 1
  double gradient_scale = 1;  // g is multiplied by this first (clipping)
};

// All fp32, contiguous, of one shape, on one device.
void adamw_step(Tensor& w, const Tensor& g, Tensor& m, Tensor& v, const AdamW& options);
void adamw_step_ref(Tensor& w, const Tensor& g, Tensor& m, Tensor& v, const AdamW& options);

// ---- All tensors of a step. Undefined gradients are left out everywhere.
// sums[i] += gradients[i], fp32, contiguous; an undefined sum begins with the gradient. Gradients fp32 or bf16.
void add_gradients(std::span<Tensor> sums, std::span<const Tensor> gradients);

// What is to be known before an update, where the update is made: nobody needs to wait for it.
struct Verdict {
  double loss = 0, norm = 0;
  double scale = 1;  // what the gradients are to be multiplied by
  bool good = true;  // loss and norm are finite
};
// The verdict on a step, double [4] on the gradients' device, in this order: the norm is that of all gradients (fp32 or bf16) together,
// the scale clips it to max_norm (0: never). `loss`: double, 0-dim, on that device.
Tensor judge_gradients(std::span<const Tensor> gradients, const Tensor& loss, double max_norm);
// The same where the sum of all squares is known already (of gradients that lie on several ranks); reads the loss.
Tensor judge_squares(double squares, const Tensor& loss, double max_norm);
// The same on the host; waits for the device.
Verdict read_verdict(const Tensor& verdict);

struct AdamWRow {
  Tensor w, gradient, m, v;  // w, m, v fp32; the gradient fp32 or bf16; contiguous, of one shape
  Tensor rounded;            // bf16: receives w after the update; undefined: nobody wants it
  double weight_decay = 0;
};
// AdamW on all of them if the verdict is good, else nothing: weight decay is each row's, the gradient's scale the verdict's.
void adamw_steps(std::span<const AdamWRow> rows, const AdamW& options, const Tensor& verdict);

struct Muon {
  double lr = 0, momentum = 0.95, weight_decay = 0, gradient_scale = 1;
};

// w, g, momentum fp32 [rows, columns].
void muon_step(Tensor& w, const Tensor& g, Tensor& momentum, const Muon& options);
// Many of them. On the CPU small matrices go side by side, each on one thread: to share out the fifteen products of one between threads
// costs more than it brings, and beside other busy processes many times more.
struct MuonUpdate {
  Tensor w, gradient, momentum;
  Muon options;
};
void muon_steps(const std::vector<MuonUpdate>& updates);

// The factor U V^T of the singular value decomposition, roughly (singular values land in about 0.7 .. 1.2): quintic Newton-Schulz.
Tensor newton_schulz(const Tensor& g, int steps = 5);

// Sum of squares in fp64, a 0-dim tensor on x's device; not finite exactly if an element is not.
Tensor squared_sum(const Tensor& x);

}  // namespace r1::ops
