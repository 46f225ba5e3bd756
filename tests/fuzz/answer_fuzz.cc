// libFuzzer target: any bytes as completion and as known answer. No crash, no hang; an answer whose canonical tree is the known one's is
// right.
//   clang++-14 -std=c++20 -g -O1 -fsanitize=fuzzer,address -I. tests/fuzz/answer_fuzz.cc r1/verify/*.cc -lgmpxx -lmpfr -lgmp
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "r1/verify/choice.h"
#include "r1/verify/verify.h"

using namespace r1::verify;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t half = text.find('\n');
  const std::string_view gold = text.substr(0, half), answer = half == text.npos ? text : text.substr(half + 1);
  const ExtractedAnswer g = extract_gold(gold);
  bool more = false;
  if (const auto a = extract_answer(answer)) check_texts(g.text, a->text, {}, kSmallBudget, &more);
  extract_choice(answer);
  const AnswerCheck self = check_texts(g.text, g.text, {}, kSmallBudget, &more);
  if (self.verdict == AnswerVerdict::kWrong) std::abort();
  return 0;
}
