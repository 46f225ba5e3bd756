// MBPP (Austin et al. 2021, "Program Synthesis with Large Language Models"): short Python functions with three assert statements each.
// Files: the published mbpp.jsonl (974 problems: task_id, text, code, test_list, test_setup_code) or sanitized-mbpp.json (427: prompt,
// test_imports), github.com/google-research/google-research/tree/master/mbpp. The split is the published one, by task_id: 11-510 test,
// 511-974 train (the paper's validation and fine-tuning problems), 1-10 for the examples of the prompt; published_split=false takes every
// row into the split that its file is given as.
//
// The plain prompt is the paper's, with `shots` of its three worked examples (task_id 2, 3, 4); a completion ends at [DONE]. The chat prompt
// is that of EvalPlus (github.com/evalplus/evalplus, provider/utility.py). Both show `shown_tests` of the asserts (the paper 3, EvalPlus 1).
// A problem counts as solved if all of its asserts hold (verify/judge).
//
// Options: data, train, test, limit, columns (file_task.h), published_split (true), shots (3), shown_tests (3), test_seconds (3) and the
// others of code_score.h.
#pragma once

#include "r1/tasks/task.h"

namespace r1::tasks {

std::unique_ptr<Task> make_mbpp(const Json& options);

}  // namespace r1::tasks
