#include "r1/ops/gradient_hook.h"

#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <memory>
#include <utility>

#include "r1/base/error.h"

namespace r1::ops {
namespace {

class GradientHook : public torch::autograd::PostAccumulateGradHook {
 public:
  explicit GradientHook(std::function<void()> then) : then_(std::move(then)) {}
  void operator()(const torch::autograd::Variable&) override { then_(); }

 private:
  std::function<void()> then_;
};

}  // namespace

void on_gradient(const Tensor& leaf, std::function<void()> then) {
  check(leaf.is_leaf() && leaf.requires_grad(), "[on_gradient] expected a leaf that requires a gradient");
  torch::autograd::impl::set_post_acc_grad_hooks(leaf, then ? std::make_unique<GradientHook>(std::move(then)) : nullptr);
}

}  // namespace r1::ops
