// Arithmetic expressions of the countdown game: parsed (+ - * / and parentheses, also the signs U+00D7 U+00F7 U+2212), evaluated exactly as
// rationals of 128-bit integers, and the numbers used listed. Leaves out: names, powers, unary minus in front of a number (the game has
// only given numbers).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace r1::verify {

struct CountdownValue {
  int64_t numerator = 0, denominator = 1;  // lowest terms, denominator > 0
  std::vector<int64_t> numbers;            // as written, left to right
};

// nullopt and `why` (one phrase) for a syntax error, division by zero, overflow of 64 bits, or more than 100 nested parentheses / 1,000
// characters. A trailing "= something" is refused: the caller strips it.
std::optional<CountdownValue> evaluate_countdown(std::string_view text, std::string* why = nullptr);

enum class CountdownCheck { kRight, kUnparsed, kWrongValue, kWrongNumbers };
// Right when the value is exactly `target` and each given number is used at most once (`use_all`: exactly once).
CountdownCheck check_countdown(std::string_view expression, const std::vector<int64_t>& given, int64_t target, bool use_all);

}  // namespace r1::verify
