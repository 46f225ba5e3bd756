
#include <vector>

#include "r1/ops/grouped_linear.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

Tensor grouped_linear_ref(const Tensor& x_SI, const Tensor& weight_EOI, const Tensor& ends_E) {
  const Tensor ends = ends_E.to(at::kCPU);
  std::vector<Tensor> parts;
  int64_t begin = 0;
  for (int64_t e = 0; e < weight_EOI.size(0); ++e) {
    const int64_t end = ends.const_data_ptr<int32_t>()[e];
    parts.push_back(aten::matmul(x_SI.narrow(0, begin, end - begin), weight_EOI.select(0, e).t()));
    begin = end;
  }
  return aten::cat(parts, 0);
}

}  // namespace r1::ops
