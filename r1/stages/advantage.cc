#include "r1/stages/advantage.h"

#include <cmath>

#include "r1/base/error.h"

namespace r1::stages {

namespace {

constexpr double kStdEpsilon = 1e-4;

std::vector<double> known(std::span<const double> rewards) {
  std::vector<double> out;
  for (double r : rewards)
    if (!std::isnan(r)) out.push_back(r);
  return out;
}

double mean_of(std::span<const double> x) {
  if (x.empty()) return 0;
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
  const auto all = known(rewards);
  const double batch_std = deviation_of(all, mean_of(all));
  for (size_t g = 0; g < groups; ++g) {
    const auto group = rewards.subspan(g * group_size, group_size);
    const auto scored = known(group);
    const double mean = mean_of(scored), std = deviation_of(scored, mean);
    const double divisor = scale == "none" ? 1.0 : (scale == "batch" ? batch_std : std) + kStdEpsilon;
    out.frac_zero_std += (std == 0) / double(groups);
    out.mean_std += std / double(groups);
    for (double r : group) out.values.push_back(std == 0 || std::isnan(r) ? 0.0f : float((r - mean) / divisor));
  }
  return out;
}

}  // namespace r1::stages
