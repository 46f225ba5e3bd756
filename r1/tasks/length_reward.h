// Rewards for length, all in tokens (open-r1 counts characters in length and cosine).
//
//   length                    Kimi k1.5 (arXiv 2501.12599, 2.3.3): lambda = 0.5 - (len - min)/(max - min) over the group; right: lambda,
//                             wrong: min(0, lambda); all of one length: 0. open-r1 hands its verifier gold and answer in the wrong order,
//                             so right and wrong are sometimes mixed up; here they come from the task's own verdict.
//   cosine                    Demystifying Long CoT (arXiv 2502.03373): with x = min(1, len/max_length) the reward is
//                             to + (from - to)(1 + cos(pi x))/2; right goes from right_short (1.0) to right_long (0.5), wrong from
//                             wrong_short (-1.0) to wrong_long (-0.5). open-r1 leaves out the min, so that at twice max_length a long
//                             ramble is worth what a short answer is; its command line's defaults are also the other way round for wrong
//                             answers. Options: max_length (1024), right_short, right_long, wrong_short, wrong_long.
//   soft_overlong_punishment  DAPO (arXiv 2503.14476, eq. 13): 0 up to max_length - cache, then linear down to -1 at max_length, -1 after.
//                             Options: max_length (16384), cache (4096); a cache beyond max_length is refused (it would punish every
//                             completion).
#pragma once

#include "r1/tasks/options.h"
#include "r1/tasks/reward.h"

namespace r1::tasks {

std::unique_ptr<Reward> make_length_reward(OptionReader& options);
std::unique_ptr<Reward> make_cosine_reward(OptionReader& options);
std::unique_ptr<Reward> make_soft_overlong_reward(OptionReader& options);

}  // namespace r1::tasks
