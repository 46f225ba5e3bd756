// Multiple choice: which letter (A-J) does a completion answer with? Only after the last </think>; a thought that was opened and not closed
// has no answer. Looked for in this order:
//   <answer>..</answer>, \boxed{..}, "#### C": the letter that stands alone in it
//   the last letter that is said to be the answer: "answer is C", "Answer: (C)", "correct option - C", "choice C", "C is right", and the same
//   in Chinese, French, German and Spanish ("答案是C", "réponse est C"); lower case counts in such a place ("the answer is d.")
//   the last "(C)"
//   a last line that is a letter, or begins or ends with the only one on it
// A letter that is denied ("not A", "it can't be A or B", "A is wrong", "A and C can be excluded", "不是 A") answers nothing, and a place
// that names two others ("A or B") is a hedge and has no letter. Linear in the text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "r1/verify/marks.h"

namespace r1::verify {

struct Choice {
  char letter = '\0';  // '\0': a marked place without a letter of its own (it may hold an option's text), or with two
  std::string text;    // what stands there
  AnswerPlace place = AnswerPlace::kNone;
};

// nullopt: no such place. `strict`: only marked places (tag, box, hashes) count.
std::optional<Choice> extract_choice(std::string_view completion, bool strict = false);

// The option that a short answer text names: "C", "(C)", "\text{C}", "C. 12 m"; '\0' if none. `any_case`: "c" and "(c)" as well.
char option_letter(std::string_view answer, bool any_case = false);

}  // namespace r1::verify
