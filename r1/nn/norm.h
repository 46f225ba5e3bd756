// Norms with their weights.
#pragma once

#include "r1/nn/layer_context.h"
#include "r1/nn/module.h"
#include "r1/ops/add_norm.h"

namespace r1::nn {

// What may stand before (and after) a layer, and at the end of the network.
class Norm : public Module {
 public:
  virtual Tensor operator()(const Tensor& x, const LayerContext& context) const = 0;
  // x + delta, and the norm of that.
  virtual ops::AddNormed add(const Tensor& x, const Tensor& delta, const LayerContext& context) const;
  // Lists the weight as `name`, and whatever else there is as name + "_<what>".
  virtual void parameters(ParameterList list, const std::string& name) = 0;
  void parameters(ParameterList list) override { parameters(list, "weight"); }
};

// Nothing stands there: what the others are measured against.
class NoNorm : public Norm {
 public:
  Tensor operator()(const Tensor& x, const LayerContext&) const override { return x; }
  using Norm::parameters;
  void parameters(ParameterList, const std::string&) override {}
};

class RmsNorm : public Norm {
 public:
  // offset 1: the weight is held as its distance from 1 (Gemma).
  RmsNorm(int64_t dim, double eps, const Placement& placement, double offset = 0)
      : weight_D_(new_weight({dim}, placement)), eps_(eps), offset_(offset) {}
  Tensor operator()(const Tensor& x) const;
  Tensor operator()(const Tensor& x, const LayerContext&) const override { return (*this)(x); }
  ops::AddNormed add(const Tensor& x, const Tensor& delta, const LayerContext& context) const override;
  using Norm::parameters;
  void parameters(ParameterList list, const std::string& name) override { list.add(name, weight_D_); }
  const Tensor& weight() const { return weight_D_; }

 private:
  Tensor weight_D_;
  double eps_, offset_;
};

class LayerNorm : public Norm {
 public:
  LayerNorm(int64_t dim, double eps, const Placement& placement)
      : weight_D_(new_weight({dim}, placement)), bias_D_(new_weight({dim}, placement)), eps_(eps) {}
  Tensor operator()(const Tensor& x, const LayerContext&) const override;
  ops::AddNormed add(const Tensor& x, const Tensor& delta, const LayerContext& context) const override;
  using Norm::parameters;
  void parameters(ParameterList list, const std::string& name) override;

 private:
  Tensor weight_D_, bias_D_;
  double eps_;
};

}  // namespace r1::nn
