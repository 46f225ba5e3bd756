#include "r1/verify/judge/compare.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "r1/base/error.h"

namespace r1::verify::judge {
namespace {

constexpr std::string_view kBlanks = " \t\r";

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    line = line.substr(0, line.find_last_not_of(kBlanks) + 1);
    out.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  while (!out.empty() && out.back().empty()) out.pop_back();
  return out;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> out;
  for (size_t at = line.find_first_not_of(kBlanks); at != std::string_view::npos;) {
    const size_t end = std::min(line.find_first_of(kBlanks, at), line.size());
    out.push_back(line.substr(at, end - at));
    at = line.find_first_not_of(kBlanks, end);
  }
  return out;
}

// A plain decimal number; no hexadecimal, no names.
std::optional<double> decimal(std::string_view word) {
  if (word.empty() || word.size() > 400 || word.find_first_not_of("0123456789+-.eE") != std::string_view::npos) return std::nullopt;
  if (word.find_first_of("0123456789") == std::string_view::npos) return std::nullopt;
  const std::string text(word);
  char* end = nullptr;
  const double x = std::strtod(text.c_str(), &end);
  if (end != text.c_str() + text.size() || !std::isfinite(x)) return std::nullopt;
  return x;
}

// The digits of a whole number of any length, however it is written: "+007", "7.00" and "70e-1" are "7". nullopt: it is none.
std::optional<std::string> whole_number(std::string_view word) {
  const bool negative = word.starts_with('-');
  if (negative || word.starts_with('+')) word.remove_prefix(1);
  const size_t e = std::min(word.find_first_of("eE"), word.size());
  const std::string_view mantissa = word.substr(0, e);
  const size_t point = std::min(mantissa.find('.'), mantissa.size());
  std::string digits(mantissa.substr(0, point));
  const std::string_view part = mantissa.substr(std::min(point + 1, mantissa.size()));
  digits += part;
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  long shift = -long(part.size());
  if (e < word.size()) {
    std::string_view power = word.substr(e + 1);
    if (power.starts_with('+')) power.remove_prefix(1);
    long value = 0;
    const auto [end, error] = std::from_chars(power.data(), power.data() + power.size(), value);
    if (error != std::errc() || end != power.data() + power.size() || std::labs(value) > 400) return std::nullopt;
    shift += value;
  }
  for (; shift < 0; ++shift) {
    if (digits.empty() || digits.back() != '0') {
      if (digits.find_first_not_of('0') == std::string::npos) return "0";
      return std::nullopt;
    }
    digits.pop_back();
  }
  digits.append(size_t(shift), '0');
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
  if (digits.empty()) return "0";
  return (negative ? "-" : "") + digits;
}

bool equal_words(std::string_view expected, std::string_view got, double tolerance) {
  if (expected == got) return true;
  if (!(tolerance > 0)) return false;
  const auto whole = whole_number(expected), other = whole_number(got);
  if (whole && other) return *whole == *other;
  const auto a = decimal(expected), b = decimal(got);
  return a && b && std::fabs(*a - *b) <= tolerance * std::max(1.0, std::fabs(*a));
}

bool equal_lines(std::string_view expected, std::string_view got, const OutputComparison& how) {
  if (expected == got) return true;
  if (how.rule == OutputRule::kLines && !(how.float_tolerance > 0)) return false;
  const auto a = words_of(expected), b = words_of(got);
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (!equal_words(a[i], b[i], how.float_tolerance)) return false;
  return true;
}

// Both texts, cut to a window around the first byte that differs, so that what differs can be seen.
std::pair<std::string, std::string> shown(std::string_view a, std::string_view b) {
  const size_t first = size_t(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
  const size_t begin = first > 60 ? first - 40 : 0;
  const auto window = [&](std::string_view text) {
    const std::string_view part = text.substr(std::min(begin, text.size()), 80);
    return (begin ? "'.." : "'") + std::string(part) + (begin + 80 < text.size() ? "..'" : "'");
  };
  return {window(a), window(b)};
}
std::string differ(std::string_view expected, std::string_view got) {
  const auto [e, g] = shown(expected, got);
  return "expected " + e + ", got " + g;
}

}  // namespace

std::string output_difference(std::string_view expected, std::string_view got, const OutputComparison& how) {
  if (how.rule == OutputRule::kExact) return expected == got ? "" : differ(expected, got);
  const auto a = lines_of(expected), b = lines_of(got);
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    if (!equal_lines(a[i], b[i], how)) return str("line ", i + 1, ": ", differ(a[i], b[i]));
  return a.size() == b.size() ? "" : str("expected ", a.size(), " lines, got ", b.size());
}

}  // namespace r1::verify::judge
