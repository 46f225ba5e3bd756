// Unit tests out of what a model writes: Python, pytest's form. What is kept has been run.
//   1. Tests are read out of the answers: asserts at the margin, test functions, unittest classes (self.assertEqual becomes an assert),
//      HumanEval's check(candidate). A straight function of several asserts becomes a test an assert, so that one wrong guess of the model's
//      does not cost the others. What redefines the code, imports what is not there, or asserts nothing about the code is left out; of equal
//      ones the first stays.
//   2. They are run against the code, twice, in the judge's sandboxes (verify/judge). What does not pass both times goes.
//   3. They are run against stubs: the same code, with every function giving back one and the same value. A test that passes with all stubs
//      asserts nothing (`assert True`, `assert f(x) == f(x)`, a caught exception) and goes: what stays has been seen to fail.
// Expected values are always the model's, never taken from running the code: a wrong program is not made right by its own tests.
// Mutants (one small change of the code each) say how much the tests would notice.
//
// Reading happens in a sandbox too, by Python's own parser.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "r1/base/json.h"
#include "r1/verify/judge/judge.h"

namespace r1::tasks {

struct UnitTest {
  std::string target;                // the function of the code that it calls
  std::vector<std::string> imports;  // lines
  std::vector<std::string> uses;     // names of the code
  std::string body;                  // statements at the margin
};

struct CodeFunction {
  std::string name, source;  // source: its definition's text
  bool method = false;       // "Class.name"
};

struct UnitTestOptions {
  std::vector<std::string> functions;  // those that tests are wanted of; none: every public function and class at the margin
  std::string module = "solution";     // as tests import the code
  int64_t max_candidates = 96;         // that are run; the rest is dropped
  double test_seconds = 2, deadline = 60;
};

// What the answers hold.
struct TestReading {
  std::vector<UnitTest> tests;
  std::map<std::string, int64_t> dropped;  // why: "no assert", "duplicate", "unknown name", ..
};

struct TestSelection {
  std::vector<UnitTest> tests;
  int64_t candidates = 0, failing = 0, not_asserting = 0, flaky = 0;
};

struct MutantRun {
  std::string change;           // "line 3: < becomes <="
  std::vector<bool> failed_by;  // a test each
  bool killed() const;
};

class UnitTests {
 public:
  // Throws where programs cannot be run safely. `judge` outlives this.
  explicit UnitTests(const verify::judge::Judge& judge);
  ~UnitTests();

  // The functions and classes of a module that tests can call. kFailed with Python's message if it is no Python.
  std::vector<CodeFunction> functions(const std::string& code) const;
  TestReading read(const std::string& code, const std::vector<std::string>& answers, const UnitTestOptions& options) const;
  TestSelection select(const std::string& code, const std::vector<UnitTest>& tests, const UnitTestOptions& options) const;
  // At most `count` mutants, spread over the code: (what was changed, the code). The same code gives the same ones.
  std::vector<std::pair<std::string, std::string>> mutants(const std::string& code, const UnitTestOptions& options, int64_t count) const;
  // Each mutant against each test.
  std::vector<MutantRun> run_mutants(const std::vector<std::pair<std::string, std::string>>& mutants, const std::vector<UnitTest>& tests,
                                     const UnitTestOptions& options) const;

 private:
  Json ask(const Json& request) const;
  std::vector<bool> run(const std::string& code, const std::vector<UnitTest>& tests, const UnitTestOptions& options, bool probe) const;

  const verify::judge::Judge& judge_;
  verify::sandbox::Sandbox sandbox_;
};

// The tests as a file for pytest: test_<function>_1, ...
std::string test_file(const std::vector<UnitTest>& tests, const std::string& module);

}  // namespace r1::tasks
