// Pairs of known answer and completion on which verifiers were caught: cases from public bug reports and test suites, and others of their
// kinds (tests/golden/verify_reported.json). A wrong answer that is called right teaches a model to cheat, so none may be; "wrong" there
// means not right: an answer that says nothing is unparsed.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/verify/verify.h"

using namespace r1;
using namespace r1::verify;

namespace {

TEST(Reported, EveryPairIsJudgedAsMathematicsDoes) {
  const Verifier verifier({.deadline = 60});  // the machine may be busy; bombs_test.cc holds the time
  const Json rows = parse_json_file((fs::path(R1_SOURCE_DIR) / "tests" / "golden" / "verify_reported.json").string());
  ASSERT_GE(rows.size(), 2'000u);
  std::map<std::string, std::pair<int, int>> kinds;  // right, wrong
  for (const Json& row : rows) {
    const AnswerCheck c = verifier.check(row["gold"].get<std::string>(), row["answer"].get<std::string>());
    const bool right = row["right"];
    EXPECT_EQ(c.verdict == AnswerVerdict::kRight, right)
        << row["kind"].get<std::string>() << ": " << row["gold"].get<std::string>() << " | " << row["answer"].get<std::string>() << "\n    "
        << answer_verdict_name(c.verdict) << ", " << c.reason << ", took " << c.extracted;
    EXPECT_NE(c.verdict, AnswerVerdict::kCrash) << row.dump();
    EXPECT_NE(c.verdict, AnswerVerdict::kTimeout) << row.dump();
    auto& [yes, no] = kinds[row["kind"]];
    ++(right ? yes : no);
  }
  for (const char* kind : {"lists of pairs", "tuples and sets", "inequalities", "systems", "congruences", "chains", "names", "points",
                           "rounding", "units", "extraction", "letters"}) {
    EXPECT_GE(kinds[kind].first, 1) << kind;
    EXPECT_GE(kinds[kind].second, 2) << kind;
  }
  EXPECT_GE(kinds["cut off"].second, 20);
}

}  // namespace
