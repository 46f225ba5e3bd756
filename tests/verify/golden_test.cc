// The verifier against its peers' golden files: pairs that sympy calls equal or different (tests/oracles/verify_sympy.py), and the
// published cases of Math-Verify with its verdicts (tests/oracles/verify_math_verify.py).
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/verify/verify.h"

using namespace r1;
using namespace r1::verify;

namespace {

Json golden(const char* name) {
  return parse_json_file((fs::path(R1_SOURCE_DIR) / "tests" / "golden" / name).string());
}

TEST(Golden, Sympy) {
  const Verifier verifier;
  const Json rows = golden("verify_sympy.json");
  ASSERT_GE(rows.size(), 500u);
  std::map<std::string, std::pair<int, int>> kinds;  // same, different
  for (const Json& row : rows) {
    const std::string gold = row["gold"], answer = row["answer"];
    const bool same = row["same"];
    const AnswerCheck c = verifier.check(gold, "\\boxed{" + answer + "}");
    EXPECT_EQ(c.verdict, same ? AnswerVerdict::kRight : AnswerVerdict::kWrong)
        << row.dump() << ": " << answer_verdict_name(c.verdict) << ", " << c.reason;
    auto& [equal, different] = kinds[row["kind"]];
    ++(same ? equal : different);
  }
  for (const char* kind : {"constant", "polynomial", "function", "set", "union", "matrix", "equation", "roots", "inequality"}) {
    EXPECT_GE(kinds[kind].first, 5) << kind;
    EXPECT_GE(kinds[kind].second, 5) << kind;
  }
}

TEST(Golden, MathVerify) {
  std::map<std::pair<int, bool>, Verifier> verifiers;
  const Json rows = golden("verify_math_verify.json");
  ASSERT_GE(rows.size(), 200u);
  size_t same = 0;
  for (const Json& row : rows) {
    VerifyOptions options;
    options.equality.rounding_digits = row.value("rounding_digits", 6);
    options.equality.strict = row.value("strict", true);
    const Verifier& verifier = verifiers.try_emplace({options.equality.rounding_digits, options.equality.strict}, options).first->second;
    const AnswerCheck c = verifier.check(row["gold"].get<std::string>(), row["answer"].get<std::string>());
    // each difference is one that docs/rewards.md explains
    EXPECT_EQ(answer_verdict_name(c.verdict), row["ours"].get<std::string>()) << row.dump() << ": " << c.reason;
    same += (c.verdict == AnswerVerdict::kRight) == row["theirs"].get<bool>();
  }
  // fourteen differ: seven of theirs take a chain with a false link for right
  EXPECT_GE(double(same), 0.93 * double(rows.size()));
}

}  // namespace
