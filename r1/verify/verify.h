// Is this answer right? One call for rewards, evaluation and `r1 verify`: extracts (answer.h), parses (expression.h), compares
// (equality.h).
//
// Never hangs: every step is bounded by construction, and what a small work budget cannot decide goes to a worker process with a larger
// one; the parent kills and replaces a worker that isn't back at the deadline. No signals or timers in the caller's process. Thread-safe:
// calls run in parallel, workers are shared.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "r1/verify/answer.h"
#include "r1/verify/equality.h"

namespace r1::verify {

// kUnparsed: no answer found, or one that cannot be read or decided. kTimeout: the deadline or the work budget ran out. kCrash: the worker
// died.
enum class AnswerVerdict { kRight, kWrong, kUnparsed, kTimeout, kCrash };
const char* answer_verdict_name(AnswerVerdict verdict);

struct VerifyOptions {
  double deadline = 2;  // seconds, for one check
  int workers = 2;      // processes for the hard cases, started when first needed
  BoxChoice boxes = BoxChoice::kLast;
  bool marked_only = false;  // an answer counts in <answer>, \boxed{} or behind #### alone; otherwise unparsed
  EqualityOptions equality;
};

struct AnswerCheck {
  AnswerVerdict verdict = AnswerVerdict::kUnparsed;
  std::string extracted, reason;
};

// Compares extracted texts within a budget, in this process. `exhausted`: more budget could decide.
AnswerCheck check_texts(std::string_view gold, std::string_view answer, const EqualityOptions& options, const Budget& budget,
                        bool* exhausted);

class Verifier {
 public:
  explicit Verifier(VerifyOptions options = {});
  ~Verifier();
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

  // `answer`: a whole completion or the bare answer.
  AnswerCheck check(std::string_view gold, std::string_view answer) const;

  // Tests only: workers replaced so far, and a worker that hangs or dies instead of working.
  int64_t replaced() const;
  enum class Fault { kNone, kHang, kDie };
  AnswerCheck check_in_worker(std::string_view gold, std::string_view answer, Fault fault = Fault::kNone) const;

 private:
  struct Pool;
  VerifyOptions options_;
  std::unique_ptr<Pool> pool_;
};

}  // namespace r1::verify
