// Arithmetic problems made from a seed, answers known. Two styles:
//
// "chain": `start 7*9+3-6+8-2:` strictly left to right, `steps` operators, operands 2-9, all running totals 0-99, so that every number is one
//   token. The thought is the running totals `7*9=63 63+3=66 66-6=60 ...`. A model of under a million parameters learns the single steps, and
//   cannot do five at once: so the thought does the work, and reinforcement learning finds that out (docs/results).
//   Documents for pretraining: `drill_share` of them only single steps; of the others `full_share` write every step, the rest break off somewhere
//   and give the answer at once: `start ..: 7*9=63 so answer 66`.
//   Completions for SFT: `sft_empty_share` empty thoughts, `sft_full_share` whole chains, the rest cut off.
//   `<think>..</think><answer>N</answer>`.
// "columns": numbers of `digits` digits, one operator of `operators` (+ - * /, division always exact); the thought works digit by digit.
//
// Options: style, seed, train_size, test_size, strict; steps, operators, digits; drill_share, full_share, sft_empty_share, sft_full_share.
// Leaves out: precedence, negative totals in chains.
#pragma once

#include "r1/tasks/task.h"

namespace r1::tasks {

std::unique_ptr<Task> make_arithmetic(const Json& options);

}  // namespace r1::tasks
