// How a question in words is put to a model: the prompts that file tasks (gsm8k, svamp) share.
#pragma once

#include <string>
#include <vector>

#include "r1/tasks/task.h"

namespace r1::tasks {

// "plain":   "Question: ..\nAnswer:"                                  chat: the question
// "hashes":  plain, and asks for the last line "#### N"                chat: the question and that wish
// "boxed":   asks to reason step by step and to put the answer within \boxed{}  (the wording of DeepSeek-R1's README)
// "r1_zero": the conversation template of R1-Zero (DeepSeek-R1 paper, table 1), tags <think> and <answer>; chat: the same rules as system
// message
const std::vector<std::string>& prompt_styles();
// Fills problem.prompt and problem.messages from problem.question. `system` (may be empty) is put in front of the chat form.
void apply_prompt_style(Problem& problem, const std::string& style, const std::string& system);
// A worked solution in the style's format: thought text and answer.
std::string styled_solution(const std::string& style, const std::string& thought, const std::string& answer);

}  // namespace r1::tasks
