// What is known of a matrix's inputs after calibration: their Gram matrix, the mean magnitude of each channel, the largest magnitude and
// how often magnitudes occur. Sums are in fp32, batch by batch in the order they came.
#pragma once

#include <cstdint>
#include <vector>

#include "r1/tensor/tensor.h"

namespace r1::quant {

// Magnitudes in 2,048 bins of one width; when one comes that is beyond the last, neighbours are put together until it fits.
class MagnitudeHistogram {
 public:
  void add(const Tensor& x);  // any shape, float
  double largest() const { return largest_; }
  // The magnitude that a share of all does not exceed; 1: the largest.
  double percentile(double share) const;
  // The end of the range whose rounding to `levels` steps on each side (127) has the least expected square error.
  double least_error_range(int levels) const;

 private:
  static constexpr int kBins = 2048;
  double largest_ = 0, width_ = 0;
  int64_t total_ = 0;
  std::vector<int64_t> counts_ = std::vector<int64_t>(kBins);
};

struct InputStatistics {
  int64_t tokens = 0;
  Tensor gram_II;     // sum x x^T; undefined unless wanted
  Tensor squares_I;   // sum x^2
  Tensor absolute_I;  // sum |x|
  Tensor largest_I;   // max |x|
  MagnitudeHistogram histogram;

  // x [T, I].
  void add(const Tensor& x_TI, bool want_gram, bool want_histogram);
  Tensor mean_square_I() const;
  Tensor mean_abs_I() const;
};

}  // namespace r1::quant
