// Two extracted texts, one verdict: parses both in every way that their commas allow and compares. What a worker process does for a
// Verifier (verify.h) and a Verifier does itself with a small budget.
#pragma once

#include <string>
#include <string_view>

#include "r1/verify/equality.h"
#include "r1/verify/marks.h"
#include "r1/verify/verdict.h"

namespace r1::verify {

struct AnswerCheck {
  AnswerVerdict verdict = AnswerVerdict::kUnparsed;
  std::string extracted, reason;
  AnswerPlace place = AnswerPlace::kNone;  // by which rule `extracted` was taken from a completion (Verifier::check)
  std::string gold;                        // the known answer as it was compared
};

// Compares extracted texts within a budget, in this process. `exhausted`: more budget could decide.
AnswerCheck check_texts(std::string_view gold, std::string_view answer, const EqualityOptions& options, const Budget& budget,
                        bool* exhausted);

}  // namespace r1::verify
