#include "r1/stages/advantage.h"

#include <cmath>

#include "r1/base/error.h"
#include "r1/stages/spread.h"

namespace r1::stages {

namespace {

constexpr double kStdEpsilon = 1e-4;

std::vector<double> known(std::span<const double> rewards) {
  std::vector<double> out;
  for (double r : rewards)
    if (!std::isnan(r)) out.push_back(r);
  return out;
}

}  // namespace

Advantages group_advantages(std::span<const double> rewards, int group_size, const std::string& scale) {
  check(group_size > 0 && !rewards.empty() && rewards.size() % group_size == 0, "[advantage] expected whole groups of ", group_size,
        ", got ", rewards.size(), " rewards");
  Advantages out;
  const size_t groups = rewards.size() / group_size;
  const double batch_std = spread(known(rewards)).std;
  int64_t constant = 0;
  for (size_t g = 0; g < groups; ++g) {
    const auto group = rewards.subspan(g * group_size, group_size);
    const Spread scored = spread(known(group));
    const double divisor = scale == "none" ? 1.0 : (scale == "batch" ? batch_std : scored.std) + kStdEpsilon;
    constant += scored.constant();
    out.mean_std += scored.std;
    for (double r : group) out.values.push_back(scored.constant() || std::isnan(r) ? 0.0f : float((r - scored.mean) / divisor));
  }
  out.frac_zero_std = double(constant) / double(groups);
  out.mean_std /= double(groups);
  return out;
}

}  // namespace r1::stages
