#include "r1/ops/autograd.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/edge.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <mutex>

#include "r1/base/error.h"

namespace r1::ops {
namespace {

namespace ag = torch::autograd;

// A node of ATen's graph that runs our closure.
class ClosureNode : public ag::Node {
 public:
  ClosureNode(const char* name, BackwardMany backward) : name_(name), backward_(std::move(backward)) {}

  void save(const Tensors& tensors, const Tensors& outputs) {
    saved_.reserve(tensors.size());
    for (const Tensor& t : tensors) {
      const auto is_t = [&](const Tensor& output) { return t.defined() && t.is_same(output); };
      saved_.emplace_back(t, /*is_output=*/std::any_of(outputs.begin(), outputs.end(), is_t));
    }
  }

  ag::variable_list apply(ag::variable_list&& grads) override {
    if (c10::GradMode::is_enabled()) fail("[", name_, "] has no double backward: run the backward pass without create_graph");
    const size_t inputs = num_outputs();
    if (std::none_of(grads.begin(), grads.end(), [](const Tensor& g) { return g.defined(); })) return ag::variable_list(inputs);
    Wanted want(inputs);
    for (size_t i = 0; i < inputs; ++i) want[i] = task_should_compute_output(i);
    return backward_(grads, unpack(), want);
  }

  void release_variables() override {
    std::lock_guard<std::mutex> lock(mutex_);
    for (ag::SavedVariable& s : saved_) s.reset_data();
    released_ = true;
  }

  std::string name() const override { return str("R1Backward<", name_, ">"); }

 private:
  Tensors unpack() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (released_) fail("[", name_, "] backward was run a second time, its saved tensors are gone");
    Tensors tensors;
    tensors.reserve(saved_.size());
    for (const ag::SavedVariable& s : saved_) tensors.push_back(s.unpack(getptr()));
    return tensors;
  }

  const char* name_;
  BackwardMany backward_;
  std::vector<ag::SavedVariable> saved_;
  bool released_ = false;
};

}  // namespace

bool needs_grad(const Tensors& inputs) {
  if (!c10::GradMode::is_enabled()) return false;
  for (const Tensor& t : inputs) {
    if (t.defined() && t.requires_grad()) return true;
  }
  return false;
}

bool needs_grad(std::initializer_list<Tensor> inputs) {
  if (!c10::GradMode::is_enabled()) return false;
  for (const Tensor& t : inputs) {
    if (t.defined() && t.requires_grad()) return true;
  }
  return false;
}

Tensors differentiable_many(const char* name, Tensors outputs, const Tensors& inputs, const Tensors& saved, BackwardMany backward) {
  const std::shared_ptr<ClosureNode> node(new ClosureNode(name, std::move(backward)), ag::deleteNode);
  ag::edge_list edges;
  edges.reserve(inputs.size());
  for (const Tensor& t : inputs) edges.push_back(t.defined() ? ag::impl::gradient_edge(t) : ag::Edge());
  node->set_next_edges(std::move(edges));
  for (Tensor& output : outputs) ag::set_history(output, node);
  node->save(saved, outputs);
  return outputs;
}

Tensor differentiable(const char* name, Tensor output, const Tensors& inputs, const Tensors& saved, Backward backward) {
  return differentiable_many(name, {std::move(output)}, inputs, saved,
                             [backward = std::move(backward)](const Tensors& dys, const Tensors& tensors, const Wanted& want) {
                               return backward(dys[0], tensors, want);
                             })[0];
}

Tensors gradients(const Tensors& outputs, const Tensors& output_grads, const Tensors& inputs) {
  return ag::grad(outputs, inputs, output_grads, /*retain_graph=*/std::nullopt, /*create_graph=*/false, /*allow_unused=*/true);
}

}  // namespace r1::ops
