// The countdown game, made from a seed: reach a target from 3 or 4 given numbers. Any valid expression counts; verify/countdown_expression
// evaluates it exactly.
//
// Prompt `numbers 3 7 8 target 29:`; a thought walks the tree of all expressions in a methodical order (pairs left to right, operators in
// their order, then the rest) and checks every leaf against the target; a step taken once is not written again for the leaves below it:
// `3+7=10 10+8=18 no 10-8=2 no 10*8=80 no 7-3=4 4+8=12 no .. 3*7=21 21+8=29 yes`; answer `(3*7)+8`. All values are whole, 0..max_value.
// Documents for pretraining: `drill_share` of them drill single skills: half the check (`target 29: 29 yes 18 no ..`, as many yes as no,
// half of the no's near misses), half single operations; of the others `full_share` are whole searches, the rest give the answer at once.
// SFT completions as in arithmetic. A search longer than max_tries leaves out its beginning.
//
// Options: seed, train_size, test_size, strict; numbers (3 or 4), operators, min_number, max_number, max_target, max_value, use_all,
// max_tries; drill_share, full_share, sft_empty_share, sft_full_share.
#pragma once

#include "r1/tasks/task.h"

namespace r1::tasks {

std::unique_ptr<Task> make_countdown(const Json& options);

}  // namespace r1::tasks
