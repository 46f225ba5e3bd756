// Rewards for programs, over verify/judge: the completion's program (code_score.h) against the problem's tests. The definitions are those
// of open-r1 (src/open_r1/rewards.py), with its holes closed. They don't apply (nothing, counted) to a problem without tests and where this
// machine lacks the language; a completion without a program has failed: 0, or what is said below.
//
// code         passed tests / tests. (open-r1 zips the printed with the expected lines, so that a program that prints only the first
//              right line passes; here the number of lines must be equal: verify/judge/compare.h.)
// binary_code  1 if every test passed, else 0. (open-r1 takes code > 0.99: with 101 tests and more one may fail.)
// ioi_code     points of the subtasks whose every test passed / all points: a subtask counts as much as its worst test (IOI). Tests carry
//              "subtask", the suite "subtask_points" (default 1 each).
// cf_code      Codeforces. No program: -1; one that does not compile: -0.1; else by option mode:
//              pass_fail     1 if every test passed, else 0
//              partial       passed tests / tests
//              weighted_sum  1 if every test passed + 0.1 * passed tests / tests
//              pass_fail stops at the first failure; the others run every test, so that a fraction is one of all tests.
// code_format  1 if the completion is <think>..</think> <answer>..</answer> as reward `format` wants it and the answer holds a closed,
//              filled fenced block with the tag of the language; else 0. Option language (default: the problem's, else python).
//              (open-r1's pattern takes garbage after the answer.)
//
// Options of the first four: test_seconds (5), deadline (60, a completion), judge_workers (0: CPUs), warm (0), memory_mb (512). The
// completions of a group are judged in parallel.
#pragma once

#include <memory>

#include "r1/tasks/options.h"
#include "r1/tasks/reward.h"

namespace r1::tasks {

std::unique_ptr<Reward> make_code(OptionReader& options);
std::unique_ptr<Reward> make_binary_code(OptionReader& options);
std::unique_ptr<Reward> make_ioi_code(OptionReader& options);
std::unique_ptr<Reward> make_cf_code(OptionReader& options);
std::unique_ptr<Reward> make_code_format(OptionReader& options);

}  // namespace r1::tasks
