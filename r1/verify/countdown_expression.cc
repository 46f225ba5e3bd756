#include "r1/verify/countdown_expression.h"

#include <algorithm>
#include <numeric>

namespace r1::verify {
namespace {

using Wide = __int128;

struct Rational {
  Wide n = 0, d = 1;
};

struct Failure {
  const char* why;
};

Rational reduced(Wide n, Wide d) {
  if (d == 0) throw Failure{"division by zero"};
  Wide x = n < 0 ? -n : n, y = d < 0 ? -d : d;
  while (y) std::swap(x %= y, y);
  if (x == 0) x = 1;
  if (d < 0) x = -x;
  n /= x, d /= x;
  constexpr Wide kLimit = INT64_MAX;
  if (n > kLimit || n < -kLimit || d > kLimit) throw Failure{"number too large"};
  return {n, d};
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  CountdownValue parse() {
    if (text_.size() > 1000) throw Failure{"expression too long"};
    const Rational value = sum(0);
    if (at_ != text_.size()) throw Failure{"unexpected character"};
    return {int64_t(value.n), int64_t(value.d), std::move(numbers_)};
  }

 private:
  // one of the given operators at the cursor (0 if none); several spellings
  char take_operator(std::string_view allowed) {
    skip_space();
    static const std::pair<std::string_view, char> spellings[] = {{"+", '+'},        {"-", '-'},        {"\xE2\x88\x92", '-'},
                                                                  {"*", '*'},        {"\xC3\x97", '*'}, {"/", '/'},
                                                                  {"\xC3\xB7", '/'}, {"\\times", '*'},  {"\\div", '/'}};
    for (const auto& [spelling, op] : spellings) {
      if (!text_.substr(at_).starts_with(spelling) || allowed.find(op) == allowed.npos) continue;
      at_ += spelling.size();
      return op;
    }
    return 0;
  }

  Rational sum(int depth) {
    Rational value = product(depth);
    while (const char op = take_operator("+-")) {
      const Rational right = product(depth);
      const Wide a = value.n * right.d, b = right.n * value.d;
      value = reduced(op == '+' ? a + b : a - b, value.d * right.d);
    }
    return value;
  }

  Rational product(int depth) {
    Rational value = factor(depth);
    while (const char op = take_operator("*/")) {
      const Rational right = factor(depth);
      value = op == '*' ? reduced(value.n * right.n, value.d * right.d) : reduced(value.n * right.d, value.d * right.n);
    }
    return value;
  }

  Rational factor(int depth) {
    if (depth > 100) throw Failure{"too deeply nested"};
    skip_space();
    if (at_ < text_.size() && text_[at_] == '(') {
      ++at_;
      const Rational value = sum(depth + 1);
      skip_space();
      if (at_ >= text_.size() || text_[at_] != ')') throw Failure{"missing ')'"};
      ++at_;
      return value;
    }
    return number();
  }

  Rational number() {
    int64_t value = 0;
    const size_t start = at_;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      if (at_ - start >= 15) throw Failure{"number too large"};
      value = value * 10 + (text_[at_] - '0');
    }
    if (at_ == start) throw Failure{"expected a number"};
    numbers_.push_back(value);
    return {value, 1};
  }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) ++at_;
  }

  std::string_view text_;
  size_t at_ = 0;
  std::vector<int64_t> numbers_;
};

bool within(std::vector<int64_t> used, std::vector<int64_t> given, bool use_all) {
  std::sort(used.begin(), used.end());
  std::sort(given.begin(), given.end());
  return use_all ? used == given : std::includes(given.begin(), given.end(), used.begin(), used.end());
}

}  // namespace

std::optional<CountdownValue> evaluate_countdown(std::string_view text, std::string* why) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\n' || text.back() == '\r' || text.back() == '\t')) text.remove_suffix(1);
  try {
    return Parser(text).parse();
  } catch (const Failure& failure) {
    if (why) *why = failure.why;
    return std::nullopt;
  }
}

CountdownCheck check_countdown(std::string_view expression, const std::vector<int64_t>& given, int64_t target, bool use_all) {
  const auto value = evaluate_countdown(expression);
  if (!value) return CountdownCheck::kUnparsed;
  if (!within(value->numbers, given, use_all)) return CountdownCheck::kWrongNumbers;
  return value->denominator == 1 && value->numerator == target ? CountdownCheck::kRight : CountdownCheck::kWrongValue;
}

}  // namespace r1::verify
