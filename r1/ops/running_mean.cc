#include "r1/ops/running_mean.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <vector>

#include "r1/base/error.h"
#include "r1/ops/autograd.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// The recurrence for one token; `before`: null at position 0.
void step(const float* x, const float* before, float* c, int64_t position, int64_t dim) {
  const float count = float(position + 1);
  for (int64_t i = 0; i < dim; ++i) c[i] = before ? before[i] + (x[i] - before[i]) / count : x[i];
}

// c_t is the mean, so x_i has the gradient sum over t >= i of dc_t / (t + 1), added from the last token on.
Tensor backward(const Tensor& dc_TD, const std::vector<int32_t>& cu_seqlens, at::ScalarType type) {
  const int64_t dim = dc_TD.size(1);
  const Tensor dx_TD = aten::empty({dc_TD.size(0), dim}, dc_TD.options().dtype(at::kFloat));
  const float* dc = dc_TD.const_data_ptr<float>();
  float* dx = dx_TD.mutable_data_ptr<float>();
  for (size_t s = 0; s + 1 < cu_seqlens.size(); ++s) {
    for (int64_t t = cu_seqlens[s + 1] - 1; t >= cu_seqlens[s]; --t) {
      const float count = float(t - cu_seqlens[s] + 1);
      const float* after = t + 1 < cu_seqlens[s + 1] ? dx + (t + 1) * dim : nullptr;
      for (int64_t i = 0; i < dim; ++i) dx[t * dim + i] = dc[t * dim + i] / count + (after ? after[i] : 0.0f);
    }
  }
  return dx_TD.to(type);
}

Tensor running_mean_cpu(const Tensor& x_TD, const std::vector<int32_t>& cu_seqlens) {
  const int64_t dim = x_TD.size(1);
  Tensor c_TD;
  {
    const at::NoGradGuard no_grad;
    const Tensor x = x_TD.to(at::kFloat).contiguous();
    c_TD = aten::empty(x.sizes(), x.options());
    float* c = c_TD.mutable_data_ptr<float>();
    for (size_t s = 0; s + 1 < cu_seqlens.size(); ++s) {
      for (int64_t t = cu_seqlens[s]; t < cu_seqlens[s + 1]; ++t)
        step(x.const_data_ptr<float>() + t * dim, t > cu_seqlens[s] ? c + (t - 1) * dim : nullptr, c + t * dim, t - cu_seqlens[s], dim);
    }
  }
  if (!needs_grad({x_TD})) return c_TD;
  return differentiable("running_mean", c_TD, {x_TD}, {},
                        [cu_seqlens, type = x_TD.scalar_type()](const Tensor& dc, const Tensors&, const Wanted&) {
                          return Tensors{backward(dc.contiguous(), cu_seqlens, type)};
                        });
}

Tensor paged_cpu(const Tensor& x_TD, const Tensor& cache, const Sequences& sequences) {
  const int64_t dim = x_TD.size(1);
  const Tensor x = x_TD.to(at::kFloat).contiguous(), c_TD = aten::empty(x.sizes(), x.options());
  auto* pool = static_cast<uint8_t*>(cache.mutable_data_ptr());
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const std::vector<int32_t>& blocks = sequences.block_tables[size_t(s)];
    const auto slot = [&](int64_t position) {
      return reinterpret_cast<float*>(pool + blocks[size_t(position / sequences.block_size)] * cache.stride(0)) +
             position % sequences.block_size * dim;
    };
    int64_t position = sequences.context_lens[size_t(s)];
    for (int64_t t = sequences.cu_seqlens[size_t(s)]; t < sequences.cu_seqlens[size_t(s) + 1]; ++t, ++position) {
      float* c = slot(position);
      step(x.const_data_ptr<float>() + t * dim, position > 0 ? slot(position - 1) : nullptr, c, position, dim);
      std::copy(c, c + dim, c_TD.mutable_data_ptr<float>() + t * dim);
    }
  }
  return c_TD;
}

void check_rows(const Tensor& x_TD, const Sequences& sequences) {
  check(x_TD.dim() == 2 && x_TD.size(0) == sequences.tokens(), "[running_mean] expected x [", sequences.tokens(), ", D], got ",
        x_TD.sizes());
}

}  // namespace

Tensor running_mean(const Tensor& x_TD, const Sequences& sequences) {
  check_rows(x_TD, sequences);
  check(!sequences.paged(), "[running_mean] expected the training form, got a paged one");
  return x_TD.is_cpu() && x_TD.scalar_type() != at::kDouble ? running_mean_cpu(x_TD, sequences.cu_seqlens)
                                                            : running_mean_ref(x_TD, sequences);
}

Tensor paged_running_mean(const Tensor& x_TD, const Tensor& cache, const Sequences& sequences) {
  check_rows(x_TD, sequences);
  check(sequences.paged(), "[paged_running_mean] expected block tables, got none");
  const int64_t bytes = paged_running_mean_bytes(x_TD.size(1), sequences.block_size);
  check(cache.dim() == 2 && cache.size(1) == bytes && cache.scalar_type() == at::kByte && cache.size(0) >= sequences.block_bound,
        "[paged_running_mean] expected a cache of at least ", sequences.block_bound, " blocks of ", bytes, " bytes, got ",
        cache.scalar_type(), " ", cache.sizes());
  const at::NoGradGuard no_grad;
  return x_TD.is_cpu() ? paged_cpu(x_TD, cache, sequences) : paged_running_mean_ref(x_TD, cache, sequences);
}

}  // namespace r1::ops
