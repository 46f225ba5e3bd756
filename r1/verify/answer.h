// Where in a completion is the final answer? Linear in the text; no parsing beyond "does the whole text read as one expression".
//
// Looked for after the last </think> (a thought that was opened and not closed has no answer), in this order:
//   <answer>..</answer>, the last one (its box, if it has one)
//   \boxed{..}, nested braces balanced; neighbours joined by commas, "and", "or" or nothing but signs are one list: \boxed{1} and \boxed{2}
//   is 1, 2
//     ("the final answer is ..", said behind the last box, comes before it)
//   "#### 18"
//   the whole text, if it is short and reads as one expression
//   "the answer is ..", "final answer: .."
//   the last formula ($..$, \(..\), \[..\]), the last number
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "r1/verify/number_answer.h"

namespace r1::verify {

enum class BoxChoice { kLast, kFirst };

struct ExtractedAnswer {
  std::string text;
  AnswerPlace place = AnswerPlace::kNone;
};

// nullopt: nothing there.
std::optional<ExtractedAnswer> extract_answer(std::string_view completion, BoxChoice boxes = BoxChoice::kLast);
// The same for a known answer: what carries no mark is taken whole.
ExtractedAnswer extract_gold(std::string_view gold);

// Only what carries a mark: <answer>, \boxed{}, ####. `text`: what follows the thought.
std::optional<ExtractedAnswer> extract_marked(std::string_view text, BoxChoice boxes = BoxChoice::kLast);

// Text answers, dates, times: LaTeX wrapping, blanks, quotes, case (from three letters on) and the final stop don't count.
std::string normalized_text(std::string_view text);

}  // namespace r1::verify
