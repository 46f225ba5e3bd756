// Token ids (or positions) to vectors, times a fixed factor. Ranks that share a network's layers have an equal part of the rows each.
#pragma once

#include "r1/nn/module.h"

namespace r1::nn {

class Embedding : public Module {
 public:
  // `scale`: rounded to the weight's dtype, as transformers has it.
  Embedding(int64_t vocab, int64_t dim, const Placement& placement, double scale = 1);
  Tensor operator()(const Tensor& ids_T) const;
  void parameters(ParameterList list) override { parameters(list, "embedding"); }
  void parameters(ParameterList list, const std::string& name) { list.add(name, weight_VD_); }
  const Weight& weight() const { return weight_VD_; }  // which a tied head shares

 private:
  dist::Group* ranks_;
  Weight weight_VD_;
  double scale_;
};

}  // namespace r1::nn
