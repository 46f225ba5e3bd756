#include "r1/ops/embedding.h"

#include "r1/base/error.h"

namespace r1::ops {

Tensor embedding(const Tensor& ids_T, const Tensor& weight_VD) {
  check(ids_T.dim() == 1 && ids_T.scalar_type() == at::kLong && weight_VD.dim() == 2,
        "[embedding] expected int64 ids [T] and weight [V, D], got ", ids_T.scalar_type(), " ", ids_T.sizes(), " and ", weight_VD.sizes());
  if (ids_T.is_cpu()) {
    const int64_t* ids = ids_T.const_data_ptr<int64_t>();
    for (int64_t t = 0; t < ids_T.size(0); ++t) {
      check(ids[t] >= 0 && ids[t] < weight_VD.size(0), "[embedding] expected ids below ", weight_VD.size(0), ", got ", ids[t], " at token ",
            t);
    }
  }
  return embedding_ref(ids_T, weight_VD);
}

}  // namespace r1::ops
