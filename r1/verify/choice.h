// Multiple choice: which letter (A-J) does a completion answer with? Only after the last </think>; a thought that was opened and not closed
// has no answer. Looked for in this order:
//   <answer>..</answer>, \boxed{..}, "#### C": the letter that stands alone in it
//   "answer is C", "Answer: (C)", "correct option - C", "choice C", the last such place
//   the last "(C)"
//   a last line that is the letter or ends in it
// A place that names two letters ("A or B") is a hedge and has no letter. Linear in the text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "r1/verify/number_answer.h"

namespace r1::verify {

struct Choice {
  char letter = '\0';  // '\0': a marked place without a letter of its own (it may hold an option's text), or with two
  std::string text;    // what stands there
  AnswerPlace place = AnswerPlace::kNone;
};

// nullopt: no such place. `strict`: only marked places (tag, box, hashes) count.
std::optional<Choice> extract_choice(std::string_view completion, bool strict = false);

// The option that a short answer text names: "C", "(C)", "\text{C}", "C. 12 m"; '\0' if none.
char option_letter(std::string_view answer);
// For a completion whose gold is a letter: extract_choice()'s letter.
char find_option(std::string_view completion);

}  // namespace r1::verify
