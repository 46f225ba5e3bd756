#include "r1/quant/input_statistics.h"

#include <algorithm>
#include <cmath>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"

namespace r1::quant {

void MagnitudeHistogram::add(const Tensor& x) {
  const Tensor sizes = x.to(at::kCPU, at::kFloat).abs().contiguous().view({-1});
  if (sizes.numel() == 0) return;
  const double most = sizes.max().item<double>();
  check(std::isfinite(most), "an input of the calibration is not finite");
  largest_ = std::max(largest_, most);
  if (width_ == 0 && most > 0) width_ = most / kBins * (1 + 1e-6);
  while (most >= width_ * kBins && most > 0) {
    for (int i = 0; i < kBins / 2; ++i) counts_[size_t(i)] = counts_[size_t(2 * i)] + counts_[size_t(2 * i + 1)];
    std::fill(counts_.begin() + kBins / 2, counts_.end(), 0);
    width_ *= 2;
  }
  const float* at = sizes.const_data_ptr<float>();
  const double per = width_ > 0 ? 1 / width_ : 0;
  for (int64_t i = 0; i < sizes.numel(); ++i) ++counts_[size_t(std::min<int64_t>(kBins - 1, int64_t(double(at[i]) * per)))];
  total_ += sizes.numel();
}

double MagnitudeHistogram::percentile(double share) const {
  if (share >= 1) return largest_;
  const double wanted = share * double(total_);
  double seen = 0;
  for (int i = 0; i < kBins; ++i) {
    const double here = double(counts_[size_t(i)]);
    if (here > 0 && seen + here >= wanted) return std::min(largest_, width_ * (double(i) + (wanted - seen) / here));
    seen += here;
  }
  return largest_;
}

double MagnitudeHistogram::least_error_range(int levels) const {
  double best = largest_, least = INFINITY;
  // A range's end at every 16th bin.
  for (int end = kBins / 64; end <= kBins; end += 16) {
    const double range = std::min(largest_, width_ * end), step = range / levels;
    if (!(step > 0)) continue;
    double error = 0;
    for (int i = 0; i < kBins; ++i) {
      if (counts_[size_t(i)] == 0) continue;
      const double value = width_ * (double(i) + 0.5), over = value - range;
      // Inside, rounding costs step^2 / 12 on average, or what it costs the bin's middle where a step is wider than a bin (of a range that one huge
      // value makes, nearly all are below half a step); outside, the distance to the end.
      const double off = step > width_ ? value - step * std::round(value / step) : 0;
      error += double(counts_[size_t(i)]) * (over > 0 ? over * over : step > width_ ? off * off : step * step / 12);
    }
    if (error < least) least = error, best = range;
  }
  return best;
}

void InputStatistics::add(const Tensor& x_TI, bool want_gram, bool want_histogram) {
  const Tensor x = x_TI.to(at::kFloat);
  if (!squares_I.defined()) {
    const auto options = x.options();
    squares_I = aten::zeros({x.size(1)}, options), absolute_I = aten::zeros({x.size(1)}, options);
    largest_I = aten::zeros({x.size(1)}, options);
    if (want_gram) gram_II = aten::zeros({x.size(1), x.size(1)}, options);
  }
  tokens += x.size(0);
  squares_I.add_(x.square().sum(0));
  const Tensor size = x.abs();
  absolute_I.add_(size.sum(0));
  if (x.size(0) > 0) largest_I = aten::maximum(largest_I, size.amax({0}));
  if (want_gram) aten::addmm_out(gram_II, gram_II, x.t(), x);
  if (want_histogram) histogram.add(x);
}

Tensor InputStatistics::mean_square_I() const {
  return squares_I / double(std::max<int64_t>(1, tokens));
}

Tensor InputStatistics::mean_abs_I() const {
  return absolute_I / double(std::max<int64_t>(1, tokens));
}

}  // namespace r1::quant
