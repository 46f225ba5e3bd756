#include "r1/nn/embedding.h"

#include "r1/ops/embedding.h"

namespace r1::nn {

Tensor Embedding::operator()(const Tensor& ids_T) const {
  return ops::embedding(ids_T, weight_VD_);
}

}  // namespace r1::nn
