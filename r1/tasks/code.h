// Programming problems from JSONL (or .jsonl.gz), scored by their tests. Field names are taken as common data sets have them.
//
// The problem: "prompt", "question", "problem", "question_content", "text" or "description", the first that is there; "starter_code" is
// shown with it. A worked program, if there is one, for SFT: "canonical_solution", "gold_standard_solution", "solution" or "code". The
// tests, the first of these that is there:
//   "suite"                        verify/judge/suite_json.h
//   "verification_info"            open-r1 verifiable-coding-problems: {"language", "test_cases": [{"type", "fn_name", "input", "output"}]}
//   "input_output"                 APPS, TACO: {"inputs", "outputs", "fn_name"}; an expected value inside a list of one may be meant as
//                                  itself or as that list (APPS's own rule): either is right
//   "public_test_cases", "private_test_cases", "metadata"
//                                  LiveCodeBench: [{"input", "output", "testtype"}], {"func_name"}; the packed form of private tests is a
//                                  pickle, which is refused: unpack it with the data set's own tool
//   "test_list", "test_setup_code" MBPP: assert statements
//   "test", "entry_point"          HumanEval's check(candidate), or the text of a test file that imports `solution`
//   "tests"                        a list as in suite_json.h, or the text of a test file
// Each of these may be an object or a JSON text of it. "language": default python. Rows without tests are errors, unless skip_untested.
// Function-call tests run after the imports that LeetCode-style programs take for granted (typing, collections, math, ..).
//
// Options: train, test, data, limit (file_task.h), language, prompt_style (plain | r1_zero), system, partial_credit (false: a problem is
// solved or not; true: accuracy is the share of passed tests), skip_untested, and those of code_score.h.
#pragma once

#include <optional>

#include "r1/tasks/task.h"
#include "r1/verify/judge/judge.h"

namespace r1::tasks {

std::unique_ptr<Task> make_code_task(const Json& options);

// The tests of a row; nullopt: it has none. `language` is set where the tests name one.
std::optional<verify::judge::Suite> suite_of_row(const Json& row, std::string& language, const std::string& where);

}  // namespace r1::tasks
