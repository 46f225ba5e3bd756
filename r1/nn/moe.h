// A mixture of experts in the MLP's place (DeepSeekMoE, arXiv 2401.06066; Qwen3-MoE without shared experts):
//   y_t = shared(x_t) + sum over the K experts e that the router chose for t of gate_te expert_e(x_t),   expert = SwiGLU MLP
// No token is dropped and no expert padded: rows are sorted by expert and go through one grouped product a projection. On the CPU a token's
// result does not depend on the other tokens, bit for bit.
//
// The experts' matrices of a projection are one tensor [E, out, in]: what a grouped product reads. Files have one tensor an expert
// (model/weights). Ranks that share the layer (nn/tensor_parallel) have some neurons of every expert: each works on all chosen rows, so their
// loads are even whatever the router does. The router is whole on every rank.
#pragma once

#include <memory>

#include "r1/nn/feed_forward.h"
#include "r1/nn/mlp.h"
#include "r1/nn/router.h"

namespace r1::nn {

struct MoeShape {
  RouterShape router;
  int64_t inner = 0;         // F, of one routed expert
  int64_t shared_inner = 0;  // of all shared experts together, which are one MLP; 0: none
};

class Moe : public FeedForward {
 public:
  // `name`: as the layer stands in the model ("layers.3.mlp"); see Router.
  Moe(const std::string& name, const MoeShape& shape, const Placement& placement);
  Tensor operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const override;
  bool has_cache() const override { return router_.has_cache(); }
  int64_t cache_bytes(const ops::CacheForm& form) const override { return router_.cache_bytes(form); }
  void parameters(ParameterList list) override;
  void after_step(const ForwardRecord& record) override { router_.after_step(record); }

 private:
  int64_t experts_;
  dist::Group* ranks_;
  Router router_;
  Weight gate_EFD_, up_EFD_, down_EDF_;
  std::unique_ptr<Mlp> shared_;  // null: none
};

}  // namespace r1::nn
