#include "r1/quant/awq.h"

#include <algorithm>
#include <cmath>

#include "r1/base/error.h"
#include "r1/quant/gptq.h"
#include "r1/quant/rounded.h"
#include "r1/tensor/aten.h"

namespace r1::quant {

namespace {

constexpr int kExponents = 20, kClips = 20, kClipsTried = 10;

GridOptions without_search(GridOptions grid) {
  grid.search = false;
  return grid;
}

// What these scales cost the outputs of all matrices together.
double error_with(const std::vector<Tensor>& weights, const Tensor& scale_I, const Tensor& halved_II, int64_t group,
                  const GridOptions& grid) {
  double lost = 0;
  for (const Tensor& w : weights) {
    const Tensor rounded = w * scale_I;
    round_to_grid(rounded, group, grid);
    lost += std::max(0.0, outputs_squared(rounded.div_(scale_I).sub_(w), halved_II));
  }
  return lost;
}

}  // namespace

AwqScales awq_scales(const std::vector<Tensor>& weights, const Tensor& mean_abs_I, const Tensor& gram_II, int64_t group,
                     const GridOptions& options) {
  const GridOptions grid = without_search(options);
  AwqScales best{aten::ones({mean_abs_I.size(0)}, at::kFloat), 0, 0, 0};
  const Tensor halved_II = halved_gram(gram_II);
  double all = 0;
  for (const Tensor& w : weights) all += outputs_squared(w, halved_II);
  if (!(all > 0)) return best;
  best.error = best.unscaled = error_with(weights, best.scale_I, halved_II, group, grid) / all;
  const Tensor size = mean_abs_I.clamp_min(1e-4 * std::max(1e-12, mean_abs_I.max().item<double>()));
  for (int step = 1; step < kExponents; ++step) {
    const double a = double(step) / kExponents;
    Tensor scale = size.pow(a);
    scale = scale / std::sqrt(scale.max().item<double>() * scale.min().item<double>());
    const double error = error_with(weights, scale, halved_II, group, grid) / all;
    if (error < best.error) best.scale_I = scale, best.exponent = a, best.error = error;
  }
  return best;
}

tensor::IntegerMatrix awq_clip_and_round(const Tensor& weight_OI, const Tensor& gram_II, int64_t group, const GridOptions& options) {
  const GridOptions grid = without_search(options);
  const int64_t rows = weight_OI.size(0), columns = weight_OI.size(1), groups = columns / group;
  const Tensor w_GOC = weight_OI.reshape({rows, groups, group}).permute({1, 0, 2}).contiguous();
  const Tensor hi_GO1 = w_GOC.amax(2, true).clamp_min(0), lo_GO1 = w_GOC.amin(2, true).clamp_max(0);
  std::vector<Tensor> own;  // what the groups alone do to the outputs: d H_gg d^T
  for (int64_t g = 0; g < groups; ++g) own.push_back(gram_II.narrow(0, g * group, group).narrow(1, g * group, group));
  const Tensor gram_GCC = aten::stack(own);
  const auto clipped = [&](const Tensor& share_GO1) { return aten::minimum(aten::maximum(w_GOC, lo_GO1 * share_GO1), hi_GO1 * share_GO1); };
  const auto errors = [&](const Tensor& rounded_GOC) {
    round_to_grid(rounded_GOC, group, grid);
    const Tensor off_GOC = rounded_GOC.sub_(w_GOC);
    return aten::bmm(off_GOC, gram_GCC).mul_(off_GOC).sum(2, true);
  };
  Tensor best_GO1 = aten::ones({groups, rows, 1}, at::kFloat);
  Tensor least_GO1 = errors(w_GOC.clone());
  for (int step = 1; step <= kClipsTried; ++step) {
    const Tensor share_GO1 = aten::full({groups, rows, 1}, 1 - double(step) / kClips, at::kFloat);
    const Tensor error_GO1 = errors(clipped(share_GO1));
    best_GO1 = aten::where(error_GO1 < least_GO1, share_GO1, best_GO1);
    least_GO1 = aten::minimum(least_GO1, error_GO1);
  }
  return round_to_nearest(clipped(best_GO1).permute({1, 0, 2}).reshape({rows, columns}), group, grid);
}

}  // namespace r1::quant
