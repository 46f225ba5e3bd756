// Rewards for the form of a completion. R1's rule (arXiv 2501.12948, 2.2): the thought between <think> tags, the answer between <answer>
// tags. open-r1's functions of the same names are meant; what of them is not copied is said below.
//
//   format            1 if the completion is exactly <think> one block </think> <answer> one block </answer>: each tag once, in order,
//                     nothing after it, both filled; else 0. Line breaks are free. open-r1's pattern, compiled with MULTILINE and DOTALL,
//                     lets text after </answer>, a second block and a thought within a thought pass; TRL's lets an empty thought pass.
//                     Option allow_empty_thought (false).
//   format_if_right   format, for a right answer only, else 0 (a format reward while right answers are rare teaches the empty thought:
//                     docs/results/r1_zero_tiny.md). Same option.
//   tag_count         0.25 for each of <think>, </think>, <answer>, </answer> that stands exactly once. open-r1 counts the tag with its
//                     line breaks ("<think>\n"): a well-formed answer on one line gets 0 there, and a second tag without the break is not
//                     seen.
//   reasoning_steps   min(1, n/3), n = distinct lines of the thought that begin as a step and say something after it: "Step 2:", "2.",
//                     "-", "*", First(ly), Second(ly), Third(ly), Next, Then, Finally, Lastly. open-r1 counts matches anywhere, in the
//                     answer too, and "2." only at the very beginning of the text (no MULTILINE), so a numbered list counts once while
//                     "First, First, First," is full marks.
//
// In all of them option think_in_prompt (false): the prompt ends with <think>, as the chat templates of R1's distilled models do; the
// completion is taken as if it began with it.
#pragma once

#include "r1/tasks/options.h"
#include "r1/tasks/reward.h"

namespace r1::tasks {

std::unique_ptr<Reward> make_format_reward(OptionReader& options);
std::unique_ptr<Reward> make_format_if_right_reward(OptionReader& options);
std::unique_ptr<Reward> make_tag_count_reward(OptionReader& options);
std::unique_ptr<Reward> make_reasoning_steps_reward(OptionReader& options);

}  // namespace r1::tasks
