#include "r1/quant/awq.h"

#include <algorithm>
#include <cmath>

#include "r1/base/error.h"
#include "r1/quant/gptq.h"
#include "r1/tensor/aten.h"

namespace r1::quant {

namespace {

constexpr int kExponents = 20, kClips = 20, kClipsTried = 10;

GridOptions without_search(GridOptions grid) {
  grid.search = false;
  return grid;
}

// Relative error of all matrices together with these scales.
double error_with(const std::vector<Tensor>& weights, const Tensor& scale_I, const Tensor& gram_II, int64_t group,
                  const GridOptions& grid) {
  double lost = 0, all = 0;
  for (const Tensor& w : weights) {
    const Tensor rounded = tensor::dense(round_to_nearest(w * scale_I, group, grid)) / scale_I, off = rounded - w;
    lost += (aten::matmul(off, gram_II) * off).sum(at::kDouble).item<double>();
    all += (aten::matmul(w, gram_II) * w).sum(at::kDouble).item<double>();
  }
  return all > 0 ? std::max(0.0, lost) / all : 0;
}

}  // namespace

AwqScales awq_scales(const std::vector<Tensor>& weights, const Tensor& mean_abs_I, const Tensor& gram_II, int64_t group,
                     const GridOptions& options) {
  const GridOptions grid = without_search(options);
  AwqScales best{aten::ones({mean_abs_I.size(0)}, at::kFloat), 0, 0, 0};
  best.error = best.unscaled = error_with(weights, best.scale_I, gram_II, group, grid);
  const Tensor size = mean_abs_I.clamp_min(1e-4 * std::max(1e-12, mean_abs_I.max().item<double>()));
  for (int step = 1; step < kExponents; ++step) {
    const double a = double(step) / kExponents;
    Tensor scale = size.pow(a);
    scale = scale / std::sqrt(scale.max().item<double>() * scale.min().item<double>());
    const double error = error_with(weights, scale, gram_II, group, grid);
    if (error < best.error) best.scale_I = scale, best.exponent = a, best.error = error;
  }
  return best;
}

tensor::IntegerMatrix awq_clip_and_round(const Tensor& weight_OI, const Tensor& gram_II, int64_t group, const GridOptions& options) {
  const GridOptions grid = without_search(options);
  const int64_t rows = weight_OI.size(0), columns = weight_OI.size(1), groups = columns / group;
  const Tensor w_OGC = weight_OI.reshape({rows, groups, group});
  const Tensor hi_OG1 = w_OGC.amax(2, true).clamp_min(0), lo_OG1 = w_OGC.amin(2, true).clamp_max(0);
  const auto clipped = [&](const Tensor& share_OG1) {
    return aten::minimum(aten::maximum(w_OGC, lo_OG1 * share_OG1), hi_OG1 * share_OG1).reshape({rows, columns});
  };
  // What a row and group alone do to the outputs: d H_gg d^T.
  const auto errors = [&](const Tensor& rounded_OI) {
    const Tensor off_OGC = rounded_OI.reshape({rows, groups, group}) - w_OGC;
    Tensor out_OG = aten::empty({rows, groups}, at::kFloat);
    for (int64_t g = 0; g < groups; ++g) {
      const Tensor off_OC = off_OGC.select(1, g), own_CC = gram_II.narrow(0, g * group, group).narrow(1, g * group, group);
      out_OG.select(1, g).copy_((aten::matmul(off_OC, own_CC) * off_OC).sum(1));
    }
    return out_OG;
  };
  Tensor best_OG1 = aten::ones({rows, groups, 1}, at::kFloat);
  Tensor least_OG = errors(tensor::dense(round_to_nearest(weight_OI, group, grid)));
  for (int step = 1; step <= kClipsTried; ++step) {
    const Tensor share_OG1 = aten::full({rows, groups, 1}, 1 - double(step) / kClips, at::kFloat);
    const Tensor error_OG = errors(tensor::dense(round_to_nearest(clipped(share_OG1), group, grid)));
    const Tensor better_OG = error_OG < least_OG;
    best_OG1 = aten::where(better_OG.unsqueeze(2), share_OG1, best_OG1);
    least_OG = aten::minimum(least_OG, error_OG);
  }
  return round_to_nearest(clipped(best_OG1), group, grid);
}

}  // namespace r1::quant
