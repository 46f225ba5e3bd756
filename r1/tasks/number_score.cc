#include "r1/tasks/number_score.h"

#include "r1/verify/number_answer.h"

namespace r1::tasks {

Score score_number(const std::string& gold, const std::string& completion, bool strict) {
  const auto answer = verify::extract_number_answer(completion, strict);
  if (!answer)
    return {Verdict::kUnparsed, 0, "", "none", strict ? "no marked answer that reads as a number" : "nothing that reads as a number"};
  const bool right = verify::canonical_number(gold) == answer->canonical;
  const std::string reason = right ? "the same number" : answer->canonical + " is not " + gold;
  return {right ? Verdict::kRight : Verdict::kWrong, right ? 1.0 : 0.0, answer->canonical, verify::answer_place_name(answer->place),
          reason};
}

}  // namespace r1::tasks
