#include "r1/corpus/pii.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/strings.h"

namespace r1::corpus {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c | 32) >= 'a' && (c | 32) <= 'z';
}
bool is_alnum(char c) {
  return is_digit(c) || is_letter(c);
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_hex(char c) {
  return is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'f');
}
// A byte of a longer word: what touches it is part of it. Letters beyond ASCII do not count: many scripts have no blanks.
bool in_word(char c) {
  return is_alnum(c) || c == '_';
}

// ISO 13616: length of an IBAN by country.
struct Country {
  char code[3];
  uint8_t length;
};
constexpr Country kIbans[] = {
    {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16}, {"BG", 22}, {"BH", 22}, {"BI", 27}, {"BR", 29},
    {"BY", 28}, {"CH", 21}, {"CR", 22}, {"CY", 28}, {"CZ", 24}, {"DE", 22}, {"DJ", 27}, {"DK", 18}, {"DO", 28}, {"EE", 20}, {"EG", 29},
    {"ES", 24}, {"FI", 18}, {"FK", 18}, {"FO", 18}, {"FR", 27}, {"GB", 22}, {"GE", 22}, {"GI", 23}, {"GL", 18}, {"GR", 27}, {"GT", 28},
    {"HR", 21}, {"HU", 28}, {"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IS", 26}, {"IT", 27}, {"JO", 30}, {"KW", 30}, {"KZ", 20}, {"LB", 28},
    {"LC", 32}, {"LI", 21}, {"LT", 20}, {"LU", 20}, {"LV", 21}, {"LY", 25}, {"MC", 27}, {"MD", 24}, {"ME", 22}, {"MK", 19}, {"MN", 20},
    {"MR", 27}, {"MT", 31}, {"MU", 30}, {"NI", 28}, {"NL", 18}, {"NO", 15}, {"OM", 23}, {"PK", 24}, {"PL", 28}, {"PS", 29}, {"PT", 25},
    {"QA", 29}, {"RO", 24}, {"RS", 22}, {"RU", 33}, {"SA", 24}, {"SC", 31}, {"SD", 18}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27},
    {"SO", 23}, {"ST", 25}, {"SV", 28}, {"TL", 23}, {"TN", 24}, {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20}, {"YE", 30}};

size_t iban_length(std::string_view code) {
  for (const Country& c : kIbans)
    if (code.substr(0, 2) == c.code) return c.length;
  return 0;
}

// ITU-T E.164 country codes: of one digit 1 and 7, of two those below, all others three (of which 2xx, 3xx, 4xx, 5xx, 6xx, 8xx, 9xx with gaps).
size_t country_code_length(std::string_view digits) {
  if (digits.empty() || digits[0] == '0') return 0;
  if (digits[0] == '1' || digits[0] == '7') return 1;
  constexpr std::string_view kTwo =
      " 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 "
      "98 ";
  if (digits.size() < 3) return 0;
  if (kTwo.find(' ' + std::string(digits.substr(0, 2)) + ' ') != kTwo.npos) return 2;
  constexpr std::string_view kNone =
      " 210 214 215 217 219 259 28 83 89 384 386x 388 39 422 424 425 426 427 428 429 693 694 695 696 697 698 699 801 802 803 804 805 806 "
      "807 809 851 854 857 858 859 "
      "871 872 873 874 875 876 877 879 969 978 990 991 997 999 ";
  if (kNone.find(' ' + std::string(digits.substr(0, 3)) + ' ') != kNone.npos ||
      kNone.find(' ' + std::string(digits.substr(0, 2)) + ' ') != kNone.npos)
    return 0;
  return 3;
}

// Digits in groups with what stands between: "(030) 123-45" has groups 3, 3, 2.
struct Number {
  size_t begin = 0, end = 0;  // in the text, brackets and '+' included
  std::string digits;
  std::vector<uint8_t> groups;
  std::string separators;  // one a gap: ' ', '-', '.', '/', ')' or, for more than one mark, ','
  bool plus = false, bracket = false;
};

class Masker {
 public:
  Masker(std::string_view text, const PiiOptions& options, PiiCounts& counts) : text_(text), options_(options), counts_(counts) {}

  std::string run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      // Most bytes begin nothing.
      if (c == '@') {
        if (!wants(Pii::kMail) || !mail()) ++at_;
      } else if (is_digit(c) || c == '+' || c == '(') {
        digits();
      } else if (is_letter(c)) {
        word();
      } else if (c == ':' && at_ + 2 < text_.size() && text_[at_ + 1] == ':' && (at_ == 0 || !in_word(text_[at_ - 1]))) {
        if (!wants(Pii::kIp) || !ip6()) ++at_;
      } else {
        ++at_;
      }
    }
    if (copied_ == 0) return std::string(text_);
    out_.append(text_.substr(copied_));
    return std::move(out_);
  }

 private:
  bool wants(Pii kind) const { return options_.mask[size_t(kind)]; }

  void mask(Pii kind, size_t begin, size_t end) {
    out_.append(text_.substr(copied_, begin - copied_));
    out_.append(options_.placeholder[size_t(kind)]);
    ++counts_.masked[size_t(kind)];
    copied_ = at_ = end;
  }

  bool mail() {
    const auto of_name = [](char c) { return is_alnum(c) || c == '.' || c == '_' || c == '%' || c == '+' || c == '-' || c == '\''; };
    size_t begin = at_;
    while (begin > copied_ && at_ - begin < 64 && of_name(text_[begin - 1])) --begin;
    while (begin < at_ && !is_alnum(text_[begin]) && text_[begin] != '_') ++begin;
    if (begin == at_ || text_[at_ - 1] == '.') return false;
    size_t end = at_ + 1, label = end, last_dot = 0;
    while (end < text_.size() && end - at_ < 254) {
      const char c = text_[end];
      if (is_alnum(c) || (c == '-' && end > label)) {
        ++end;
      } else if (c == '.' && end > label && end + 1 < text_.size() && is_alnum(text_[end + 1])) {
        last_dot = end++;
        label = end;
      } else {
        break;
      }
    }
    while (end > label && text_[end - 1] == '-') --end;
    if (last_dot == 0) return false;
    const std::string_view top = text_.substr(last_dot + 1, end - last_dot - 1);
    if (top.size() < 2 || top.size() > 24 || !(std::all_of(top.begin(), top.end(), is_letter) || top.starts_with("xn--"))) return false;
    // "logo@2x.png", and the account that every clone of a repository goes through.
    constexpr std::string_view kFiles[] = {"png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "ts", "html", "md", "json", "ico"};
    if (std::find(std::begin(kFiles), std::end(kFiles), top) != std::end(kFiles)) return false;
    if (text_.substr(begin, at_ - begin) == "git" && end < text_.size() && (text_[end] == ':' || text_[end] == '/')) return false;
    mask(Pii::kMail, begin, end);
    return true;
  }

  // A word: skipped whole, unless it begins an IBAN or an IPv6 address.
  void word() {
    if (at_ > 0 && in_word(text_[at_ - 1])) return void(++at_);
    if (wants(Pii::kIban) && at_ + 4 < text_.size() && is_upper(text_[at_]) && is_upper(text_[at_ + 1]) && is_digit(text_[at_ + 2]) &&
        is_digit(text_[at_ + 3]) && iban())
      return;
    size_t end = at_;
    while (end < text_.size() && is_hex(text_[end])) ++end;
    if (end < text_.size() && text_[end] == ':' && end - at_ <= 4 && wants(Pii::kIp) && ip6()) return;
    while (at_ < text_.size() && in_word(text_[at_])) ++at_;
  }

  bool iban() {
    const size_t wanted = iban_length(text_.substr(at_, 2));
    if (wanted == 0) return false;
    std::string bare;
    size_t end = at_;
    while (end < text_.size() && bare.size() < wanted) {
      const char c = text_[end];
      if (is_digit(c) || is_upper(c)) {
        bare += c;
      } else if (c != ' ' && c != '-') {
        break;
      } else if (!is_alnum(text_[end - 1])) {
        break;  // two blanks
      }
      ++end;
    }
    if (bare.size() != wanted || (end < text_.size() && in_word(text_[end])) || !is_iban(bare)) return false;
    mask(Pii::kIban, at_, end);
    return true;
  }

  // Groups of one to four hexadecimal digits: eight, or fewer with one "::".
  bool ip6() {
    size_t end = at_;
    int groups = 0, gaps = 0;
    unsigned first = 0;
    bool after_colon = false;
    while (end < text_.size()) {
      if (text_[end] == ':') {
        if (end + 1 < text_.size() && text_[end + 1] == ':') {
          if (++gaps > 1) return false;
          end += 2;
          after_colon = false;
        } else if (end == at_ || end + 1 >= text_.size() || !is_hex(text_[end + 1])) {
          break;
        } else {
          ++end;
          after_colon = true;
        }
        continue;
      }
      if (!is_hex(text_[end])) break;
      unsigned value = 0;
      size_t n = 0;
      while (end < text_.size() && is_hex(text_[end]) && n < 5) {
        const char c = char(text_[end] | 32);
        value = value * 16 + unsigned(is_digit(text_[end]) ? text_[end] - '0' : c - 'a' + 10);
        ++n;
        ++end;
      }
      if (n > 4) return false;
      if (groups == 0 && gaps == 0) first = value;
      if (++groups > 8) return false;
      after_colon = false;
      if (end >= text_.size() || text_[end] != ':') break;
    }
    if (after_colon || (end < text_.size() && (in_word(text_[end]) || text_[end] == '.'))) {
      if (!(end < text_.size() && text_[end] == '.' && (end + 1 == text_.size() || !is_alnum(text_[end + 1])))) return false;
    }
    if (gaps ? groups > 7 || groups < 1 : groups != 8) return false;
    const bool global = (first & 0xE000) == 0x2000 && text_.substr(at_, 9) != "2001:db8:" && text_.substr(at_, 9) != "2001:DB8:";
    if (!global && !options_.private_addresses) return false;
    if (!global && groups < 2 && first < 0xFC00 && end - at_ > 3) return false;
    mask(Pii::kIp, at_, end);
    return true;
  }

  bool ip4(size_t begin) {
    size_t end = begin;
    std::array<int, 4> octet{};
    for (int i = 0; i < 4; ++i) {
      const size_t from = end;
      while (end < text_.size() && is_digit(text_[end]) && end - from < 4) octet[size_t(i)] = octet[size_t(i)] * 10 + (text_[end++] - '0');
      const size_t n = end - from;
      if (n == 0 || n > 3 || octet[size_t(i)] > 255 || (n > 1 && text_[from] == '0')) return false;
      if (i == 3) break;
      if (end >= text_.size() || text_[end] != '.') return false;
      ++end;
    }
    if (end < text_.size() && (in_word(text_[end]) || (text_[end] == '.' && end + 1 < text_.size() && is_alnum(text_[end + 1])) ||
                               (text_[end] == '-' && end + 1 < text_.size() && is_alnum(text_[end + 1]))))
      return false;
    // "Chrome/91.0.4.124", "v1.2.3.4", "version 1.2.3.4", "Section 1.2.3.4".
    if (begin > 0 && (text_[begin - 1] == '-' || text_[begin - 1] == '.')) return false;
    if (begin > 1 && text_[begin - 1] == '/' && text_[begin - 2] != '/') return false;
    if (begin > 2 && text_.substr(begin - 2, 2) == "==") return false;
    if (word_before(begin, {"version",  "versions",  "ver",      "v",        "release", "build",   "firmware", "rev",
                            "revision", "driver",    "section",  "sections", "sec",     "chapter", "clause",   "table",
                            "figure",   "paragraph", "appendix", "update",   "article", "rule"}))
      return false;
    if (octet[0] == 0 || octet[0] >= 240) return options_.private_addresses && octet[0] != 0 && (mask(Pii::kIp, begin, end), true);
    const auto is = [&](int a, int b, int c = -1) { return octet[0] == a && octet[1] == b && (c < 0 || octet[2] == c); };
    const bool own = octet[0] == 10 || octet[0] == 127 || octet[0] >= 224 || is(192, 168) || is(169, 254) ||
                     (octet[0] == 172 && octet[1] >= 16 && octet[1] < 32) || (octet[0] == 100 && octet[1] >= 64 && octet[1] < 128) ||
                     is(192, 0, 2) || is(198, 51, 100) || is(203, 0, 113);
    if (own && !options_.private_addresses) return false;
    // Small numbers at a line's beginning or everywhere number a list or a version.
    const bool small = *std::max_element(octet.begin(), octet.end()) < 20;
    const bool host = begin > 1 && text_.substr(begin - 2, 2) == "//";
    if (small && !host &&
        !word_before(
            begin, {"ip", "ips", "address", "addresses", "host", "server", "ping", "dns", "ipv4", "from", "nameserver", "resolver", "at"}))
      return false;
    mask(Pii::kIp, begin, end);
    return true;
  }

  // One of `words` stands before `at`, with no more than blanks and marks between, letters in any case.
  bool word_before(size_t at, std::initializer_list<std::string_view> words) const {
    size_t end = at;
    while (end > 0 && at - end < 6 &&
           (text_[end - 1] == ' ' || text_[end - 1] == ':' || text_[end - 1] == '.' || text_[end - 1] == '#' || text_[end - 1] == '=' ||
            text_[end - 1] == '(' || text_[end - 1] == '"' || text_[end - 1] == '\t'))
      --end;
    size_t begin = end;
    while (begin > 0 && end - begin < 16 && is_letter(text_[begin - 1])) --begin;
    if (begin == end) return false;
    char low[16];
    std::transform(text_.begin() + ptrdiff_t(begin), text_.begin() + ptrdiff_t(end), low, [](char c) { return char(c | 32); });
    return std::find(words.begin(), words.end(), std::string_view(low, end - begin)) != words.end();
  }

  // The number has been called a telephone's within the last few words.
  bool called_phone(size_t at) const {
    const size_t from = at > 40 ? at - 40 : 0;
    std::string low(text_.substr(from, at - from));
    if (const size_t line = low.rfind('\n'); line != low.npos) low.erase(0, line);
    for (char& c : low)
      if (is_upper(c)) c = char(c | 32);
    constexpr std::string_view kCalls[] = {"phone",    "tel:",     "tel.",    "tel ",       "call ",   "call:", "fax",      "mobile",
                                           "cell",     "whatsapp", "telefon", "handy",      "mobil",   "tél",   "teléfono", "telefono",
                                           "telefone", "celular",  "телефон", "тел.",       "моб",     "电话",  "電話",     "手机",
                                           "手機",     "热线",     "전화",    "contact no", "hotline", "sms",   "text us",  "dial "};
    return std::any_of(std::begin(kCalls), std::end(kCalls), [&](std::string_view w) { return low.find(w) != low.npos; });
  }
  bool called_otherwise(size_t at) const {
    return word_before(at, {"isbn",   "issn", "doi", "id",  "no",   "nr",    "number", "order",   "invoice", "ticket", "part",  "model",
                            "serial", "sku",  "ean", "upc", "pmid", "arxiv", "case",   "issue",   "bug",     "page",   "pages", "pp",
                            "vol",    "zip",  "rfc", "lot", "ref",  "item",  "sn",     "version", "patent",  "usd",    "eur",   "rs"});
  }

  Number read_number(size_t at) const {
    Number n;
    n.begin = at;
    if (at < text_.size() && text_[at] == '+') n.plus = true, ++at;
    bool in_bracket = false;
    uint8_t group = 0;
    char gap = 0;
    size_t end = at;
    while (at < text_.size() && n.digits.size() < 24) {
      const char c = text_[at];
      if (is_digit(c)) {
        if (gap) {
          n.groups.push_back(group);
          n.separators += gap;
          group = 0;
          gap = 0;
        }
        n.digits += c;
        ++group;
        end = ++at;
        continue;
      }
      if (c == '(' && !in_bracket && at + 1 < text_.size() && is_digit(text_[at + 1]) && n.digits.size() < 6) {
        in_bracket = n.bracket = true;
        if (group) gap = '(';
        ++at;
        continue;
      }
      if (c == ')' && in_bracket) {
        in_bracket = false;
        gap = ')';
        ++at;
        continue;
      }
      const bool marks = c == ' ' || c == '-' || c == '.' || c == '/';
      // The no-break space and the typographic hyphens.
      const bool wide = uint8_t(c) == 0xC2 && at + 1 < text_.size() && uint8_t(text_[at + 1]) == 0xA0;
      const bool hyphen = uint8_t(c) == 0xE2 && at + 2 < text_.size() && uint8_t(text_[at + 1]) == 0x80 &&
                          (uint8_t(text_[at + 2]) >= 0x90 && uint8_t(text_[at + 2]) <= 0x93);
      if (in_bracket && !marks) break;
      if (!marks && !wide && !hyphen) break;
      const char mark = wide ? ' ' : hyphen ? '-' : c;
      if (!group && n.groups.empty() && !n.plus) break;
      if (gap == ')' && (mark == ' ' || mark == '-' || mark == '/')) {
        gap = ')';
      } else if (gap == ' ' && (mark == '-' || mark == '/')) {
        gap = mark;  // "030 / 12 34"
      } else if ((gap == '-' || gap == '/' || gap == '(') && mark == ' ') {
      } else if (gap) {
        break;
      } else if (group || in_bracket) {
        gap = mark;
      } else {
        break;
      }
      at += wide ? 2 : hyphen ? 3 : 1;
    }
    if (group) n.groups.push_back(group);
    n.end = end;
    return n;
  }

  void digits() {
    const size_t begin = at_;
    const char c = text_[begin];
    const bool inside = begin > 0 && in_word(text_[begin - 1]);
    if (inside ||
        ((c == '+' || c == '(') && (begin + 1 >= text_.size() || !(is_digit(text_[begin + 1]) || (c == '+' && text_[begin + 1] == '('))))) {
      ++at_;
      while (inside && at_ < text_.size() && in_word(text_[at_])) ++at_;
      return;
    }
    if (is_digit(c) && wants(Pii::kIp)) {
      if (ip4(begin)) return;
      size_t hex = begin;
      while (hex < text_.size() && is_hex(text_[hex])) ++hex;
      if (hex < text_.size() && text_[hex] == ':' && hex - begin <= 4 && ip6()) return;
    }
    const Number n = read_number(begin);
    if (is_digit(c) && wants(Pii::kCard) && card(n)) return;
    if (wants(Pii::kPhone) && phone(n)) return;
    // What is no telephone number with its sign or brackets may be one without; else the whole number is behind us.
    if (!is_digit(c)) return void(++at_);
    at_ = std::max(begin + 1, n.end);
    if (n.groups.size() > 1) {  // another may begin at the next group
      at_ = begin;
      while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    }
    while (at_ < text_.size() && in_word(text_[at_])) ++at_;
  }

  bool ends_clean(size_t end) const { return end >= text_.size() || !in_word(text_[end]); }
  // Part of an address, a path, a formula or a longer number.
  bool begins_clean(size_t begin) const {
    if (begin == 0) return true;
    const char c = text_[begin - 1];
    if (c == '/' || c == '=' || c == '&' || c == '#' || c == '%' || c == '-' || c == '.' || c == ',' || c == '$' || c == '@' || c == '\\')
      return (c == '-' || c == '.' || c == ',') &&
             (begin == 1 || text_[begin - 2] == ' ' || (begin > 1 && is_letter(text_[begin - 2]) && c == '.'));
    return true;
  }

  bool card(const Number& number) {
    if (number.digits.size() < 13) return false;
    // The number may go on with what is no part of it ("4111 1111 1111 1111 12/27"): as many whole groups as fit.
    for (size_t take = number.groups.size(); take > 0; --take) {
      const size_t count = size_t(std::accumulate(number.groups.begin(), number.groups.begin() + ptrdiff_t(take), 0));
      if (count < 13) break;
      if (count > 19) continue;
      const std::string_view d = std::string_view(number.digits).substr(0, count);
      const std::vector<uint8_t> g(number.groups.begin(), number.groups.begin() + ptrdiff_t(take));
      const bool fours = g.size() >= 4 && std::all_of(g.begin(), g.end() - 1, [](uint8_t x) { return x == 4; }) && g.back() <= 4;
      const bool shape = g.size() == 1 || fours || g == std::vector<uint8_t>{4, 6, 5} || g == std::vector<uint8_t>{4, 6, 4};
      const std::string_view between = std::string_view(number.separators).substr(0, take - 1);
      if (!shape || between.find_first_not_of(between.empty() || between[0] == ' ' ? " " : "-") != between.npos) continue;
      const size_t end = end_of_digits(number, count);
      if (!ends_clean(end) || !begins_clean(number.begin) || !is_card_number(d)) continue;
      mask(Pii::kCard, number.begin, end);
      return true;
    }
    return false;
  }

  size_t end_of_digits(const Number& number, size_t count) const {
    size_t at = number.begin;
    for (; count > 0; ++at) count -= is_digit(text_[at]);
    return at;
  }

  // The number as it stands, else what is before one of its blanks: another may follow ("415-555-2671 2021").
  bool phone(Number n) {
    const bool mixed = n.plus || n.bracket || n.separators.find_first_not_of(' ') != std::string::npos;
    while (true) {
      if (n.digits.size() < 7) return false;
      if (is_whole(n) && is_phone(n)) break;
      const size_t blank = mixed ? n.separators.rfind(' ') : std::string::npos;
      if (blank == std::string::npos) return false;
      n.groups.resize(blank + 1);
      n.separators.resize(blank);
      n.digits.resize(size_t(std::accumulate(n.groups.begin(), n.groups.end(), 0)));
      n.end = end_of_digits(n, n.digits.size());
    }
    mask(Pii::kPhone, n.begin, n.end);
    return true;
  }

  bool is_whole(const Number& n) const {
    const size_t count = n.digits.size();
    if (count < 7 || count > 15 || !ends_clean(n.end) || !begins_clean(n.begin)) return false;
    if (n.end >= text_.size()) return true;
    const char after = text_[n.end];
    if (after == '%' || after == '=') return false;
    const bool goes_on = n.end + 1 < text_.size() && is_digit(text_[n.end + 1]);
    return !goes_on || (after != ',' && after != '.' && after != '-' && after != ':');
  }
  // Groups of a longer number stand before it.
  bool goes_back(const Number& n) const {
    return n.begin >= 2 && is_digit(text_[n.begin - 2]) &&
           (text_[n.begin - 1] == ' ' || text_[n.begin - 1] == '-' || text_[n.begin - 1] == '.');
  }

  bool is_phone(const Number& n) const {
    const std::string_view d = n.digits;
    if (called_otherwise(n.begin)) return false;
    if (d.find_first_not_of(d[0]) == d.npos) return false;  // 0000000
    if (n.plus) {
      const size_t code = country_code_length(d);
      if (n.begin > 0 && (text_[n.begin - 1] == ')' || text_[n.begin - 1] == '^')) return false;
      if (code == 0 || d.size() < 8 || d.size() > 15 || d.ends_with("00000")) return false;
      return d.size() != 11 || d[0] != '1' || d[1] >= '2';  // of North America no area begins with 0 or 1
    }
    if (is_date(n)) return false;
    if (d.size() == 13 && (d.starts_with("978") || d.starts_with("979"))) return false;
    if (north_american(n)) return true;
    if (goes_back(n)) return false;
    const bool called = called_phone(n.begin);
    if (d.starts_with("00") && d.size() >= 11 && country_code_length(d.substr(2)) && (n.groups.size() >= 3 || called)) return true;
    if (called) return n.separators.find('.') == n.separators.npos || n.groups.size() > 2;
    return national(n);
  }

  static bool is_date(const Number& n) {
    const auto& g = n.groups;
    const auto value = [&](size_t from, size_t size) { return std::stoi(n.digits.substr(from, size)); };
    if (g.size() < 3) return false;
    if (g[0] == 4 && g[1] <= 2 && g[2] <= 2) return value(4, g[1]) <= 12 && value(size_t(4 + g[1]), g[2]) <= 31;
    if (g[0] <= 2 && g[1] <= 2 && g[2] == 4) {
      const int year = value(size_t(g[0] + g[1]), 4);
      return year >= 1000 && year < 2200;
    }
    return false;
  }

  static bool north_american(const Number& n) {
    std::string_view d = n.digits;
    auto g = n.groups;
    if (d.size() == 11 && d[0] == '1' && g.size() == 4 && g[0] == 1) {
      d.remove_prefix(1);
      g.erase(g.begin());
    }
    if (d.size() != 10 || g != std::vector<uint8_t>{3, 3, 4} || d[0] < '2' || d[3] < '2') return false;
    const std::string_view between = std::string_view(n.separators).substr(n.separators.size() - 2);
    return between == "--" || between == ".." || between[0] == ')' || (between == " -" && n.bracket);
  }

  // Formats that need no word before them: a trunk 0 or a mobile prefix, and groups as the country writes them.
  bool national(const Number& n) const {
    const std::string_view d = n.digits;
    const auto& g = n.groups;
    const auto groups = [&](std::initializer_list<uint8_t> wanted) { return std::equal(g.begin(), g.end(), wanted.begin(), wanted.end()); };
    const bool uniform = n.separators.find_first_not_of(n.separators.empty() ? ' ' : n.separators[0]) == std::string::npos;
    if (d[0] == '0' && d[1] != '0') {
      if (groups({2, 2, 2, 2, 2}) && uniform) return true;   // France
      if (groups({3, 4, 4}) && d.size() == 11) return true;  // London, Japan, Korea, China
      if (groups({2, 4, 4}) || groups({4, 3, 3}) || groups({3, 3, 4}) || groups({4, 3, 4}))
        return uniform || n.bracket;  // Japan, Australia, Korea, UK
      if (groups({5, 6}) || groups({5, 3, 3}) || groups({4, 7}) || groups({3, 8}))
        return n.separators.find('.') == std::string::npos;  // UK, China
      // Germany, Austria, Switzerland: area code in brackets or before a slash.
      if ((n.bracket || n.separators.find('/') != std::string::npos) && d.size() >= 8 && g[0] >= 3) return true;
    }
    // Mobile numbers of China and Brazil.
    if (d.size() == 11 && d[0] == '1' && d[1] >= '3' && (groups({3, 4, 4}) || (groups({11}) && !looks_like_time(d)))) return true;
    if (n.bracket && d.size() == 11 && groups({2, 5, 4})) return true;
    if (n.bracket && d.size() == 10 && groups({2, 4, 4})) return true;
    return false;
  }
  // Eleven digits that count something else: milliseconds of the seventies are seldom meant, round numbers never.
  static bool looks_like_time(std::string_view d) { return d.ends_with("0000"); }

  std::string_view text_;
  const PiiOptions& options_;
  PiiCounts& counts_;
  std::string out_;
  size_t at_ = 0, copied_ = 0;
};

constexpr std::string_view kNames[kPiiKinds] = {"mail", "phone", "ip", "card", "iban"};

class PiiFilter : public Filter {
 public:
  explicit PiiFilter(PiiOptions options) : options_(std::move(options)) {}
  std::string_view name() const override { return "pii"; }
  std::string apply(Document& document) const override {
    PiiCounts counts;
    mask(document.text, options_, counts);
    for (std::string* field : {&document.title, &document.author}) mask(*field, options_, counts);
    mask_addresses(document, counts);
    mask_texts(document.extra, counts);
    if (counts.total() == 0) return {};
    std::string mark = "pii:";
    for (size_t i = 0; i < kPiiKinds; ++i)
      if (counts.masked[i]) mark += (mark.back() == ':' ? "" : ",") + std::string(kNames[i]) + "=" + std::to_string(counts.masked[i]);
    document.marks.push_back(std::move(mark));
    return {};
  }

 private:
  static void mask(std::string& text, const PiiOptions& options, PiiCounts& counts) {
    const int64_t before = counts.total();
    std::string masked = mask_pii(text, options, counts);
    if (counts.total() != before) text = std::move(masked);
  }
  // The digits of a URL are numbers of pages and posts.
  void mask_addresses(Document& document, PiiCounts& counts) const {
    PiiOptions mail = options_;
    mail.mask = {};
    mail.mask[size_t(Pii::kMail)] = options_.mask[size_t(Pii::kMail)];
    mask(document.url, mail, counts);
  }
  // What a row says beside its text, the turns of a conversation among it.
  void mask_texts(Json& value, PiiCounts& counts) const {
    if (value.is_string()) mask(value.get_ref<std::string&>(), options_, counts);
    if (value.is_structured())
      for (Json& part : value) mask_texts(part, counts);
  }

  PiiOptions options_;
};

}  // namespace

std::string_view name_of(Pii kind) {
  return kNames[size_t(kind)];
}

int64_t PiiCounts::total() const {
  return std::accumulate(masked.begin(), masked.end(), int64_t{0});
}

std::array<bool, kPiiKinds> pii_kinds(std::string_view list) {
  std::array<bool, kPiiKinds> kinds{};
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    const std::string_view one = trim(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
    if (one.empty()) continue;
    const auto* at = std::find(std::begin(kNames), std::end(kNames), one);
    if (at == std::end(kNames))
      fail_usage("no kind of personal data is called \"", printable(one), "\"; there are mail, phone, ip, card, iban");
    kinds[size_t(at - kNames)] = true;
  }
  return kinds;
}

std::string mask_pii(std::string_view text, const PiiOptions& options, PiiCounts& counts) {
  return Masker(text, options, counts).run();
}

std::unique_ptr<Filter> pii_filter(PiiOptions options) {
  return std::make_unique<PiiFilter>(std::move(options));
}

bool is_card_number(std::string_view d) {
  if (d.size() < 13 || d.size() > 19) return false;
  const int two = (d[0] - '0') * 10 + d[1] - '0', three = two * 10 + d[2] - '0', four = three * 10 + d[3] - '0';
  const size_t n = d.size();
  const bool issuer = (d[0] == '4' && (n == 13 || n == 16 || n == 19)) ||                                           // Visa
                      (((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720)) && n == 16) ||                  // Mastercard
                      ((two == 34 || two == 37) && n == 15) ||                                                      // American Express
                      ((four == 6011 || (three >= 644 && three <= 649) || two == 65 || two == 62) && n >= 16) ||    // Discover, UnionPay
                      (four >= 3528 && four <= 3589 && n >= 16) ||                                                  // JCB
                      (((three >= 300 && three <= 305) || two == 36 || two == 38 || two == 39) && n == 14) ||       // Diners
                      ((four == 5018 || four == 5020 || four == 5038 || four == 6304 || four == 6759) && n >= 16);  // Maestro
  if (!issuer || d.find_first_not_of('0', 4) == d.npos) return false;
  int sum = 0;
  for (size_t i = 0; i < n; ++i) {
    int v = d[n - 1 - i] - '0';
    if (i % 2 == 1) v = v * 2 > 9 ? v * 2 - 9 : v * 2;
    sum += v;
  }
  return sum % 10 == 0;
}

bool is_iban(std::string_view iban) {
  if (iban.size() < 5 || iban.size() != iban_length(iban)) return false;
  int rest = 0;
  for (size_t i = 0; i < iban.size(); ++i) {
    const char c = iban[(i + 4) % iban.size()];
    if (is_digit(c)) {
      rest = (rest * 10 + (c - '0')) % 97;
    } else if (is_upper(c)) {
      rest = (rest * 100 + (c - 'A' + 10)) % 97;
    } else {
      return false;
    }
  }
  return rest == 1;
}

}  // namespace r1::corpus
