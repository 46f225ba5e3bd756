#include "r1/nn/embedding.h"

#include "r1/tensor/aten.h"

namespace r1::nn {

Embedding::Embedding(int64_t vocab, int64_t dim, const Placement& placement, double scale)
    : weight_VD_({vocab, dim}, placement), scale_(aten::scalar_tensor(scale, at::TensorOptions().dtype(placement.dtype)).item<double>()) {}

Tensor Embedding::operator()(const Tensor& ids_T) const {
  const Tensor x_TD = weight_VD_.lookup(ids_T);
  return scale_ == 1 ? x_TD : x_TD * scale_;
}

}  // namespace r1::nn
