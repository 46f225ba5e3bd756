#include "r1/verify/number_answer.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace r1::verify {
namespace {

constexpr size_t kMaxDigits = 1000;  // longer digit strings are no answers, and keep the work bounded

bool digit(char c) {
  return c >= '0' && c <= '9';
}

void replace_all(std::string& s, std::string_view from, std::string_view to) {
  std::string out;
  size_t at = 0;
  for (size_t next; (next = s.find(from, at)) != std::string::npos; at = next + from.size()) out.append(s, at, next - at).append(to);
  s = out.append(s, at);
}

// sign, integer digits without leading zeros, fraction digits without trailing zeros
struct Decimal {
  bool negative = false;
  std::string whole, part;
  bool zero() const { return whole.empty() && part.empty(); }
};

std::string decimal_text(const Decimal& d) {
  if (d.zero()) return "0";
  return (d.negative ? "-" : "") + (d.whole.empty() ? std::string("0") : d.whole) + (d.part.empty() ? "" : "." + d.part);
}

void normalize(Decimal& d) {
  d.whole.erase(0, std::min(d.whole.find_first_not_of('0'), d.whole.size()));
  while (!d.part.empty() && d.part.back() == '0') d.part.pop_back();
  if (d.zero()) d.negative = false;
}

bool shift(Decimal& d, int exponent) {
  if (exponent > 400 || exponent < -400) return false;
  std::string& from = exponent > 0 ? d.part : d.whole;
  const size_t n = size_t(std::abs(exponent));
  if (exponent > 0) {
    if (from.size() < n) from.append(n - from.size(), '0');
    d.whole += from.substr(0, n);
    from.erase(0, n);
  } else {
    if (from.size() < n) from.insert(0, n - from.size(), '0');
    d.part.insert(0, from.substr(from.size() - n));
    from.erase(from.size() - n);
  }
  return true;
}

// Reads [+-] digits with optional thousands separators, fraction and exponent from the front of `s`; returns how much was read, 0 if no
// number.
size_t read_decimal(std::string_view s, Decimal& out) {
  size_t i = 0;
  out = {};
  if (i < s.size() && (s[i] == '-' || s[i] == '+')) out.negative = s[i++] == '-';
  const size_t first = i;
  while (i < s.size() && digit(s[i])) out.whole += s[i++];
  if (i - first >= 1 && i - first <= 3) {  // 1,234,567: groups of exactly three
    const auto group = [&](size_t at) {
      return at + 3 < s.size() && s[at] == ',' && digit(s[at + 1]) && digit(s[at + 2]) && digit(s[at + 3]) &&
             !(at + 4 < s.size() && digit(s[at + 4]));
    };
    while (group(i)) {
      out.whole.append(s.substr(i + 1, 3));
      i += 4;
    }
  }
  if (i + 1 < s.size() && s[i] == '.' && digit(s[i + 1])) {
    for (++i; i < s.size() && digit(s[i]);) out.part += s[i++];
  }
  if (out.whole.empty() && out.part.empty()) return 0;
  if (i + 1 < s.size() && (s[i] == 'e' || s[i] == 'E')) {
    size_t j = i + 1;
    bool negative = false;
    if (s[j] == '-' || s[j] == '+') negative = s[j++] == '-';
    int exponent = 0;
    const size_t start = j;
    while (j < s.size() && digit(s[j]) && j - start < 4) exponent = exponent * 10 + (s[j++] - '0');
    if (j > start && shift(out, negative ? -exponent : exponent)) i = j;
  }
  if (out.whole.size() + out.part.size() > kMaxDigits) return 0;
  normalize(out);
  return i;
}

std::string clean(std::string_view text) {
  std::string s(text.substr(0, 4 * kMaxDigits));
  replace_all(s, "\xE2\x88\x92", "-");
  replace_all(s, "{,}", ",");
  for (const char* drop : {"\\$", "\\%", "\\!", "\\,", "\\;", "\\ ", "$", "\xE2\x82\xAC", "\xC2\xA3", "\xC2\xA5", "**", "\xC2\xA0"})
    replace_all(s, drop, "");
  replace_all(s, "\\dfrac", "\\frac");
  replace_all(s, "\\tfrac", "\\frac");
  return std::string(trim(s));
}

using Wide = __int128;

bool to_wide(const std::string& digits, Wide& out) {
  if (digits.size() > 30) return false;
  out = 0;
  for (char c : digits) out = out * 10 + (c - '0');
  return true;
}

std::string wide_text(Wide v) {
  std::string s;
  do s.insert(s.begin(), char('0' + int(v % 10)));
  while (v /= 10);
  return s;
}

// a/b with integers a and b in lowest terms; a finite decimal is written as such so that 1/2 and 0.5 meet.
std::optional<std::string> fraction_text(const Decimal& a, const Decimal& b) {
  Wide n = 0, d = 0;
  if (!a.part.empty() || !b.part.empty() || !to_wide(a.whole, n) || !to_wide(b.whole, d) || d == 0) return std::nullopt;
  Wide x = n, y = d;
  while (y) std::swap(x %= y, y);
  n /= x, d /= x;
  const bool negative = n != 0 && a.negative != b.negative;
  Wide rest = d;
  int twos = 0, fives = 0;
  for (; rest % 2 == 0; rest /= 2) ++twos;
  for (; rest % 5 == 0; rest /= 5) ++fives;
  if (rest != 1) return (negative ? "-" : "") + wide_text(n) + "/" + wide_text(d);
  Decimal value{negative, wide_text(n / d), ""};
  Wide remainder = n % d;
  for (int i = 0; i < std::max(twos, fives); ++i) {
    remainder *= 10;
    value.part += char('0' + int(remainder / d));
    remainder %= d;
  }
  normalize(value);
  return decimal_text(value);
}

// A number at the front of `s`: decimal, a/b, \frac{a}{b}. Returns length read and the canonical text.
size_t read_number(std::string_view s, std::string& canonical) {
  Decimal a, b;
  size_t sign = !s.empty() && (s[0] == '-' || s[0] == '+');
  if (s.substr(sign).starts_with("\\frac{")) {
    const size_t start = sign + 6, n = read_decimal(s.substr(start), a);
    if (n && s.substr(start + n).starts_with("}{")) {
      const size_t m = read_decimal(s.substr(start + n + 2), b);
      const size_t end = start + n + 2 + m;
      if (m && end < s.size() && s[end] == '}') {
        if (sign && s[0] == '-') a.negative = !a.negative;
        if (auto text = fraction_text(a, b)) return canonical = *text, end + 1;
      }
    }
    return 0;
  }
  const size_t n = read_decimal(s, a);
  if (!n) return 0;
  if (n + 1 < s.size() && s[n] == '/' && digit(s[n + 1])) {
    const size_t m = read_decimal(s.substr(n + 1), b);
    if (auto text = fraction_text(a, b)) return canonical = *text, n + 1 + m;
  }
  canonical = decimal_text(a);
  return n;
}

struct Found {
  size_t begin, end;
  std::string canonical;
};

// A leading '-' belongs to the number only when no digit, letter or ')' stands before it ("5-3" holds 5 and 3).
std::vector<Found> all_numbers(std::string_view s) {
  std::vector<Found> found;
  for (size_t i = 0; i < s.size();) {
    const char before = i ? s[i - 1] : ' ';
    const bool word = digit(before) || before == ')' || (before >= 'a' && before <= 'z') || (before >= 'A' && before <= 'Z');
    const bool starts =
        (digit(s[i]) && !digit(before)) || (s[i] == '.' && !word) || ((s[i] == '-' || s[i] == '+') && !word) || s[i] == '\\';
    std::string canonical;
    const size_t n = starts ? read_number(s.substr(i), canonical) : 0;
    if (n) found.push_back({i, i + n, canonical});
    i += n ? n : 1;
  }
  return found;
}

// "1 or 2": the last of `numbers` is one of several that are named.
bool left_open(std::string_view before, const std::vector<Found>& numbers) {
  before = trim(before);
  if (numbers.size() < 2 || !before.ends_with(" or")) return false;
  before = trim(before.substr(0, before.size() - 3));
  const Found& previous = numbers[numbers.size() - 2];
  return previous.end == before.size() && previous.canonical != numbers.back().canonical;
}

std::optional<NumberAnswer> single_number(std::string_view body, AnswerPlace place) {
  const std::string s = clean(body);
  if (auto whole = canonical_number(s)) return NumberAnswer{std::string(trim(body)), *whole, place};
  const Boxes boxes = boxes_of(s);
  if (boxes.cut) return std::nullopt;
  if (!boxes.closed.empty()) return single_number(boxes.closed.back().body, place);
  std::string_view rest = s;
  if (const size_t equals = rest.rfind('='); equals != rest.npos) rest.remove_prefix(equals + 1);
  const auto numbers = all_numbers(rest);
  if (numbers.empty() || taken_back(std::string_view(s).substr(0, s.size() - rest.size() + numbers[0].begin))) return std::nullopt;
  for (const Found& f : numbers) {
    if (f.canonical != numbers[0].canonical) return std::nullopt;
  }
  return NumberAnswer{std::string(trim(body)), numbers[0].canonical, place};
}

std::optional<NumberAnswer> first_number(std::string_view body, AnswerPlace place) {
  const std::string s = clean(body.substr(0, body.find('\n')));
  auto numbers = all_numbers(s);
  if (numbers.empty() || taken_back(std::string_view(s).substr(0, numbers[0].begin))) return std::nullopt;
  if (const size_t equals = s.rfind('='); equals != s.npos)  // "3*4=12" comes to 12
    std::erase_if(numbers, [&](const Found& f) { return f.begin < equals; });
  if (numbers.empty()) return std::nullopt;
  return NumberAnswer{s.substr(numbers[0].begin, numbers[0].end - numbers[0].begin), numbers[0].canonical, place};
}

std::optional<NumberAnswer> phrase_answer(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? char(c + 32) : c;
  const size_t at = lower.rfind("answer");
  if (at == std::string::npos) return std::nullopt;
  std::string_view rest = text.substr(at + 6);
  for (;;) {
    rest = trim(rest);
    if (rest.starts_with(":") || rest.starts_with("="))
      rest.remove_prefix(1);
    else if (rest.starts_with("**"))
      rest.remove_prefix(2);
    else if (rest.starts_with("is"))
      rest.remove_prefix(2);
    else
      break;
  }
  const std::string s = clean(rest.substr(0, rest.find('\n')));
  std::string canonical;
  const size_t n = read_number(s, canonical);
  if (!n) return std::nullopt;
  const auto numbers = all_numbers(s);  // "the answer is 1 or 2"
  if (numbers.size() > 1 && left_open(std::string_view(s).substr(0, numbers[1].begin), {numbers[0], numbers[1]})) return std::nullopt;
  return NumberAnswer{s.substr(0, n), canonical, AnswerPlace::kPhrase};
}

}  // namespace

std::optional<std::string> canonical_number(std::string_view text) {
  std::string s = clean(text);
  if (!s.empty() && s.back() == '.') s.pop_back();
  if (!s.empty() && s.back() == '%') s.pop_back();
  s = trim(s);
  if (s.starts_with("- ")) s.erase(1, 1);
  std::string canonical;
  const size_t n = read_number(s, canonical);
  if (n == 0 || n != s.size()) return std::nullopt;
  return canonical;
}

bool numbers_equal(std::string_view a, std::string_view b) {
  const auto x = canonical_number(a), y = canonical_number(b);
  return x && y && *x == *y;
}

std::optional<NumberAnswer> extract_number_answer(std::string_view completion, bool strict) {
  const auto rest = after_thought(completion);
  if (!rest) return std::nullopt;
  const AnswerBlock block = answer_block(*rest);
  if (block.cut) return std::nullopt;
  if (block.body) return single_number(*block.body, AnswerPlace::kAnswerTag);
  const Boxes boxes = boxes_of(*rest);
  if (boxes.cut) return std::nullopt;
  if (const size_t hashes = rest->rfind("####"); hashes != rest->npos) return first_number(rest->substr(hashes + 4), AnswerPlace::kHashes);
  if (!boxes.closed.empty()) return single_number(boxes.closed.back().body, AnswerPlace::kBoxed);
  if (auto phrase = phrase_answer(*rest)) return phrase;
  if (strict) return std::nullopt;
  const std::string s = clean(rest->size() > 4000 ? rest->substr(rest->size() - 4000) : *rest);
  const auto numbers = all_numbers(s);
  if (numbers.empty()) return std::nullopt;
  const Found& last = numbers.back();
  const std::string_view before = std::string_view(s).substr(0, last.begin);
  if (left_open(before, numbers) || taken_back(before)) return std::nullopt;
  return NumberAnswer{s.substr(last.begin, last.end - last.begin), last.canonical, AnswerPlace::kLastNumber};
}

}  // namespace r1::verify
