#include "r1/api/dates.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>

namespace r1::api {
namespace {

using Tokens = std::span<const TextToken>;
using std::chrono::days;
using std::chrono::sys_days;
using std::chrono::year_month_day;

// A date that some tokens stand for.
struct DateAt {
  sys_days date;
  size_t tokens = 0;
};
using MaybeDate = std::optional<DateAt>;

std::optional<int> number_of(const std::string& s, size_t max_digits) {
  if (s.empty() || s.size() > max_digits || !std::all_of(s.begin(), s.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return std::nullopt;
  return std::stoi(s);
}

std::optional<sys_days> civil(int y, int m, int d) {
  const year_month_day ymd{std::chrono::year(y), std::chrono::month(unsigned(m)), std::chrono::day(unsigned(d))};
  if (m < 1 || d < 1 || y < 1900 || y > 2199 || !ymd.ok()) return std::nullopt;
  return sys_days(ymd);
}

// The latest such day that is not after today; the 29th of February looks back as far as it must.
std::optional<sys_days> latest(int m, int d, year_month_day today) {
  for (int y = int(today.year()); y > int(today.year()) - 9; --y) {
    const auto date = civil(y, m, d);
    if (date && *date <= sys_days(today)) return date;
  }
  return std::nullopt;
}

int month_of(const std::string& w) {
  static const std::array<const char*, 12> kMonths = {"january", "february", "march",     "april",   "may",      "june",
                                                      "july",    "august",   "september", "october", "november", "december"};
  if (w == "sept") return 9;
  for (size_t i = 0; i < kMonths.size(); ++i) {
    if (w == kMonths[i] || (w.size() == 3 && std::string_view(kMonths[i]).substr(0, 3) == w)) return int(i) + 1;
  }
  return 0;
}

// "5", "5th": a day of the month.
int day_of(const std::string& w) {
  size_t n = 0;
  while (n < w.size() && n < 2 && w[n] >= '0' && w[n] <= '9') ++n;
  const std::string_view end = std::string_view(w).substr(n);
  if (n == 0 || !(end.empty() || end == "st" || end == "nd" || end == "rd" || end == "th")) return 0;
  const int d = std::stoi(w.substr(0, n));
  return d <= 31 ? d : 0;
}

bool joined(Tokens t, size_t i, size_t n) {
  for (size_t k = 1; k < n; ++k) {
    if (t[i + k].begin != t[i + k - 1].end) return false;
  }
  return true;
}

// 2026-03-04, 4/3/2026, 04.03.26
MaybeDate numeric(Tokens t, size_t i, bool month_first) {
  if (i + 5 > t.size() || !joined(t, i, 5) || t[i + 1].lower != t[i + 3].lower) return std::nullopt;
  const std::string& mark = t[i + 1].lower;
  if (mark != "-" && mark != "/" && mark != ".") return std::nullopt;
  const auto a = number_of(t[i].lower, 4), b = number_of(t[i + 2].lower, 2), c = number_of(t[i + 4].lower, 4);
  if (!a || !b || !c) return std::nullopt;
  std::optional<sys_days> date;
  if (t[i].lower.size() == 4)
    date = civil(*a, *b, *c);
  else if (t[i].lower.size() <= 2 && (t[i + 4].lower.size() == 4 || t[i + 4].lower.size() == 2)) {
    const int y = t[i + 4].lower.size() == 4 ? *c : 2000 + *c;
    date = month_first ? civil(y, *a, *b) : civil(y, *b, *a);
    if (!date) date = month_first ? civil(y, *b, *a) : civil(y, *a, *b);  // 12/25/2026 is clear either way
  }
  if (!date) return std::nullopt;
  return DateAt{*date, 5};
}

MaybeDate with_year(Tokens t, size_t i, size_t used, int m, int d, year_month_day today) {
  size_t at = i + used;
  if (at < t.size() && t[at].lower == ",") ++at;
  if (at < t.size() && t[at].lower.size() == 4) {
    if (const auto y = number_of(t[at].lower, 4)) {
      if (const auto date = civil(*y, m, d)) return DateAt{*date, at + 1 - i};
    }
  }
  if (const auto date = latest(m, d, today)) return DateAt{*date, used};
  return std::nullopt;
}

// "4 March", "the 4th of March 2026", "March 4th, 2026"
MaybeDate with_month_name(Tokens t, size_t i, year_month_day today) {
  if (const int m = month_of(t[i].lower)) {
    if (i + 1 < t.size()) {
      const size_t skip = t[i + 1].lower == "the" && i + 2 < t.size() ? 2 : 1;
      if (const int d = day_of(t[i + skip].lower)) return with_year(t, i, skip + 1, m, d, today);
    }
    return std::nullopt;
  }
  const int d = day_of(t[i].lower);
  if (!d || i + 1 >= t.size()) return std::nullopt;
  const size_t skip = t[i + 1].lower == "of" && i + 2 < t.size() ? 2 : 1;
  const int m = month_of(t[i + skip].lower);
  return m ? with_year(t, i, skip + 1, m, d, today) : std::nullopt;
}

MaybeDate weekday(Tokens t, size_t i, year_month_day today) {
  static const std::array<const char*, 7> kDays = {"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"};
  const bool led = t[i].lower == "last" || t[i].lower == "next" || t[i].lower == "this";
  const size_t at = led ? i + 1 : i;
  if (at >= t.size()) return std::nullopt;
  const auto it = std::find(kDays.begin(), kDays.end(), t[at].lower);
  if (it == kDays.end()) return std::nullopt;
  const std::chrono::weekday wanted(unsigned(it - kDays.begin()));
  const std::chrono::weekday now{sys_days(today)};
  if (t[i].lower == "next") {
    const days ahead = wanted - now;
    return DateAt{sys_days(today) + (ahead == days(0) ? days(7) : ahead), 2};
  }
  days back = now - wanted;
  if (t[i].lower == "last" && back == days(0)) back = days(7);
  return DateAt{sys_days(today) - back, at + 1 - i};
}

// "3 days ago", "a week ago", "yesterday"
MaybeDate relative(Tokens t, size_t i, year_month_day today) {
  const sys_days now(today);
  const auto phrase = [&](const char* words) { return find_phrase(t.subspan(i, std::min<size_t>(4, t.size() - i)), words) == 0; };
  if (phrase("day before yesterday")) return DateAt{now - days(2), 3};
  if (phrase("day after tomorrow")) return DateAt{now + days(2), 3};
  if (phrase("yesterday")) return DateAt{now - days(1), 1};
  if (phrase("today") || phrase("tonight")) return DateAt{now, 1};
  if (phrase("this morning")) return DateAt{now, 2};
  if (phrase("last night")) return DateAt{now - days(1), 2};
  if (phrase("tomorrow")) return DateAt{now + days(1), 1};
  if (phrase("last week")) return DateAt{now - days(7), 2};
  if (i + 2 >= t.size() || t[i + 2].lower != "ago") return std::nullopt;
  static const std::array<const char*, 11> kNumbers = {"", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"};
  std::optional<int> n = number_of(t[i].lower, 3);
  if (t[i].lower == "a" || t[i].lower == "an") n = 1;
  if (const auto it = std::find(kNumbers.begin(), kNumbers.end(), t[i].lower); it != kNumbers.end()) n = int(it - kNumbers.begin());
  if (!n) return std::nullopt;
  const std::string& unit = t[i + 1].lower;
  if (unit == "day" || unit == "days") return DateAt{now - days(*n), 3};
  if (unit == "week" || unit == "weeks") return DateAt{now - days(7 * *n), 3};
  if ((unit == "hour" || unit == "hours") && *n < 12) return DateAt{now, 3};
  if (unit == "month" || unit == "months") {
    const year_month_day back = today - std::chrono::months(*n);
    return DateAt{sys_days(back.ok() ? back : year_month_day(back.year() / back.month() / std::chrono::last)), 3};
  }
  return std::nullopt;
}

std::string iso(sys_days date) {
  const year_month_day ymd(date);
  char text[32];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u", int(ymd.year()), unsigned(ymd.month()), unsigned(ymd.day()));
  return text;
}

}  // namespace

std::vector<SlotValue> find_dates(std::string_view message, Tokens tokens, bool month_first, year_month_day today) {
  std::vector<SlotValue> found;
  for (size_t i = 0; i < tokens.size(); ++i) {
    MaybeDate date = numeric(tokens, i, month_first);
    if (!date) date = with_month_name(tokens, i, today);
    if (!date) date = relative(tokens, i, today);
    if (!date) date = weekday(tokens, i, today);
    if (!date) continue;
    const size_t begin = tokens[i].begin, end = tokens[i + date->tokens - 1].end;
    found.push_back({iso(date->date), std::string(message.substr(begin, end - begin)), begin, end});
    i += date->tokens - 1;
  }
  return found;
}

}  // namespace r1::api
