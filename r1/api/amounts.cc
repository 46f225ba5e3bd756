#include "r1/api/amounts.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>

#include "r1/base/error.h"

namespace r1::api {
namespace {

using Tokens = std::span<const TextToken>;

struct Named {
  const char *word, *code;
};
constexpr Named kWords[] = {
    {"pound", "GBP"},   {"pounds", "GBP"}, {"sterling", "GBP"}, {"quid", "GBP"},   {"£", "GBP"},       {"dollar", "USD"},
    {"dollars", "USD"}, {"bucks", "USD"},  {"$", "USD"},        {"euro", "EUR"},   {"euros", "EUR"},   {"€", "EUR"},
    {"yen", "JPY"},     {"¥", "JPY"},      {"rupee", "INR"},    {"rupees", "INR"}, {"₹", "INR"},       {"franc", "CHF"},
    {"francs", "CHF"},  {"zloty", "PLN"},  {"zlotys", "PLN"},   {"rouble", "RUB"}, {"roubles", "RUB"}, {"ruble", "RUB"},
    {"rubles", "RUB"},  {"yuan", "CNY"},   {"krona", "SEK"},    {"kronor", "SEK"}, {"forint", "HUF"},  {"shekel", "ILS"},
    {"shekels", "ILS"}, {"peso", "MXN"},   {"pesos", "MXN"},    {"baht", "THB"},   {"₽", "RUB"},     {"zł", "PLN"}};
constexpr Named kNations[] = {{"australian", "AUD"}, {"canadian", "CAD"},  {"singapore", "SGD"},  {"us", "USD"},
                              {"american", "USD"},   {"hong kong", "HKD"}, {"new zealand", "NZD"}};
// Codes that are no English words, so that they count in lower case too.
constexpr std::array<const char*, 30> kCodes = {"GBP", "USD", "EUR", "JPY", "AUD", "CAD", "CHF", "CNY", "SEK", "NOK",
                                                "DKK", "PLN", "HUF", "CZK", "RON", "BGN", "INR", "SGD", "HKD", "NZD",
                                                "ZAR", "MXN", "BRL", "AED", "ILS", "THB", "RUB", "KRW", "IDR", "MYR"};

std::optional<std::string> one_word_currency(std::string_view message, const TextToken& t) {
  for (const Named& n : kWords) {
    if (t.lower == n.word) return n.code;
  }
  for (const char* code : kCodes) {
    if (t.lower.size() == 3 && std::equal(t.lower.begin(), t.lower.end(), code, [](char a, char b) { return a - 'a' + 'A' == b; }))
      return code;
  }
  if (message.substr(t.begin, t.end - t.begin) == "TRY") return "TRY";
  return std::nullopt;
}

struct CurrencyAt {
  std::string code;
  size_t first = 0, tokens = 0;
};

// The currency that token i begins: "australian dollars", "USD", "£".
std::optional<CurrencyAt> currency_at(std::string_view message, Tokens tokens, size_t i) {
  for (const Named& n : kNations) {
    const size_t words = text_tokens(n.word).size();
    if (i + words >= tokens.size() || find_phrase(tokens.subspan(i, words), n.word) != 0) continue;
    const std::string& next = tokens[i + words].lower;
    if (next == "dollar" || next == "dollars" || next == "$") return CurrencyAt{n.code, i, words + 1};
  }
  if (i >= tokens.size()) return std::nullopt;
  if (const auto code = one_word_currency(message, tokens[i])) return CurrencyAt{*code, i, 1};
  return std::nullopt;
}

struct NumberAt {
  double value = 0;
  size_t first = 0, tokens = 0;
  bool in_digits = false;
};

bool all_digits(const std::string& s) {
  return !s.empty() && s.size() <= 9 && std::all_of(s.begin(), s.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// 1,200.50 or 1.200,50 or 12,5: of two kinds of separators the last is the decimal one; of one kind, three digits after it make thousands.
NumberAt digits_at(Tokens tokens, size_t i) {
  std::string whole = tokens[i].lower;
  std::vector<std::pair<char, std::string>> groups;
  size_t n = 1;
  while (i + n + 1 < tokens.size() && groups.size() < 4 && (tokens[i + n].lower == "," || tokens[i + n].lower == ".") &&
         tokens[i + n].begin == tokens[i + n - 1].end && tokens[i + n + 1].begin == tokens[i + n].end &&
         all_digits(tokens[i + n + 1].lower)) {
    groups.emplace_back(tokens[i + n].lower[0], tokens[i + n + 1].lower);
    n += 2;
  }
  std::string fraction;
  if (!groups.empty()) {
    const char last = groups.back().first;
    const bool mixed = groups.front().first != last;
    const bool thousands = !mixed && groups.back().second.size() == 3;
    if (!thousands) fraction = groups.back().second;
    for (size_t g = 0; g + (thousands ? 0 : 1) < groups.size(); ++g) whole += groups[g].second;
  }
  if (whole.size() > 15) whole.resize(15);
  return {std::stod(whole + "." + fraction.substr(0, 9) + "0"), i, n, true};
}

// "twenty five", "a hundred and ten", "two thousand".
std::optional<NumberAt> spelled_at(Tokens tokens, size_t i) {
  static const std::array<const char*, 20> kUnits = {"zero",     "one",     "two",     "three",     "four",     "five",    "six",
                                                     "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",  "thirteen",
                                                     "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
  static const std::array<const char*, 8> kTens = {"twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"};
  double total = 0, part = 0;
  size_t n = 0, numbers = 0;
  for (; i + n < tokens.size() && n < 8; ++n) {
    const std::string& w = tokens[i + n].lower;
    const auto unit = std::find(kUnits.begin(), kUnits.end(), w);
    const auto ten = std::find(kTens.begin(), kTens.end(), w);
    const std::string next = i + n + 1 < tokens.size() ? tokens[i + n + 1].lower : "";
    if (unit != kUnits.end())
      part += double(unit - kUnits.begin()), ++numbers;
    else if (ten != kTens.end())
      part += 20 + 10 * double(ten - kTens.begin()), ++numbers;
    else if (w == "hundred" && (numbers || part == 1))
      part = (part == 0 ? 1 : part) * 100, ++numbers;
    else if (w == "thousand" && (numbers || part == 1))
      total += (part == 0 ? 1 : part) * 1000, part = 0, ++numbers;
    else if ((w == "a" || w == "one") && numbers == 0 && (next == "hundred" || next == "thousand"))
      part = 1;
    else if (!((w == "and" || w == "-") && numbers > 0 &&
               (std::count(kUnits.begin(), kUnits.end(), next) || std::count(kTens.begin(), kTens.end(), next))))
      break;
  }
  if (numbers == 0) return std::nullopt;
  return NumberAt{total + part, i, n, false};
}

std::optional<NumberAt> number_at(Tokens tokens, size_t i) {
  return all_digits(tokens[i].lower) ? digits_at(tokens, i) : spelled_at(tokens, i);
}

// "2k" is one token of letters and digits.
std::optional<NumberAt> thousands_at(Tokens tokens, size_t i) {
  const std::string& w = tokens[i].lower;
  if (w.size() < 2 || w.size() > 6 || w.back() != 'k' || !all_digits(w.substr(0, w.size() - 1))) return std::nullopt;
  return NumberAt{std::stod(w.substr(0, w.size() - 1)) * 1000, i, 1, true};
}

// "20pounds", "20gbp", "gbp20", "20£" (the sign is a token of its own already): split where digits meet letters.
std::vector<TextToken> split_tokens(Tokens tokens) {
  std::vector<TextToken> out;
  for (const TextToken& t : tokens) {
    size_t cut = 0;
    while (cut < t.lower.size() && t.lower[cut] >= '0' && t.lower[cut] <= '9') ++cut;
    if (cut == 0 && t.word) {
      while (cut < t.lower.size() && t.lower[cut] >= 'a' && t.lower[cut] <= 'z') ++cut;
      if (cut != 3 || cut == t.lower.size() || !all_digits(t.lower.substr(cut))) cut = 0;
    }
    const bool k = cut + 1 == t.lower.size() && t.lower.back() == 'k';
    if (cut == 0 || cut == t.lower.size() || k || t.end - t.begin != t.lower.size()) {
      out.push_back(t);
      continue;
    }
    out.push_back({t.lower.substr(0, cut), t.begin, t.begin + cut, true});
    out.push_back({t.lower.substr(cut), t.begin + cut, t.end, true});
  }
  return out;
}

std::string amount_text(double value, const std::string& code) {
  char text[40];
  const bool whole = value == double(int64_t(value));
  std::snprintf(text, sizeof text, whole ? "%.0f" : "%.2f", value);
  return code.empty() ? text : str(text, " ", code);
}

// Digits that are part of something else: a date, a time, a percentage, an ordinal.
bool stands_alone(Tokens tokens, const NumberAt& n) {
  const auto touching = [&](size_t i, size_t j) { return tokens[i].end == tokens[j].begin; };
  const size_t after = n.first + n.tokens;
  if (after < tokens.size()) {
    const std::string& w = tokens[after].lower;
    if (w == "%" || ((w == "/" || w == ":" || w == "-") && touching(after - 1, after))) return false;
    if (w == "days" || w == "day" || w == "weeks" || w == "week" || w == "hours" || w == "months" || w == "minutes" || w == "times")
      return false;
  }
  if (n.first > 0) {
    const std::string& w = tokens[n.first - 1].lower;
    if ((w == "/" || w == ":" || w == "-" || w == "*") && touching(n.first - 1, n.first)) return false;
  }
  return true;
}

}  // namespace

std::vector<SlotValue> find_amounts(std::string_view message, Tokens given, bool asked) {
  const std::vector<TextToken> tokens = split_tokens(given);
  std::vector<SlotValue> found;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const std::optional<NumberAt> thousands = thousands_at(tokens, i);
    const std::optional<NumberAt> number = thousands ? thousands : number_at(tokens, i);
    if (!number || number->tokens == 0) continue;
    size_t first = i, last = i + number->tokens - 1;
    std::string code;
    if (const auto after = currency_at(message, tokens, last + 1)) {
      code = after->code;
      last = after->first + after->tokens - 1;
    } else if (i > 0 && one_word_currency(message, tokens[i - 1])) {
      code = *one_word_currency(message, tokens[i - 1]);
      first = i - 1;
    }
    const bool plain = asked && stands_alone(tokens, *number);
    if (code.empty() && !plain) {
      i = last;
      continue;
    }
    const size_t begin = tokens[first].begin, end = tokens[last].end;
    found.push_back({amount_text(number->value, code), std::string(message.substr(begin, end - begin)), begin, end});
    i = last;
  }
  return found;
}

std::vector<SlotValue> find_currencies(std::string_view message, Tokens given) {
  const std::vector<TextToken> tokens = split_tokens(given);
  std::vector<SlotValue> found;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto at = currency_at(message, tokens, i);
    if (!at) continue;
    const size_t begin = tokens[i].begin, end = tokens[i + at->tokens - 1].end;
    found.push_back({at->code, std::string(message.substr(begin, end - begin)), begin, end});
  }
  return found;
}

}  // namespace r1::api
