
#include "r1/ops/embedding.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

Tensor embedding_ref(const Tensor& ids_T, const Tensor& weight_VD) {
  return aten::index_select(weight_VD, 0, ids_T);
}

}  // namespace r1::ops
