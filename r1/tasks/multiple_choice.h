// Questions with options, one of them right; the answer is a letter A-J. `aqua` reads AQuA-RAT's lines (question, options "A)..", correct,
// rationale), `multiple_choice` any JSON lines of that kind. Options of both:
//   data, train, test, limit: as task math (data: a file is split test)
//   question_field, options_field, answer_field, solution_field, id_field: keys of a line. Unset, the first that a line has of
//     question, problem, prompt | options, choices | correct, answer, answerKey, label, gold | rationale, explanation, solution | id
//   prompt_style (plain, boxed, r1_zero; default boxed), system
//   strict (no): only a marked answer counts (<answer>, \boxed{}, ####)
//   shuffle (no): options in an order drawn from `seed` (0) and the problem, against a bias for positions and against remembered letters.
//   An
//     option that speaks of the others ("none of these", "A and B") keeps its place, and questions whose options name letters are left
//     alone.
// The options of a line: a list of texts (with or without their letters), {"A": text, ..}, or {"text": [..], "label": [..]}. The answer: a
// letter, an option's text, or its number (the key is then 0-based unless `first_index` (0, 1) says 1).
// A completion answers with a letter (verify/choice.h) or, in a marked place, with the text of exactly one option.
#pragma once

#include "r1/tasks/task.h"

namespace r1::tasks {

std::unique_ptr<Task> make_multiple_choice(const Json& options);
std::unique_ptr<Task> make_aqua(const Json& options);

}  // namespace r1::tasks
