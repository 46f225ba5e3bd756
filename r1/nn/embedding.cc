#include "r1/nn/embedding.h"

#include "r1/nn/tensor_parallel.h"
#include "r1/tensor/aten.h"

namespace r1::nn {

Embedding::Embedding(int64_t vocab, int64_t dim, const Placement& placement, double scale)
    : ranks_(placement.ranks),
      weight_VD_({vocab / placement.group.size, dim}, placement),
      scale_(aten::scalar_tensor(scale, at::TensorOptions().dtype(placement.dtype)).item<double>()) {}

Tensor Embedding::operator()(const Tensor& ids_T) const {
  const Tensor x_TD = shared_lookup(weight_VD_, ids_T, ranks_);
  return scale_ == 1 ? x_TD : x_TD * scale_;
}

}  // namespace r1::nn
