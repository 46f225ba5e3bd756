// Group-normalised advantages of GRPO (DeepSeekMath, arXiv 2402.03300, section 4.1.2; R1, arXiv 2501.12948, eq. 3): A_i = (r_i - mean(r)) /
// std(r) within the group of completions of one prompt. std is the sample deviation (n - 1) plus 1e-4, as TRL computes it; a group without
// variance gets zeros. A completion without a reward (NaN: it could not be scored) is left out of mean and deviation and gets zero: it is
// neither paid nor punished.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace r1::stages {

struct Advantages {
  std::vector<float> values;  // one a completion, in order
  double frac_zero_std = 0;   // share of groups whose rewards are all equal (or fewer than two): they teach nothing
  double mean_std = 0;        // mean over groups of the reward's deviation
};

// rewards: groups of `group_size` one after the other, NaN for none. scale: "group" (divide by the group's std), "batch" (by the std of
// all rewards), "none" (Dr. GRPO).
Advantages group_advantages(std::span<const double> rewards, int group_size, const std::string& scale = "group");

}  // namespace r1::stages
