// Exact quotients of 64-bit integers and the arithmetic written with them in solutions of word problems: + - * / and parentheses over decimals,
// percents and numbers with commas. What leaves 64 bits, or divides by zero, is no value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace r1::corpus {

struct Rational {
  int64_t numerator = 0, denominator = 1;  // lowest terms, denominator > 0
  bool operator==(const Rational&) const = default;
  bool is_integer() const { return denominator == 1; }
};

using MaybeRational = std::optional<Rational>;
MaybeRational make_rational(__int128 numerator, __int128 denominator);
MaybeRational operator+(const Rational& a, const Rational& b);
MaybeRational operator-(const Rational& a, const Rational& b);
MaybeRational operator*(const Rational& a, const Rational& b);
MaybeRational operator/(const Rational& a, const Rational& b);
bool operator<(const Rational& a, const Rational& b);

// "48", "1,200", "2.50", ".5"; nothing else may stand there. At most 15 digits, of them 6 behind the point.
MaybeRational parse_decimal(std::string_view text);
// Digits behind the point that write it exactly; -1: none do, or more than six.
int decimals_of(const Rational& value);
// With `decimals` digits behind the point, which must be enough.
std::string decimal_text(const Rational& value, int decimals);

// "(48+12)/2", "25%*40", also with blanks; also x, the sign of multiplication (U+00D7), of division (U+00F7), and a minus sign (U+2212).
MaybeRational evaluate_arithmetic(std::string_view text);

}  // namespace r1::corpus
