#include "r1/ops/dropout.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include "r1/base/error.h"
#include "r1/base/rng.h"

namespace r1::ops {

Tensor dropout_mask(at::IntArrayRef shape, at::Device device, double p, uint64_t seed, uint64_t stream) {
  check(p >= 0 && p < 1, "[dropout] expected p in [0, 1), got ", p);
  Tensor mask = at::empty(shape, at::kFloat);
  float* out = mask.mutable_data_ptr<float>();
  const uint32_t threshold = uint32_t(p * 4294967296.0);
  const float keep = float(1 / (1 - p));
  const int64_t count = mask.numel();
  at::parallel_for(0, (count + 3) / 4, 1024, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto bits = philox4x32({uint32_t(i), uint32_t(uint64_t(i) >> 32), uint32_t(stream), uint32_t(stream >> 32)},
                                   {uint32_t(seed), uint32_t(seed >> 32)});
      for (int64_t j = 4 * i; j < std::min(4 * i + 4, count); ++j) out[j] = bits[j - 4 * i] >= threshold ? keep : 0.0f;
    }
  });
  return mask.to(device);
}

Tensor dropout(const Tensor& x, double p, uint64_t seed, uint64_t stream) {
  if (p == 0) return x;
  return x * dropout_mask(x.sizes(), x.device(), p, seed, stream).to(x.scalar_type());
}

}  // namespace r1::ops
