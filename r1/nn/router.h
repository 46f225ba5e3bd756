// Who gets a token in a mixture of experts, and how the load is kept even: scores of a linear map of the token (and, with `context`, of the
// mean of its sequence so far), ops/route's choice among them, a bias that a rule moves after each step, and a balance loss.
//
//   logits = W x_t            or  W [x_t ; c_t],  c_t = mean of x_0 .. x_t  (ops/running_mean; the engine keeps c in this layer's cache)
//   bias_e += gamma sign(mean load - load_e)  after each step (DeepSeek-V3, arXiv 2412.19437, section 2.1.2)
//
// The router computes in fp32 whatever the model's dtype; the bias is stored in fp32.
#pragma once

#include <string>

#include "r1/nn/layer_context.h"
#include "r1/nn/module.h"
#include "r1/ops/balance_loss.h"
#include "r1/ops/expert_rows.h"
#include "r1/ops/route.h"

namespace r1::nn {

struct RouterShape {
  int64_t dim = 0, experts = 0;
  ops::RouteOptions route;
  bool context = false;          // scores see the running mean of the sequence
  bool bias = true;              // in the choice
  double bias_update_speed = 0;  // gamma
  ops::Balance balance = ops::Balance::kSequence;
  double balance_weight = 0;  // alpha; 0: the loss is reported and not learned from
};

class Router : public Module {
 public:
  // `name`: of the layer ("layers.3.mlp"); what it records stands under name + ".load" (tokens an expert got, [E]) and ".balance_loss".
  Router(std::string name, const RouterShape& shape, const Placement& placement);
  // x [T, D]. `cache`: the layer's own, if the context is paged and has_cache().
  ops::Routes operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const;
  // What the layer gives, with the balance loss of these routes attached; in training only (LayerContext::training).
  Tensor balanced(const Tensor& y_TD, const ops::Routes& routes, const ops::ExpertRows& rows, const LayerContext& context) const;
  bool has_cache() const { return shape_.context; }
  int64_t cache_bytes(const ops::CacheForm& form) const;
  void parameters(ParameterList list) override;  // "router" and "router_bias"
  void after_step(const ForwardRecord& record) override;

 private:
  Tensor features(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const;

  std::string name_;
  RouterShape shape_;
  Tensor weight_EI_;  // I = D, or 2 D with context
  Tensor bias_E_;     // fp32; undefined: none
};

}  // namespace r1::nn
