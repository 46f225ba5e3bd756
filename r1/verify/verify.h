// Is this answer right? One call for rewards, evaluation and `r1 verify`: extracts (answer.h), parses (expression.h), compares
// (equality.h).
//
// Never hangs: every step is bounded by construction, and what a small work budget cannot decide goes to a worker process with a larger
// one; the parent kills and replaces a worker that isn't back at the deadline. No signals or timers in the caller's process. Thread-safe:
// calls run in parallel, workers are shared.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "r1/verify/answer.h"
#include "r1/verify/check.h"

namespace r1::verify {

struct VerifyOptions {
  double deadline = 2;  // seconds, for one check
  int workers = 2;      // processes for the hard cases, started when first needed
  BoxChoice boxes = BoxChoice::kLast;
  bool marked_only = false;  // an answer counts in <answer>, \boxed{} or after #### alone; otherwise unparsed
  EqualityOptions equality;
};

class Verifier {
 public:
  explicit Verifier(VerifyOptions options = {});
  ~Verifier();
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

  // `answer`: a whole completion or the bare answer.
  AnswerCheck check(std::string_view gold, std::string_view answer) const;

  // The most memory that all workers of such a verifier take together, beside the caller's own: each is held to its share by a limit.
  static int64_t most_memory(const VerifyOptions& options);

  // Tests only: workers replaced so far, and a worker that hangs or dies instead of working.
  int64_t replaced() const;
  enum class Fault { kNone, kHang, kDie };
  AnswerCheck check_in_worker(std::string_view gold, std::string_view answer, Fault fault = Fault::kNone) const;

 private:
  AnswerCheck check_against(const std::string& gold, std::string_view answer, ExtractedAnswer& taken) const;

  struct Pool;
  VerifyOptions options_;
  std::unique_ptr<Pool> pool_;
};

}  // namespace r1::verify
