#include "r1/verify/judge/compare.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>
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

bool equal_words(std::string_view expected, std::string_view got, double tolerance) {
  if (expected == got) return true;
  if (!(tolerance > 0)) return false;
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

std::string shown(std::string_view text) {
  return "'" + std::string(text.substr(0, 80)) + (text.size() > 80 ? "..'" : "'");
}

}  // namespace

std::string output_difference(std::string_view expected, std::string_view got, const OutputComparison& how) {
  if (how.rule == OutputRule::kExact) return expected == got ? "" : str("expected ", shown(expected), ", got ", shown(got));
  const auto a = lines_of(expected), b = lines_of(got);
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    if (!equal_lines(a[i], b[i], how)) return str("line ", i + 1, ": expected ", shown(a[i]), ", got ", shown(b[i]));
  return a.size() == b.size() ? "" : str("expected ", a.size(), " lines, got ", b.size());
}

}  // namespace r1::verify::judge
