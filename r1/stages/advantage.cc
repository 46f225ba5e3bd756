#include "r1/stages/advantage.h"

#include <cmath>

#include "r1/base/error.h"

namespace r1::stages {

namespace {

constexpr double kStdEpsilon = 1e-4;

double mean_of(std::span<const double> x) {
  double sum = 0;
  for (double v : x) sum += v;
  return sum / double(x.size());
}

double deviation_of(std::span<const double> x, double mean) {
  if (x.size() < 2) return 0;
  double sum = 0;
  for (double v : x) sum += (v - mean) * (v - mean);
  return std::sqrt(sum / double(x.size() - 1));
}

}  // namespace

Advantages group_advantages(std::span<const double> rewards, int group_size, const std::string& scale) {
  check(group_size > 0 && !rewards.empty() && rewards.size() % group_size == 0, "[advantage] expected whole groups of ", group_size,
        ", got ", rewards.size(), " rewards");
  Advantages out;
  const size_t groups = rewards.size() / group_size;
  const double batch_std = deviation_of(rewards, mean_of(rewards));
  for (size_t g = 0; g < groups; ++g) {
    const auto group = rewards.subspan(g * group_size, group_size);
    const double mean = mean_of(group), std = deviation_of(group, mean);
    const double divisor = scale == "none" ? 1.0 : (scale == "batch" ? batch_std : std) + kStdEpsilon;
    out.frac_zero_std += (std == 0) / double(groups);
    out.mean_std += std / double(groups);
    for (double r : group) out.values.push_back(std == 0 ? 0.0f : float((r - mean) / divisor));
  }
  return out;
}

}  // namespace r1::stages
