// What a layer owns. A layer is a struct of Tensors and smaller layers; it lists them once, by local name, and the weight table, the
// optimizer, load and save all work from that list. The tensors are the slots themselves: whoever fills one in place has changed the model.
#pragma once

#include <string>
#include <vector>

#include "r1/nn/weight.h"
#include "r1/tensor/tensor.h"

namespace r1::nn {

struct Parameter {
  std::string name;  // "layers.3.attention.q"
  Tensor* tensor;
  Weight* weight = nullptr;  // whose slot it is; null: a plain tensor that is never packed
};

// Collects under a prefix: list.add("q", q_); inner.parameters(list.under("attention")).
class ParameterList {
 public:
  explicit ParameterList(std::vector<Parameter>& all, std::string prefix = "") : all_(all), prefix_(std::move(prefix)) {}
  void add(const std::string& name, Tensor& tensor) { all_.push_back({prefix_ + name, &tensor}); }
  void add(const std::string& name, Weight& weight) { all_.push_back({prefix_ + name, &weight.slot(), &weight}); }
  ParameterList under(const std::string& name) const { return ParameterList(all_, prefix_ + name + "."); }

 private:
  std::vector<Parameter>& all_;
  std::string prefix_;
};

struct ForwardRecord;

class Module {
 public:
  Module() = default;
  Module(const Module&) = delete;  // slots are pointed at
  Module& operator=(const Module&) = delete;
  virtual ~Module() = default;
  virtual void parameters(ParameterList list) = 0;
  // When all weights are there (made, or loaded): a layer may move them to where its products want them.
  virtual void arrange() {}
  // After each optimizer step, with what the step's forwards recorded: what is learned by rule and not by gradient (a router's bias).
  virtual void after_step(const ForwardRecord&) {}
};

}  // namespace r1::nn
