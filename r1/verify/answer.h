// Where in a completion is the final answer? Linear in the text; no parsing beyond "does the whole text read as one expression".
//
// Looked for after the last </think> (a thought that was opened and not closed has no answer), in this order:
//   <answer>..</answer>, the last one, and in it whatever of the following it has
//   \boxed{..}, \fbox, \framebox, nested braces balanced; neighbours joined by commas, "and", "or" or nothing but signs and names of one
//   letter are one list: \boxed{1} and \boxed{2} is 1, 2; x = \boxed{3}, y = \boxed{4} is x = 3, y = 4
//     ("the final answer is ..", said after the last box, comes before it)
//   "#### 18"
//   the whole text, if it is short and reads as one expression
//   "the answer is ..", "final answer: .."
//   the last formula ($..$, \(..\), \[..\]) or number, with those that "and" and "or" join to it
// A tag or box that does not close was cut off, and is no answer: nothing else is looked for. Neither is one what is taken back or left
// open ("not 2", "either 1 or 2").
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "r1/verify/marks.h"

namespace r1::verify {

enum class BoxChoice { kLast, kFirst };

struct ExtractedAnswer {
  std::string text;
  AnswerPlace place = AnswerPlace::kNone;
};

// nullopt: nothing there.
std::optional<ExtractedAnswer> extract_answer(std::string_view completion, BoxChoice boxes = BoxChoice::kLast);
// The same for a known answer: what carries no mark is taken whole. A sentence with formulas in it is never stood for by one of them.
ExtractedAnswer extract_gold(std::string_view gold);
// kMixed: prose and mathematics in one, which only the same text can match; tasks count such golds when they load.
enum class GoldKind { kMathematics, kText, kMixed };
GoldKind gold_kind(std::string_view gold);

// Only what carries a mark: <answer>, \boxed{}, ####. `text`: what follows the thought. marked_text() gives what stands there as it is, not
// searched for a value; `cut`: a mark that does not close stands in its way.
std::optional<ExtractedAnswer> marked_text(std::string_view text, bool* cut, BoxChoice boxes = BoxChoice::kLast);
std::optional<ExtractedAnswer> extract_marked(std::string_view text, BoxChoice boxes = BoxChoice::kLast);

// Text answers, dates, times: LaTeX wrapping, blanks, quotes, case (from three letters on) and the final stop don't count.
std::string normalized_text(std::string_view text);

}  // namespace r1::verify
