// Token ids to vectors.
#pragma once

#include "r1/nn/module.h"

namespace r1::nn {

class Embedding : public Module {
 public:
  Embedding(int64_t vocab, int64_t dim, const Placement& placement) : weight_VD_(new_weight({vocab, dim}, placement)) {}
  Tensor operator()(const Tensor& ids_T) const;
  void parameters(ParameterList list) override { list.add("embedding", weight_VD_); }
  const Tensor& weight() const { return weight_VD_; }

 private:
  Tensor weight_VD_;
};

}  // namespace r1::nn
