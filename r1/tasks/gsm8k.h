// GSM8K (Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems"): grade-school word problems whose answer is one number.
// Files: the official train.jsonl / test.jsonl with {"question","answer"}; the gold stands after "####"; calculator notes <<48/2=24>> are
// removed from solutions. The official rule for the gold: https://github.com/openai/grade-school-math, dataset.py (extract_answer: "####
// (\-?[0-9\.\,]+)", commas dropped). Options: word_problems.h.
#pragma once

#include "r1/tasks/task.h"

namespace r1::tasks {

std::unique_ptr<Task> make_gsm8k(const Json& options);

// "Natalia sold 48/2 = <<48/2=24>>24 clips" -> "Natalia sold 48/2 = 24 clips".
std::string without_calculator_notes(const std::string& solution);

}  // namespace r1::tasks
