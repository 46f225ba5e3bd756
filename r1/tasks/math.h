// Mathematical problems from JSON lines, graded by r1/verify: MATH (problem, solution with a \boxed answer), AIME (problem, integer
// answer), and any file with a question and a known answer per line. Options:
//   data: a file (its lines are split test), or a folder with train.jsonl and test.jsonl; train, test: the files one by one
//   question_field, answer_field, solution_field, id_field: keys of a line. Unset, the first that a line has of
//     problem, question, prompt | answer, final_answer, expected_answer, gold, target | solution | unique_id, id, problem_id
//   prompt_style (boxed), system; limit: problems per split (0: all)
//   strict (no): only a marked answer counts; boxes (last, first); deadline (2 s); workers (2)
//   tolerance: exact (no decimal stands for another value), rounded (the default: one of rounding_digits (6) significant digits or more may
//   stand for the exact value that it rounds), relative (any two numbers that differ by at most the share `relative` (1e-4), which alone says
//   the same)
// A line without answer field takes the answer that its solution marks (\boxed{}, ####). level, subject and type are kept in
// Problem::extra.
#pragma once

#include "r1/tasks/task.h"

namespace r1::tasks {

std::unique_ptr<Task> make_math(const Json& options);

}  // namespace r1::tasks
