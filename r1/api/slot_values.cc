#include "r1/api/slot_values.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "r1/api/amounts.h"
#include "r1/api/countries.h"
#include "r1/api/dates.h"
#include "r1/api/intent_features.h"
#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/text/unicode.h"

namespace r1::api {
namespace {

using Tokens = std::span<const TextToken>;

constexpr std::array<const char*, 10> kTypeNames = {"text",    "amount", "currency", "date",   "card_number",
                                                    "country", "name",   "choice",   "number", "email"};
constexpr size_t kMaxTextValue = 300;  // bytes

bool is_digits(const std::string& s) {
  return !s.empty() && std::all_of(s.begin(), s.end(), [](unsigned char c) { return c >= '0' && c <= '9'; });
}

SlotValue value_at(std::string_view message, size_t begin, size_t end, std::string value) {
  return {std::move(value), std::string(message.substr(begin, end - begin)), begin, end};
}

// ---- digits in groups: card numbers

struct DigitRun {
  size_t begin = 0, end = 0;
  std::string digits;
};

// Bytes of what may stand between two groups of digits at i: up to two of blank, no-break blank, '-', '.', '_'.
size_t separator_length(std::string_view s, size_t i) {
  size_t n = 0;
  for (int k = 0; k < 2 && i + n < s.size(); ++k) {
    if (std::string_view(" -._").find(s[i + n]) != std::string_view::npos)
      ++n;
    else if (s.substr(i + n, 2) == "\xC2\xA0")
      n += 2;
    else
      break;
  }
  return n;
}

bool digit_at(std::string_view s, size_t i) {
  return i < s.size() && s[i] >= '0' && s[i] <= '9';
}

std::vector<DigitRun> digit_runs(std::string_view s) {
  std::vector<DigitRun> runs;
  for (size_t i = 0; i < s.size();) {
    if (!digit_at(s, i)) {
      ++i;
      continue;
    }
    DigitRun run{i, i, ""};
    while (digit_at(s, i)) {
      run.digits += s[i];
      run.end = ++i;
      const size_t gap = separator_length(s, i);
      if (gap && digit_at(s, i + gap)) i += gap;
    }
    i = run.end;
    runs.push_back(std::move(run));
  }
  return runs;
}

bool luhn(const std::string& digits) {
  int sum = 0;
  for (size_t i = 0; i < digits.size(); ++i) {
    int d = digits[digits.size() - 1 - i] - '0';
    if (i % 2 && (d *= 2) > 9) d -= 9;
    sum += d;
  }
  return sum % 10 == 0;
}

std::string masked(const std::string& digits) {
  return "**** " + digits.substr(digits.size() - 4);
}

std::vector<SlotValue> card_numbers(std::string_view message, bool asked) {
  std::vector<SlotValue> found;
  for (const DigitRun& run : digit_runs(message)) {
    const size_t n = run.digits.size();
    const bool whole = n >= 13 && n <= 19 && luhn(run.digits);
    const bool is_masked = n == 4 && run.begin >= 5 && message.substr(run.begin - 5, 5) == "**** ";
    const std::string before = lower_case(message.substr(run.begin < 24 ? 0 : run.begin - 24, std::min<size_t>(run.begin, 24)));
    const bool last_four =
        n == 4 && (asked || before.find("ending in") != std::string::npos || before.find("last four") != std::string::npos ||
                   before.find("last 4") != std::string::npos || before.find("ends with") != std::string::npos);
    if (is_masked)
      found.push_back(value_at(message, run.begin - 5, run.end, masked(run.digits)));
    else if (whole || last_four)
      found.push_back(value_at(message, run.begin, run.end, masked(run.digits)));
  }
  return found;
}

// ---- account numbers

size_t iban_end(std::string_view s, size_t begin) {
  std::string compact;
  size_t i = begin, end = begin;
  while (i < s.size() && compact.size() < 34) {
    const unsigned char c = static_cast<unsigned char>(s[i]);
    if (std::isalnum(c))
      compact += char(std::toupper(c)), end = ++i;
    else if (c == ' ' && i + 1 < s.size() && std::isalnum(static_cast<unsigned char>(s[i + 1])))
      ++i;
    else
      break;
    if (compact.size() < 15) continue;
    if (i < s.size() && std::isalnum(static_cast<unsigned char>(s[i]))) continue;
    // ISO 13616: the first four go to the end, letters count as 10 .. 35, and the number is 1 modulo 97.
    int rest = 0;
    for (size_t k = 0; k < compact.size(); ++k) {
      const char x = compact[(k + 4) % compact.size()];
      const int v = x <= '9' ? x - '0' : x - 'A' + 10;
      rest = (v > 9 ? rest * 100 + v : rest * 10 + v) % 97;
    }
    if (rest == 1) return end;
  }
  return begin;
}

bool iban_may_begin(std::string_view s, size_t i) {
  const auto at = [&](size_t k) { return i + k < s.size() ? static_cast<unsigned char>(s[i + k]) : 0; };
  return std::isalpha(at(0)) && std::isalpha(at(1)) && std::isdigit(at(2)) && std::isdigit(at(3)) &&
         (i == 0 || !std::isalnum(static_cast<unsigned char>(s[i - 1])));
}

// ---- names

bool is_name_word(const std::string& lower) {
  static const std::array<const char*, 30> kNot = {"a",    "an",   "the",  "not",  "no",    "yes",  "in",   "on",   "at",      "my",
                                                   "card", "your", "from", "what", "where", "when", "why",  "how",  "who",     "it",
                                                   "is",   "have", "just", "so",   "very",  "do",   "with", "here", "waiting", "and"};
  return std::find(kNot.begin(), kNot.end(), lower) == kNot.end();
}

bool has_capital(std::string_view message, const TextToken& token) {
  const unsigned char c = static_cast<unsigned char>(message[token.begin]);
  return (c >= 'A' && c <= 'Z') || c >= 0x80;
}

// Words of a name from token i on: up to four, also with - or ' between.
size_t name_end(std::string_view message, Tokens tokens, size_t i, bool capitals) {
  size_t words = 0, end = i;
  while (end < tokens.size() && words < 4) {
    const TextToken& t = tokens[end];
    if (!t.word || is_digits(t.lower) || !is_name_word(t.lower) || (capitals && !has_capital(message, t))) break;
    ++words, ++end;
    if (end + 1 < tokens.size() && (tokens[end].lower == "-" || tokens[end].lower == "'") && tokens[end].begin == t.end &&
        tokens[end + 1].begin == tokens[end].end)
      ++end;
  }
  return end;
}

std::vector<SlotValue> names(std::string_view message, Tokens tokens, bool asked) {
  struct Opening {
    const char* words;
    bool capitals;
  };
  constexpr Opening kOpenings[] = {{"my name is", false}, {"my name ' s", false}, {"call me", false}, {"this is", true},
                                   {"i am", true},        {"i ' m", true},        {"name :", false}};
  const auto from = [&](size_t i, bool capitals) -> std::vector<SlotValue> {
    const size_t end = name_end(message, tokens, i, capitals);
    if (end == i) return {};
    const size_t a = tokens[i].begin, b = tokens[end - 1].end;
    return {value_at(message, a, b, std::string(message.substr(a, b - a)))};
  };
  for (const Opening& opening : kOpenings) {
    const size_t at = find_phrase(tokens, opening.words);
    if (at == std::string::npos) continue;
    const size_t length = text_tokens(opening.words).size();
    if (auto found = from(at + length, opening.capitals); !found.empty()) return found;
  }
  const bool question = !tokens.empty() && tokens.back().lower == "?";
  if (asked && !question && tokens.size() <= 8) {
    auto found = from(0, false);
    if (!found.empty() && found[0].end + 2 >= message.size()) return found;
  }
  return {};
}

// ---- words of a list

std::vector<SlotValue> choices(std::string_view message, Tokens tokens, std::span<const SlotChoice> list) {
  std::vector<SlotValue> found;
  const auto look_for = [&](const std::string& phrase, const std::string& name) {
    const size_t length = text_tokens(phrase).size();
    for (size_t at = find_phrase(tokens, phrase); at != std::string::npos; at = find_phrase(tokens, phrase, at + 1))
      found.push_back(value_at(message, tokens[at].begin, tokens[at + length - 1].end, name));
  };
  for (const SlotChoice& choice : list) {
    look_for(choice.name, choice.name);
    for (const std::string& other : choice.also) look_for(other, choice.name);
  }
  return found;
}

std::vector<SlotValue> countries(std::string_view message, Tokens tokens) {
  std::vector<SlotValue> found;
  static const std::vector<std::vector<TextToken>> kNames = [] {
    std::vector<std::vector<TextToken>> all;
    for (const CountryName& c : country_names()) all.push_back(text_tokens(c.name));
    return all;
  }();
  const auto matches = [&](const std::vector<TextToken>& name, size_t i) {
    if (i + name.size() > tokens.size()) return false;
    for (size_t k = 0; k < name.size(); ++k) {
      if (name[k].lower != tokens[i + k].lower) return false;
    }
    return true;
  };
  for (size_t i = 0; i < tokens.size(); ++i) {
    for (size_t c = 0; c < kNames.size(); ++c) {
      if (matches(kNames[c], i))
        found.push_back(value_at(message, tokens[i].begin, tokens[i + kNames[c].size() - 1].end, country_names()[c].code));
    }
    if (message.substr(tokens[i].begin, tokens[i].end - tokens[i].begin) == "US")
      found.push_back(value_at(message, tokens[i].begin, tokens[i].end, "US"));
  }
  return found;
}

std::vector<SlotValue> numbers(std::string_view message, Tokens tokens) {
  std::vector<SlotValue> found;
  for (const TextToken& t : tokens) {
    if (is_digits(t.lower) && t.lower.size() <= 12) found.push_back(value_at(message, t.begin, t.end, t.lower));
  }
  return found;
}

std::vector<SlotValue> emails(std::string_view message) {
  std::vector<SlotValue> found;
  const auto local = [](unsigned char c) { return std::isalnum(c) || c == '.' || c == '_' || c == '-' || c == '+'; };
  for (size_t at = message.find('@'); at != std::string_view::npos; at = message.find('@', at + 1)) {
    size_t begin = at, end = at + 1;
    while (begin > 0 && at - begin < 64 && local(static_cast<unsigned char>(message[begin - 1]))) --begin;
    while (end < message.size() && end - at < 254 && local(static_cast<unsigned char>(message[end])) && message[end] != '+') ++end;
    while (end > at + 1 && (message[end - 1] == '.' || message[end - 1] == '-')) --end;
    const std::string_view host = message.substr(at + 1, end - at - 1);
    if (begin < at && host.find('.') != std::string_view::npos && host.front() != '.')
      found.push_back(value_at(message, begin, end, std::string(message.substr(begin, end - begin))));
  }
  return found;
}

std::vector<SlotValue> whole_text(std::string_view message, bool asked) {
  const std::string_view text = trim(message);
  if (!asked || text.empty() || text.size() > kMaxTextValue) return {};
  const size_t begin = size_t(text.data() - message.data());
  return {value_at(message, begin, begin + text.size(), std::string(text))};
}

// The longest of those that overlap; then in order.
std::vector<SlotValue> apart(std::vector<SlotValue> found) {
  std::stable_sort(found.begin(), found.end(), [](const SlotValue& a, const SlotValue& b) { return a.end - a.begin > b.end - b.begin; });
  std::vector<SlotValue> kept;
  for (SlotValue& v : found) {
    const bool free = std::none_of(kept.begin(), kept.end(), [&](const SlotValue& k) { return v.begin < k.end && k.begin < v.end; });
    if (free) kept.push_back(std::move(v));
  }
  std::sort(kept.begin(), kept.end(), [](const SlotValue& a, const SlotValue& b) { return a.begin < b.begin; });
  return kept;
}

}  // namespace

const char* slot_type_name(SlotType type) {
  return kTypeNames[size_t(type)];
}

SlotType parse_slot_type(std::string_view name) {
  for (size_t i = 0; i < kTypeNames.size(); ++i) {
    if (name == kTypeNames[i]) return SlotType(i);
  }
  std::string known;
  for (const char* n : kTypeNames) known += str(known.empty() ? "" : ", ", n);
  fail_usage("no slot type '", printable(name), "'", did_you_mean(name, {kTypeNames.begin(), kTypeNames.end()}), "; there are ", known);
}

std::vector<TextToken> text_tokens(std::string_view text) {
  const uint8_t* flags = text::char_flags();
  std::vector<TextToken> tokens;
  bool open = false;
  for (size_t i = 0; i < text.size();) {
    uint32_t cp = 0;
    const size_t n = size_t(decode_utf8(text.data() + i, text.data() + text.size(), &cp));
    const bool word = flags[cp] & (text::kLetter | text::kNumber | text::kMark);
    if (word && open)
      tokens.back().end = i + n;
    else if (!(flags[cp] & text::kSpace))
      tokens.push_back({"", i, i + n, word});
    open = word;
    i += n;
  }
  for (TextToken& t : tokens) t.lower = lower_case(text.substr(t.begin, t.end - t.begin));
  for (TextToken& t : tokens) {
    if (t.lower == "’" || t.lower == "‘" || t.lower == "`") t.lower = "'";
  }
  return tokens;
}

size_t find_phrase(Tokens tokens, std::string_view phrase, size_t first) {
  const std::vector<TextToken> wanted = text_tokens(phrase);
  if (wanted.empty()) return std::string::npos;
  for (size_t i = first; i + wanted.size() <= tokens.size(); ++i) {
    if (std::equal(wanted.begin(), wanted.end(), tokens.begin() + std::ptrdiff_t(i),
                   [](const TextToken& a, const TextToken& b) { return a.lower == b.lower; }))
      return i;
  }
  return std::string::npos;
}

std::vector<SlotValue> find_slot_values(std::string_view message, const SlotQuestion& q, std::chrono::year_month_day today) {
  message = message.substr(0, kMaxMessageBytes);
  const std::vector<TextToken> tokens = text_tokens(message);
  switch (q.type) {
    case SlotType::kText:
      return whole_text(message, q.asked);
    case SlotType::kAmount:
      return apart(find_amounts(message, tokens, q.asked));
    case SlotType::kCurrency:
      return apart(find_currencies(message, tokens));
    case SlotType::kDate:
      return apart(find_dates(message, tokens, q.month_first, today));
    case SlotType::kCardNumber:
      return apart(card_numbers(message, q.asked));
    case SlotType::kCountry:
      return apart(countries(message, tokens));
    case SlotType::kName:
      return apart(names(message, tokens, q.asked));
    case SlotType::kChoice:
      return apart(choices(message, tokens, q.choices));
    case SlotType::kNumber:
      return q.asked ? apart(numbers(message, tokens)) : std::vector<SlotValue>{};
    case SlotType::kEmail:
      return apart(emails(message));
  }
  return {};
}

namespace {

struct Cut {
  size_t begin, end;
  std::string with;
};

void add_number_cuts(std::string_view message, std::vector<Cut>& cuts) {
  for (const DigitRun& run : digit_runs(message)) {
    if (run.digits.size() >= 13) cuts.push_back({run.begin, run.end, masked(run.digits)});
  }
  for (size_t i = 0; i < message.size(); ++i) {
    const size_t end = iban_may_begin(message, i) ? iban_end(message, i) : i;
    if (end > i) {
      std::string last;
      for (size_t k = end; k-- > i && last.size() < 4;) {
        if (message[k] != ' ') last.insert(last.begin(), message[k]);
      }
      cuts.push_back({i, end, "**** " + last});
    }
  }
}

// "my pin is 1234", "cvv: 123", "password hunter2": the word after it, if it looks like a code.
void add_code_cuts(std::string_view message, std::vector<Cut>& cuts) {
  static const std::array<const char*, 8> kSecret = {"pin", "cvv", "cvc", "cvv2", "passcode", "password", "otp", "pincode"};
  const std::vector<TextToken> tokens = text_tokens(message);
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    if (std::find(kSecret.begin(), kSecret.end(), tokens[i].lower) == kSecret.end()) continue;
    const bool word_too = tokens[i].lower == "password" || tokens[i].lower == "passcode";
    size_t k = i + 1;
    bool said = false;  // "is", ":" or "=": then what follows is the password, whatever it looks like
    while (k < tokens.size() && k < i + 5) {
      const std::string& t = tokens[k].lower;
      const bool joins = t == "is" || t == ":" || t == "=" || t == "was";
      if (!joins && t != "code" && t != "number" && t != "'" && t != "s") break;
      said |= joins;
      ++k;
    }
    if (k == tokens.size()) continue;
    const bool code = is_digits(tokens[k].lower) && tokens[k].lower.size() >= 3 && tokens[k].lower.size() <= 8;
    const bool mixed = std::any_of(tokens[k].lower.begin(), tokens[k].lower.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (code || (word_too && said && mixed)) {
      size_t end = tokens[k].end;
      while (word_too && end < message.size() && !std::isspace(static_cast<unsigned char>(message[end]))) ++end;
      cuts.push_back({tokens[k].begin, end, "****"});
    }
  }
}

}  // namespace

std::string mask_secrets(std::string_view message) {
  std::vector<Cut> cuts;
  add_number_cuts(message, cuts);
  add_code_cuts(message, cuts);
  std::sort(cuts.begin(), cuts.end(), [](const Cut& a, const Cut& b) { return a.begin != b.begin ? a.begin < b.begin : a.end > b.end; });
  std::string out;
  size_t done = 0;
  for (const Cut& cut : cuts) {
    if (cut.begin < done) {
      done = std::max(done, cut.end);  // overlaps what is masked already
      continue;
    }
    out.append(message.substr(done, cut.begin - done)) += cut.with;
    done = cut.end;
  }
  return out.append(message.substr(done));
}

YesNo yes_or_no(std::string_view message) {
  static const std::array<const char*, 14> kYes = {"yes",  "yeah", "yep", "yup",        "sure",   "correct", "right",
                                                   "okay", "ok",   "y",   "absolutely", "indeed", "exactly", "please"};
  static const std::array<const char*, 8> kNo = {"no", "nope", "nah", "n", "wrong", "incorrect", "not", "don"};
  static const std::array<const char*, 24> kFiller = {"that",   "that's", "thats", "'",  "s",   "is",    "please", "thanks",
                                                      "thank",  "you",    "it",    "do", "t",   "quite", "really", "of",
                                                      "course", ",",      ".",     "!",  "all", "right", "this",   "i"};
  const std::vector<TextToken> tokens = text_tokens(message);
  if (tokens.size() > 9) return YesNo::kNeither;
  bool yes = false, no = false;
  const auto in = [](const auto& list, const std::string& w) { return std::find(list.begin(), list.end(), w) != list.end(); };
  for (const TextToken& t : tokens) {
    const bool is_no = in(kNo, t.lower), is_yes = in(kYes, t.lower);
    no |= is_no, yes |= is_yes;
    if (!is_no && !is_yes && !in(kFiller, t.lower)) return YesNo::kNeither;
  }
  return no ? YesNo::kNo : yes ? YesNo::kYes : YesNo::kNeither;
}

}  // namespace r1::api
