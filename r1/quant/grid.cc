#include "r1/quant/grid.h"

#include <ATen/Parallel.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"

namespace r1::quant {

namespace {

constexpr int kSteps = 40, kTried = 20;  // down to the half

// The scale as the file holds it; never 0, which would leave nothing to divide by.
float stored_scale(float scale, bool half) {
  constexpr float kLeastHalf = 0x1p-24f, kLargestHalf = 65504;
  if (!half) return std::max(scale, 1e-30f);
  return std::clamp(float(c10::Half(std::min(scale, kLargestHalf))), kLeastHalf, kLargestHalf);
}

Grid grid_of_range(float lo, float hi, const GridOptions& o) {
  if (o.symmetric) {
    const float reach = std::max(-lo, hi);
    if (!(reach > 0)) return {1, (o.largest() + 1) / 2};
    return {stored_scale(2 * reach / float(o.largest()), o.half_scales), (o.largest() + 1) / 2};
  }
  if (!(hi - lo > 0)) return {1, o.least_zero};
  const float scale = stored_scale((hi - lo) / float(o.largest()), o.half_scales);
  const int zero = std::clamp(int(std::lrint(-lo / scale)), 0, o.largest());
  if (zero >= o.least_zero) return {scale, zero};
  // Hardly anything lies below 0: the codes from the least zero point on are for what lies above.
  return {stored_scale(hi / float(o.largest() - o.least_zero), o.half_scales), o.least_zero};
}

// Or some number that is no less than `enough`, as soon as it is clear that this is as much.
double error_of(const float* w, int64_t n, const float* importance, const Grid& g, int largest, double enough) {
  double error = 0;
  for (int64_t i = 0; i < n && error < enough; ++i) {
    const double off = double(w[i]) - double(g.scale) * (code_of(w[i], g, largest) - g.zero);
    error += (importance ? double(importance[i]) : 1) * off * off;
  }
  return error;
}

}  // namespace

int code_of(float weight, const Grid& g, int largest) {
  const float at = weight / g.scale + float(g.zero);
  if (!(at > 0)) return 0;
  return at < float(largest) ? int(std::lrintf(at)) : largest;
}

Grid fit_grid(const float* w, int64_t n, const float* importance, const GridOptions& o) {
  float lo = 0, hi = 0;
  for (int64_t i = 0; i < n; ++i) lo = std::min(lo, w[i]), hi = std::max(hi, w[i]);
  Grid best = grid_of_range(lo, hi, o);
  if (!o.search) return best;
  double least = error_of(w, n, importance, best, o.largest(), std::numeric_limits<double>::infinity());
  for (int step = 1; step <= kTried; ++step) {
    const float shrunk = 1 - float(step) / kSteps;
    const Grid g = grid_of_range(lo * shrunk, hi * shrunk, o);
    const double error = error_of(w, n, importance, g, o.largest(), least);
    if (error < least) least = error, best = g;
  }
  return best;
}

tensor::IntegerMatrix round_to_nearest(const Tensor& weight_OI, int64_t group, const GridOptions& o, const Tensor& importance_I) {
  const Tensor weight = weight_OI.contiguous();
  const int64_t rows = weight.size(0), columns = weight.size(1);
  check(weight.scalar_type() == at::kFloat && columns % group == 0, "[quant] expected fp32 weights whose columns are whole groups of ",
        group, ", got ", weight.scalar_type(), " ", weight.sizes());
  const int64_t groups = columns / group;
  tensor::IntegerMatrix m;
  m.bits = o.bits;
  m.codes_OI = aten::empty({rows, columns}, at::kByte);
  m.scales_OG = aten::empty({rows, groups}, at::kFloat);
  m.zeros_OG = aten::empty({rows, groups}, at::kByte);
  const float* from = weight.const_data_ptr<float>();
  const Tensor importance = importance_I.defined() ? importance_I.contiguous() : importance_I;
  const float* cost = importance.defined() ? importance.const_data_ptr<float>() : nullptr;
  uint8_t *codes = m.codes_OI.mutable_data_ptr<uint8_t>(), *zeros = m.zeros_OG.mutable_data_ptr<uint8_t>();
  float* scales = m.scales_OG.mutable_data_ptr<float>();
  at::parallel_for(0, rows, 8, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin * groups; at < end * groups; ++at) {
      const float* w = from + at * group;
      const Grid g = fit_grid(w, group, cost ? cost + at % groups * group : nullptr, o);
      scales[at] = g.scale, zeros[at] = uint8_t(g.zero);
      for (int64_t i = 0; i < group; ++i) codes[at * group + i] = uint8_t(code_of(w[i], g, o.largest()));
    }
  });
  return m;
}

}  // namespace r1::quant
