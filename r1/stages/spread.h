// Mean, deviation and range of a list of numbers, as rewards and lengths are summed up: advantages and metrics use the same.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>

namespace r1::stages {

struct Spread {
  double mean = 0, std = 0, min = 0, max = 0;  // std: the sample deviation (n - 1), 0 for fewer than two numbers
  // Equal numbers are told by comparing them: the mean of eight times 1.1 is not 1.1 in floating point, so their computed deviation is not 0.
  bool constant() const { return min == max; }
};

// All zero for an empty list. Equal numbers have exactly their value as the mean, and no deviation.
inline Spread spread(std::span<const double> x) {
  Spread s;
  if (x.empty()) return s;
  const auto [lo, hi] = std::minmax_element(x.begin(), x.end());
  s.mean = s.min = *lo, s.max = *hi;
  if (s.constant()) return s;
  double sum = 0, squares = 0;
  for (double v : x) sum += v;
  s.mean = sum / double(x.size());
  for (double v : x) squares += (v - s.mean) * (v - s.mean);
  s.std = std::sqrt(squares / double(x.size() - 1));
  return s;
}

}  // namespace r1::stages
