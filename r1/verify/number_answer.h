// What number does a completion give as its answer, and is it the known one? For tasks whose gold answer is one number (GSM8K, SVAMP,
// arithmetic). Leaves out everything symbolic (sets, intervals, expressions); comparison is exact on decimals and fractions, never through
// a float.
//
// Where the answer is looked for, in this order, always after the last </think>: the last <answer>..</answer>, the last "#### N", the last
// \boxed{..}, "answer is N" / "answer: N" / "answer N", the last number of the text. A thought that was opened and never closed has no
// answer, nor has an <answer> or box that does not close. An <answer> or box that names several different numbers is a hedge and has no
// answer either (unless an '=' leads to one), and so is a number that is taken back or left open ("not 2", "either 1 or 2").
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "r1/verify/marks.h"

namespace r1::verify {

struct NumberAnswer {
  std::string text;  // as written
  std::string canonical;
  AnswerPlace place = AnswerPlace::kNone;
};

// nullopt: nothing there that reads as a number. `strict`: only marked answers count, never the bare last number.
std::optional<NumberAnswer> extract_number_answer(std::string_view completion, bool strict = false);

// "1,234.50" -> "1234.5", "\$ 18" -> "18", "3/6" -> "1/2", "1.2e3" -> "1200", "-0" -> "0"; nullopt if the whole text is not one number.
// Accepts: thousands separators (also {,} and \,), currency signs, a percent sign (ignored: gold answers leave it out), U+2212,
// \frac{a}{b}, one closing '.'.
std::optional<std::string> canonical_number(std::string_view text);

// Exact equality of two numbers in any of these spellings; false if one is no number.
bool numbers_equal(std::string_view a, std::string_view b);

}  // namespace r1::verify
