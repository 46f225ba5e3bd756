#include "r1/corpus/rational.h"

#include <algorithm>

#include "r1/base/error.h"

namespace r1::corpus {
namespace {

constexpr __int128 kMost = INT64_MAX;
constexpr int kMaxDigits = 15, kMaxDecimals = 6, kMaxDepth = 30;

__int128 gcd(__int128 a, __int128 b) {
  if (a < 0) a = -a;
  while (b != 0) {
    const __int128 rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Recursive descent; a value that cannot be had ends it.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  MaybeRational all() {
    MaybeRational value = sum(0);
    blanks();
    return value && text_.empty() ? value : std::nullopt;
  }

 private:
  void blanks() {
    while (text_.starts_with(' ')) text_.remove_prefix(1);
  }
  bool take(std::string_view sign) {
    blanks();
    if (!text_.starts_with(sign)) return false;
    text_.remove_prefix(sign.size());
    return true;
  }
  MaybeRational sum(int depth) {
    MaybeRational value = product(depth);
    while (value) {
      const bool plus = take("+");
      if (!plus && !take("-") && !take("−")) break;
      const MaybeRational next = product(depth);
      if (!next) return next;
      value = plus ? *value + *next : *value - *next;
    }
    return value;
  }
  MaybeRational product(int depth) {
    MaybeRational value = factor(depth);
    while (value) {
      const bool times = take("*") || take("×") || take("x");
      if (!times && !take("/") && !take("÷")) break;
      const MaybeRational next = factor(depth);
      if (!next) return next;
      value = times ? *value * *next : *value / *next;
    }
    return value;
  }
  MaybeRational factor(int depth) {
    if (depth > kMaxDepth) return std::nullopt;
    if (take("-") || take("−")) {
      const MaybeRational value = factor(depth + 1);
      return value ? Rational{} - *value : value;
    }
    MaybeRational value;
    if (take("(")) {
      value = sum(depth + 1);
      if (!value || !take(")")) return std::nullopt;
    } else {
      take("$");
      size_t n = 0;
      while (n < text_.size() && (is_digit(text_[n]) || text_[n] == '.' || text_[n] == ',')) ++n;
      value = parse_decimal(text_.substr(0, n));
      text_.remove_prefix(n);
    }
    if (value && take("%")) value = *value / Rational{100, 1};
    return value;
  }
  std::string_view text_;
};

}  // namespace

MaybeRational make_rational(__int128 numerator, __int128 denominator) {
  if (denominator == 0) return std::nullopt;
  if (denominator < 0) numerator = -numerator, denominator = -denominator;
  const __int128 common = gcd(numerator, denominator);
  numerator /= common;
  denominator /= common;
  if (numerator > kMost || numerator < -kMost || denominator > kMost) return std::nullopt;
  return Rational{int64_t(numerator), int64_t(denominator)};
}

// Sums of two products of 63 bits have 127: they fit.
MaybeRational operator+(const Rational& a, const Rational& b) {
  return make_rational(__int128(a.numerator) * b.denominator + __int128(b.numerator) * a.denominator,
                       __int128(a.denominator) * b.denominator);
}
MaybeRational operator-(const Rational& a, const Rational& b) {
  return a + Rational{-b.numerator, b.denominator};
}
MaybeRational operator*(const Rational& a, const Rational& b) {
  return make_rational(__int128(a.numerator) * b.numerator, __int128(a.denominator) * b.denominator);
}
MaybeRational operator/(const Rational& a, const Rational& b) {
  return make_rational(__int128(a.numerator) * b.denominator, __int128(a.denominator) * b.numerator);
}
bool operator<(const Rational& a, const Rational& b) {
  return __int128(a.numerator) * b.denominator < __int128(b.numerator) * a.denominator;
}

MaybeRational parse_decimal(std::string_view text) {
  const size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point), part = point == text.npos ? "" : text.substr(point + 1);
  if (whole.empty() && part.empty()) return std::nullopt;
  if (point != text.npos && part.empty()) return std::nullopt;
  __int128 value = 0, scale = 1;
  int digits = 0;
  const auto add = [&](char c) {
    if (!is_digit(c) || ++digits > kMaxDigits) return false;
    value = value * 10 + (c - '0');
    return true;
  };
  const size_t first_comma = whole.find(',');
  for (size_t i = 0; i < whole.size(); ++i) {
    // Commas part groups of three, all of them or none.
    const bool place = (whole.size() - i) % 4 == 0 && i > 0;
    if (first_comma != whole.npos && place != (whole[i] == ',')) return std::nullopt;
    if (whole[i] != ',' && !add(whole[i])) return std::nullopt;
  }
  if (first_comma != whole.npos && (first_comma == 0 || first_comma > 3)) return std::nullopt;
  if (part.size() > size_t(kMaxDecimals)) return std::nullopt;
  for (const char c : part) {
    if (!add(c)) return std::nullopt;
    scale *= 10;
  }
  return make_rational(value, scale);
}

int decimals_of(const Rational& value) {
  int64_t scale = 1;
  for (int n = 0; n <= kMaxDecimals; ++n, scale *= 10)
    if (scale % value.denominator == 0) return n;
  return -1;
}

std::string decimal_text(const Rational& value, int decimals) {
  __int128 scale = 1;
  for (int i = 0; i < decimals; ++i) scale *= 10;
  __int128 n = __int128(value.numerator) * scale;
  check(n % value.denominator == 0, "[rational] ", value.numerator, "/", value.denominator, " has more than ", decimals, " decimals");
  n /= value.denominator;
  const bool negative = n < 0;
  if (negative) n = -n;
  std::string digits;
  for (int i = 0; n > 0 || i <= decimals; ++i, n /= 10) {
    if (i == decimals && decimals > 0) digits += '.';
    digits += char('0' + int(n % 10));
  }
  if (negative) digits += '-';
  std::ranges::reverse(digits);
  return digits;
}

MaybeRational evaluate_arithmetic(std::string_view text) {
  return Reader(text).all();
}

}  // namespace r1::corpus
