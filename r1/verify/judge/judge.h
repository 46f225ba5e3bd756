// Does a program do what its tests say? Programs are written by models, so nothing a program says about itself counts:
//   - it runs in a sandbox (verify/sandbox) that holds neither expected values nor test code;
//   - what it prints or returns is data, compared here or, for tests that are code, in a second sandbox that holds no untrusted code;
//   - verdicts come from those two places only, each over a descriptor that the program has never seen, under a nonce of the run;
//   - the list of tests is known before the program starts: a test that vanished, was skipped or not reached has not passed.
// docs/judge.md says which reward hacks that closes and what stays open.
//
//   Judge judge({.warm = 4});
//   Suite suite{.kind = Suite::Kind::kStdin, .tests = {{.input = "1 2\n", .expected = "3\n"}}};
//   Report r = judge.check({"python", "print(sum(map(int, input().split())))"}, suite);
//   r.passed(); r.fraction();
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "r1/verify/judge/compare.h"
#include "r1/verify/judge/value.h"
#include "r1/verify/sandbox/sandbox.h"

namespace r1::verify::judge {

enum class Verdict {
  kPass,
  kFail,   // a wrong answer
  kError,  // it crashed, raised, left with a code other than 0, or broke the protocol
  kTimeout,
  kMemory,
  kOutputLimit,
  kNotRun,  // vanished, skipped, after an early stop or the deadline
  kCompileError,
  kToolchainMissing,  // this machine cannot run that language
  kSandboxMissing,    // this machine cannot run anything safely
};
const char* verdict_name(Verdict verdict);  // "pass", "fail", "error", "timeout", "memory", "output_limit", "not_run", "compile_error", ...

struct Test {
  std::string name;      // may be empty: "1", "2", ..
  std::string input;     // kStdin: what it reads; kCalls: a JSON array of arguments; kAsserts: a statement
  std::string expected;  // kStdin: what it prints; kCalls: the JSON of the value
  // Others that are as right: kStdin: outputs; kCalls: values (APPS lists some expected values inside a list of one).
  std::vector<std::string> also;
  double weight = 1;
  int subtask = 0;
  double seconds = 0;  // 0: CheckOptions::test_seconds
};

// A program of the data set that says whether an output is right, where several are: it is given the names of three files, the test's input,
// the program's output and the expected output (testlib's order), and leaves with 0 if the output is right, with 1 or 2 if it is not; anything
// else is an error of the checker. It runs in a sandbox of its own that never holds the submission.
//
// `interactive`: it talks to the submission while that runs. What it prints is the submission's input and the other way round; the second file
// is empty. The submission passes if it ends with code 0 and the interactor with 0.
struct Checker {
  std::string language = "python", code;  // no code: outputs are compared
  bool interactive = false;
};

struct Suite {
  enum class Kind {
    kStdin,    // tests: input, expected output; every language
    kCalls,    // tests: arguments, expected value of function `entry`; Python
    kCheck,    // `code` defines check(candidate), which is given function `entry` (HumanEval); Python
    kAsserts,  // tests: statements that use the submission's names (MBPP), `code` before them; a name of Python's own (sum) only if it
               // is `entry`; Python
    kUnit,     // `files`: test files that import `module`, with functions test_*, classes Test*, unittest.TestCase; Python
  };
  Kind kind = Kind::kStdin;
  std::vector<Test> tests;
  std::string entry;    // "f"; kCalls: also "Class.f" of a fresh object; a method of class Solution is found without saying so
  std::string prelude;  // untrusted side: put in front of the submission (imports that a data set takes for granted)
  std::string context;  // trusted side: run before test code (HumanEval's prompt: its helpers are used by tests)
  std::string code;
  std::vector<std::pair<std::string, std::string>> files;
  std::string module = "solution";
  OutputComparison output;
  Checker checker;  // kStdin
  ValueComparison value;
  std::vector<double> subtask_points;  // of subtask 0, 1, ..; those not listed have 1
};

struct Submission {
  std::string language = "python", code;
};

struct CheckOptions {
  double test_seconds = 5;  // a test
  double compile_seconds = 30;
  double deadline = 60;     // the whole check, the wait for a free worker included: the caller never waits longer
  bool early_stop = false;  // the first test that does not pass ends it
  int64_t memory_bytes = int64_t{512} << 20, output_bytes = 1 << 20;
};

struct TestReport {
  std::string name;
  Verdict verdict = Verdict::kNotRun;
  std::string detail;  // what differs, an exception's text, ..
  double seconds = 0, weight = 1;
  int subtask = 0;
};

struct Report {
  Verdict verdict = Verdict::kNotRun;  // pass if every test passed, else that of the first that did not
  std::string detail;
  std::vector<TestReport> tests;
  std::vector<double> subtask_points;
  double seconds = 0;

  bool passed() const { return verdict == Verdict::kPass; }
  int64_t passes() const;
  double fraction() const;  // passed tests / tests
  double weighted() const;  // their weight / all weight
  // IOI: a subtask counts as much as its worst test does; points reached / points.
  double subtask_minimum() const;
};

struct JudgeOptions {
  int workers = 0;  // checks at a time; 0: as many as CPUs. More wait, up to their deadline
  int warm = 0;     // started sandboxes with a waiting interpreter kept ready, each used once
  sandbox::Policy policy;
  int64_t memory_bytes = int64_t{512} << 20;  // of the warm ones; a check with another limit starts cold
};

class Judge {
 public:
  explicit Judge(JudgeOptions options = {});
  ~Judge();
  Judge(const Judge&) = delete;
  Judge& operator=(const Judge&) = delete;

  // Empty: programs can be run. Else why not, and the way out; every check then says kSandboxMissing.
  const std::string& unavailable() const;
  // Throws only for a suite that is no suite (no tests, a kind that the language lacks): usage errors. Thread-safe.
  Report check(const Submission& submission, const Suite& suite, const CheckOptions& options = {}) const;
  // Blocks until the warm ones stand ready (benchmarks, tests).
  void wait_until_warm() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace r1::verify::judge
