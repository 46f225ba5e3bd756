// The Python half of unit_tests.h: one JSON object on standard input, one on standard output. It parses; it runs nothing of what it parses.
//   {"do": "functions", "code"}                            {"functions": [{"name", "source", "method"}]}
//   {"do": "read", "code", "answers", "functions", "limit"}  {"tests": [{"target", "imports", "uses", "body"}], "dropped": {why: count}}
//   {"do": "stubs", "code"}                                {"stubs": [code]}
//   {"do": "mutants", "code", "functions", "count"}        {"mutants": [[change, code]]}
// {"error": text} where the code is no Python.
#pragma once

namespace r1::tasks {

extern const char* const kUnitTestsPython;

}  // namespace r1::tasks
