
#include <vector>

#include "r1/ops/running_mean.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

Tensor wide(const Tensor& x) {
  return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
}

// Of rows that follow `before` others whose mean is `mean_D` (undefined: none).
Tensor means(const Tensor& x_ND, int64_t before, const Tensor& mean_D) {
  const Tensor count_N1 = aten::arange(before + 1, before + x_ND.size(0) + 1, x_ND.options()).unsqueeze(1);
  const Tensor sum_ND = aten::cumsum(x_ND, 0);
  return (mean_D.defined() ? sum_ND + mean_D * double(before) : sum_ND) / count_N1;
}

}  // namespace

Tensor running_mean_ref(const Tensor& x_TD, const Sequences& sequences) {
  std::vector<Tensor> parts;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t begin = sequences.cu_seqlens[size_t(s)], count = sequences.cu_seqlens[size_t(s) + 1] - begin;
    parts.push_back(means(wide(x_TD.narrow(0, begin, count)), 0, {}));
  }
  return aten::cat(parts, 0);
}

Tensor paged_running_mean_ref(const Tensor& x_TD, const Tensor& cache, const Sequences& sequences) {
  const Tensor c_BND = cache.view(at::kFloat).view({cache.size(0), sequences.block_size, x_TD.size(1)});
  const auto slot = [&](int64_t s, int64_t position) {
    return c_BND.select(0, sequences.block_tables[size_t(s)][size_t(position / sequences.block_size)])
        .select(0, position % sequences.block_size);
  };
  std::vector<Tensor> parts;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t begin = sequences.cu_seqlens[size_t(s)], count = sequences.cu_seqlens[size_t(s) + 1] - begin;
    const int64_t before = sequences.context_lens[size_t(s)];
    parts.push_back(means(wide(x_TD.narrow(0, begin, count)), before, before > 0 ? slot(s, before - 1) : Tensor()));
    for (int64_t i = 0; i < count; ++i) slot(s, before + i).copy_(parts.back().select(0, i));
  }
  return aten::cat(parts, 0);
}

int64_t paged_running_mean_bytes(int64_t dim, int32_t block_size) {
  return dim * block_size * int64_t(sizeof(float));
}

}  // namespace r1::ops
