// Suites as JSON: what scripts (`r1 judge --jsonl`) and tasks write.
//
//   {"tests": [{"input": "1 2\n", "output": "3\n"}, ..]}                         programs that read and print
//             ("also": other outputs that are as right; "checker" or "interactor": {"language", "code"} beside the tests, judge.h)
//   {"tests": [{"arguments": [1, 2], "expected": 3}, ..], "entry_point": "add"}  function calls; as JSON texts too:
//             {"input": "[1,2]\n3", "output": "4"}: an argument a line (LiveCodeBench); {"call": "[[1,2], 3]", "value": "4"}: all of them
//             ("also": other values that are as right, as JSON texts)
//   {"check": "def check(candidate): ..", "entry_point": "f", "context": ".."}   HumanEval
//   {"tests": ["assert f(1) == 2", ..], "setup": ".."}                           MBPP
//   {"files": {"test_f.py": ".."}, "module": "solution"}                         test files
//
// A test may have "name", "weight", "subtask", "seconds". Beside the tests: "rule" (lines | tokens | exact), "float_tolerance",
// "subtask_points" [..], "prelude" (code in front of the submission).
#pragma once

#include <string_view>

#include "r1/base/json.h"
#include "r1/verify/judge/judge.h"

namespace r1::verify::judge {

// Unknown keys and wrong types are errors that name `where`.
Suite suite_from_json(const Json& json, std::string_view where);
Json suite_to_json(const Suite& suite);
// {"verdict", "passed", "total", "score": fraction, "detail", "seconds", "tests": [{"name", "verdict", "detail", "seconds"}]}
Json report_to_json(const Report& report);

}  // namespace r1::verify::judge
