// HumanEval (Chen et al. 2021, "Evaluating Large Language Models Trained on Code"): 164 Python functions to complete from signature and
// docstring, each with a hidden check(candidate). File: the official HumanEval.jsonl or .jsonl.gz (github.com/openai/human-eval) with
// {"task_id", "prompt", "entry_point", "canonical_solution", "test"}. There is only a test split.
//
// The plain prompt is the official one: the beginning of the program, to be continued; the completion is cut where it leaves the function
// (what the official stop strings "\nclass", "\ndef", "\n#", "\nif", "\nprint" are for), so that none need be given. The chat prompt is
// that of EvalPlus (github.com/evalplus/evalplus, provider/utility.py), with which the Qwen2.5-Coder-Instruct scores were measured;
// EvalPlus begins the answer itself, which `--forced` does here: "Below is a Python script with a self-contained function that solves the
// problem and passes corresponding tests:\n```python\n". How the program is found: code_score.h. A problem counts as solved if
// check(candidate) comes back (verify/judge: test code and program in sandboxes of their own); there is no partial credit. The official
// harness allows 3 s.
//
// Options: data, test, limit (file_task.h), test_seconds (3), deadline, judge_workers, warm, memory_mb (code_score.h).
#pragma once

#include "r1/tasks/task.h"

namespace r1::tasks {

std::unique_ptr<Task> make_humaneval(const Json& options);

}  // namespace r1::tasks
