// How an op is tested: against its definition in fp64 on the same (rounded) inputs, result and gradients, for each dtype with its row of
// tolerances; and the definition against finite differences. One body for CPU and CUDA: a test named ...Cuda skips itself where there is no
// such device.
#pragma once

#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/ops/autograd.h"
#include "r1/tensor/aten.h"
#include "tests/cuda_device.h"

namespace r1::ops {

// Standard normal, fp64, a function of the seed.
inline Tensor randn(at::IntArrayRef shape, uint64_t seed) {
  Rng rng(seed);
  Tensor t = aten::empty(shape, at::kDouble);
  double* const values = t.mutable_data_ptr<double>();
  for (int64_t i = 0, n = t.numel(); i < n; ++i) values[i] = rng.normal();
  return t;
}

inline Tensor random_ids(int64_t count, int64_t below, uint64_t seed) {
  Rng rng(seed);
  Tensor t = aten::empty({count}, at::kLong);
  for (int64_t i = 0; i < count; ++i) t.mutable_data_ptr<int64_t>()[i] = rng.between(0, below - 1);
  return t;
}

// Largest |a - b| over the largest |b|.
inline double distance(const Tensor& a, const Tensor& b) {
  const Tensor x = a.detach().to(at::kCPU, at::kDouble), y = b.detach().to(at::kCPU, at::kDouble);
  EXPECT_EQ(x.sizes(), y.sizes());
  if (x.numel() == 0) return 0;
  return (x - y).abs().max().item<double>() / std::max(1e-6, y.abs().max().item<double>());
}

using Op = std::function<Tensor(const Tensors&)>;

struct Result {
  Tensor out;
  Tensors grads;  // of the float inputs, for output gradient `dout`
};

inline Result run(const Op& op, const Tensors& inputs, at::Device device, at::ScalarType type, const Tensor& dout) {
  Tensors leaves;
  for (const Tensor& t : inputs) leaves.push_back(t.to(device, type, false, true).requires_grad_());
  Result r;
  r.out = op(leaves);
  r.grads = gradients({r.out}, {dout.to(device, r.out.scalar_type())}, leaves);
  return r;
}

struct Tolerance {
  at::ScalarType type;
  double value, gradient;
};
inline const std::vector<Tolerance> kTolerances{{at::kFloat, 2e-5, 5e-5}, {at::kBFloat16, 2e-2, 3e-2}};

// op in each dtype against ref in fp64, both on inputs rounded to that dtype.
inline void expect_op_equals_ref(const Op& op, const Op& ref, const Tensors& inputs, at::Device device,
                                 const std::vector<Tolerance>& tolerances = kTolerances) {
  for (const Tolerance& tolerance : tolerances) {
    Tensors rounded;
    for (const Tensor& t : inputs) rounded.push_back(t.to(tolerance.type).to(at::kDouble));
    const Tensor dout = randn(ref(rounded).sizes(), 99).to(tolerance.type).to(at::kDouble);
    const Result want = run(ref, rounded, device, at::kDouble, dout), got = run(op, rounded, device, tolerance.type, dout);
    EXPECT_LE(distance(got.out, want.out), tolerance.value) << tolerance.type;
    for (size_t i = 0; i < inputs.size(); ++i) {
      EXPECT_LE(distance(got.grads[i], want.grads[i]), tolerance.gradient) << tolerance.type << " gradient of input " << i;
    }
    const c10::NoGradGuard no_grad;
    Tensors plain;
    for (const Tensor& t : rounded) plain.push_back(t.to(device, tolerance.type));
    EXPECT_TRUE(aten::equal(op(plain), got.out)) << "with and without a graph";
  }
}

// The definition's gradient (ATen's autograd) against central differences in fp64.
inline void expect_ref_gradient(const Op& ref, const Tensors& inputs) {
  const Tensor dout = randn(ref(inputs).sizes(), 77);
  const Result r = run(ref, inputs, at::kCPU, at::kDouble, dout);
  const double step = 1e-5;
  for (size_t n = 0; n < inputs.size(); ++n) {
    const Tensor numeric = aten::zeros(inputs[n].sizes(), at::kDouble);
    for (int64_t i = 0; i < inputs[n].numel(); ++i) {
      const auto loss_at = [&](double by) {
        Tensors moved = inputs;
        moved[n] = inputs[n].clone();
        moved[n].mutable_data_ptr<double>()[i] += by;
        return (ref(moved) * dout).sum().item<double>();
      };
      numeric.mutable_data_ptr<double>()[i] = (loss_at(step) - loss_at(-step)) / (2 * step);
    }
    EXPECT_LE(distance(r.grads[n], numeric), 1e-6) << "input " << n;
  }
}

}  // namespace r1::ops
