#include "r1/verify/lexer.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

#include "r1/verify/units.h"

namespace r1::verify {
namespace {

bool digit(char c) {
  return c >= '0' && c <= '9';
}
bool letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Commands that only lay out.
const std::unordered_set<std::string_view> kDropped = {
    "left",  "right", "big",   "Big",   "bigg",         "Bigg",      "bigl",        "bigr",     "Bigl",     "Bigr",
    "biggl", "biggr", "Biggl", "Biggr", "displaystyle", "textstyle", "scriptstyle", "limits",   "nolimits", "rm",
    "bf",    "it",    "large", "Large", "small",        "hfill",     "hline",       "nonumber", "middle",   "mathstrut"};
const std::unordered_set<std::string_view> kSpaces = {",",     ";",       ":",         "!",  " ",        "quad",
                                                      "qquad", "enspace", "thinspace", "\n", "medspace", "space"};
// Their argument is the thing itself.
const std::unordered_set<std::string_view> kTransparent = {
    "mathbf", "mathbb",        "mathcal", "boldsymbol",     "bm",         "vec",    "overline", "underline",
    "hat",    "widehat",       "bar",     "boxed",          "fbox",       "mathit", "mathsf",   "mathfrak",
    "mathop", "operatorname*", "tilde",   "overrightarrow", "ensuremath", "phantom"};
const std::unordered_set<std::string_view> kTextCommands = {"text", "textbf", "textit", "textrm", "textnormal",   "mbox",
                                                            "hbox", "textsf", "texttt", "mathrm", "operatorname", "emph"};
const std::unordered_map<std::string_view, std::string_view> kSame = {
    {"dfrac", "frac"}, {"tfrac", "frac"}, {"cfrac", "frac"}, {"dbinom", "binom"}, {"tbinom", "binom"}, {"infin", "infty"},
    {"tan", "tan"},    {"tg", "tan"},     {"ctg", "cot"},    {"arctg", "arctan"}, {"lg", "log"}};
const std::unordered_map<std::string_view, std::string_view> kSigns = {{"le", "<="},
                                                                       {"leq", "<="},
                                                                       {"leqslant", "<="},
                                                                       {"ge", ">="},
                                                                       {"geq", ">="},
                                                                       {"geqslant", ">="},
                                                                       {"lt", "<"},
                                                                       {"gt", ">"},
                                                                       {"ne", "!="},
                                                                       {"neq", "!="},
                                                                       {"approx", "~"},
                                                                       {"simeq", "~"},
                                                                       {"doteq", "~"},
                                                                       {"cdot", "*"},
                                                                       {"times", "*"},
                                                                       {"ast", "*"},
                                                                       {"div", "/"},
                                                                       {"pm", "+-"},
                                                                       {"mp", "-+"},
                                                                       {"cup", "cup"},
                                                                       {"cap", "cap"},
                                                                       {"setminus", "setminus"},
                                                                       {"backslash", "setminus"},
                                                                       {"in", "in"},
                                                                       {"lbrace", "{."},
                                                                       {"rbrace", ".}"},
                                                                       {"{", "{."},
                                                                       {"}", ".}"},
                                                                       {"lbrack", "["},
                                                                       {"rbrack", "]"},
                                                                       {"langle", "("},
                                                                       {"rangle", ")"},
                                                                       {"lvert", "|"},
                                                                       {"rvert", "|"},
                                                                       {"vert", "|"},
                                                                       {"mid", "|"},
                                                                       {"|", "||"},
                                                                       {"lVert", "||"},
                                                                       {"rVert", "||"},
                                                                       {"%", "%"},
                                                                       {"colon", ":"},
                                                                       {"to", "->"},
                                                                       {"rightarrow", "->"},
                                                                       {"equiv", "==="},
                                                                       {"land", "land"},
                                                                       {"lor", "lor"},
                                                                       {"wedge", "land"},
                                                                       {"vee", "lor"},
                                                                       {"cdots", "..."},
                                                                       {"dots", "..."},
                                                                       {"ldots", "..."},
                                                                       {"lfloor", "floor("},
                                                                       {"rfloor", "floor)"},
                                                                       {"lceil", "ceil("},
                                                                       {"rceil", "ceil)"},
                                                                       {"\\", "\\\\"},
                                                                       {"&", "and"},
                                                                       {"#", "#"},
                                                                       {"degree", "deg"},
                                                                       {"circ", "deg"}};
const std::unordered_map<std::string_view, std::string_view> kUnicode = {
    {"\xE2\x88\x92", "-"}, {"\xE2\x80\x93", "-"},   {"\xC3\x97", "*"},        {"\xC2\xB7", "*"},       {"\xE2\x8B\x85", "*"},
    {"\xC3\xB7", "/"},     {"\xE2\x89\xA4", "<="},  {"\xE2\x89\xA5", ">="},   {"\xE2\x89\xA0", "!="},  {"\xE2\x89\x88", "~"},
    {"\xC2\xB1", "+-"},    {"\xE2\x88\xAA", "cup"}, {"\xE2\x88\xA9", "cap"},  {"\xE2\x88\x88", "in"},  {"\xC2\xB0", "deg"},
    {"\xE2\x88\xBC", "~"}, {"\xE2\x89\xA1", "==="}, {"\xE6\x88\x96", "or"},   {"\xE5\x92\x8C", "and"}, {"\xE4\xB8\x94", "and"},
    {"\xEF\xBC\x8C", ","}, {"\xE3\x80\x81", ","},   {"\xEF\xBC\x9B", ";"},    {"\xEF\xBC\x9A", ":"},   {"\xEF\xBC\x88", "("},
    {"\xEF\xBC\x89", ")"}, {"\xE2\x80\xB2", "'"},   {"\xE2\x88\xA7", "land"}, {"\xE2\x88\xA8", "lor"}};
const std::unordered_map<std::string_view, std::string_view> kUnicodeCommands = {
    {"\xCF\x80", "pi"},   {"\xE2\x88\x9E", "infty"}, {"\xE2\x88\x9A", "sqrt"},    {"\xCE\xB1", "alpha"},
    {"\xCE\xB2", "beta"}, {"\xCE\xB8", "theta"},     {"\xE2\x88\x85", "emptyset"}};
const std::unordered_map<std::string_view, std::string_view> kPowers = {
    {"\xC2\xB2", "2"},     {"\xC2\xB3", "3"},     {"\xC2\xB9", "1"},     {"\xE2\x81\xB4", "4"},
    {"\xE2\x81\xB5", "5"}, {"\xE2\x81\xB6", "6"}, {"\xE2\x81\xB7", "7"}, {"\xE2\x81\xB8", "8"},
    {"\xE2\x81\xB9", "9"}, {"\xE2\x81\xB0", "0"}, {"\xE2\x81\xBB", "-"}, {"\xE2\x81\xBA", "+"}};
const std::unordered_map<std::string_view, std::string_view> kFractions = {
    {"\xC2\xBD", "12"}, {"\xC2\xBC", "14"}, {"\xC2\xBE", "34"}, {"\xE2\x85\x93", "13"}, {"\xE2\x85\x94", "23"}};
// Words of plain text that mean a command.
const std::unordered_set<std::string_view> kNames = {
    "sin",   "cos",   "tan",    "cot", "sec",  "csc",  "arcsin", "arccos",   "arctan", "asin",     "acos",  "atan", "sinh",  "cosh",
    "tanh",  "ln",    "log",    "exp", "sqrt", "cbrt", "pi",     "infty",    "inf",    "infinity", "oo",    "abs",  "alpha", "beta",
    "gamma", "theta", "lambda", "min", "max",  "gcd",  "lcm",    "emptyset", "binom",  "frac",     "floor", "ceil", "mod"};
// Words that are no nouns, though they may stand after a number.
const std::unordered_set<std::string_view> kNoNouns = {
    "plus",  "minus", "times",  "over",      "divided", "equals",  "equal", "squared", "cubed",  "mod",   "where", "because", "since",
    "which", "while", "hence",  "therefore", "thus",    "than",    "from",  "with",    "when",   "that",  "this",  "then",    "here",
    "also",  "only",  "choose", "modulo",    "implies", "follows", "gives", "yields",  "makes",  "what",  "there", "were",    "will",
    "would", "does",  "should", "must",      "either",  "neither", "never", "after",   "before", "until", "under", "above"};
// Words of prose that must not be read as products of letters.
const std::unordered_set<std::string_view> kProse = {
    "is",   "it",   "so",  "the", "we",  "has",  "are",  "of",  "on",  "at",  "no",  "yes",  "if",   "for",  "then",
    "thus", "with", "by",  "as",  "was", "that", "this", "not", "but", "be",  "an",  "he",   "she",  "her",  "his",
    "our",  "my",   "you", "can", "get", "all",  "any",  "has", "had", "how", "its", "from", "have", "when", "each"};

std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? char(c + 32) : c;
  return out;
}

class Lexer {
 public:
  Lexer(std::string_view text, Commas commas) : s_(text), commas_(commas) {}

  std::vector<Token> run() {
    if (s_.size() > kMaxAnswerBytes) throw ParseError("longer than 20,000 bytes");
    while (at_ < s_.size()) {
      step();
      if (out_.size() > kMaxTokens) throw ParseError("more than 8,000 tokens");
    }
    put(TokenKind::kEnd, "");
    return std::move(out_);
  }

 private:
  void put(TokenKind kind, std::string_view text) {
    out_.push_back({kind, std::string(text), space_});
    space_ = false;
  }
  bool starts(std::string_view what) const { return s_.substr(at_).starts_with(what); }
  char peek(size_t n = 0) const { return at_ + n < s_.size() ? s_[at_ + n] : '\0'; }

  void step() {
    const char c = s_[at_];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '~') return void((space_ = true, ++at_));
    if (c == '$') return dollar();
    if (digit(c) || (c == '.' && digit(peek(1)))) return number();
    if (letter(c)) return word();
    if (c == '\\') return command();
    if (static_cast<unsigned char>(c) >= 0x80) return unicode();
    for (std::string_view two : {"<=", ">=", "!=", "**", "+-", "->", "||"}) {
      if (two == "+-" && !starts("+-")) continue;
      if (two == "!=" && !space_ && after_number()) continue;  // 4!=24
      if (starts(two) && two != "+-") {
        at_ += 2;
        return put(TokenKind::kSign, two == "**" ? "^" : two);
      }
    }
    if (starts("==")) return void((at_ += 2, put(TokenKind::kSign, "=")));
    if (starts("{:}")) return void((at_ += 3, put(TokenKind::kSign, ":")));
    if (starts("...")) return void((at_ += 3, put(TokenKind::kSign, "...")));
    ++at_;
    put(TokenKind::kSign, std::string_view(&c, 1));
  }

  // Groups of three after a separator of `width` bytes found by `is`.
  bool group(size_t& length) const {
    for (std::string_view sep : {",", "{,}", ",\\!", "\\,", "\\!", "{ , }", "{, }", " {, }", ",\\! "}) {
      if ((sep == "," || sep == ",\\! ") && commas_ != Commas::kThousands) continue;
      if (starts(sep) && digit(peek(sep.size())) && digit(peek(sep.size() + 1)) && digit(peek(sep.size() + 2)) &&
          !digit(peek(sep.size() + 3))) {
        length = sep.size();
        return true;
      }
    }
    return false;
  }

  void number() {
    std::string text;
    while (digit(peek())) text += s_[at_++];
    const bool subscript = !out_.empty() && out_.back().text == "_";
    if (!text.empty() && text.size() <= 3 && !subscript) {
      for (size_t length; group(length);) {
        at_ += length;
        text.append(s_.substr(at_, 3));
        at_ += 3;
      }
      // "1 000 000": only when nothing else is in the answer but blanks and these digits
      while (peek() == ' ' && digit(peek(1)) && digit(peek(2)) && digit(peek(3)) && !digit(peek(4)) && peek(4) != '/' && text[0] != '0') {
        text.append(s_.substr(at_ + 1, 3));
        at_ += 4;
      }
    }
    if (peek() == '.' && s_.substr(at_ + 1).starts_with("\\overline"))
      text += '.', ++at_;
    else if (peek() == '.' && digit(peek(1)))
      decimals(text);
    else if (peek() == ',' && commas_ == Commas::kDecimal && digit(peek(1)))
      decimals(text);
    else if (peek() == '.' && !text.empty() && peek(1) != '.')
      ++at_;  // "5." is 5
    if (text.find('.') != text.npos && starts("\\overline")) repeated(text);
    if ((peek() == 'e' || peek() == 'E') && (digit(peek(1)) || ((peek(1) == '-' || peek(1) == '+') && digit(peek(2))))) {
      text += 'e';
      ++at_;
      if (!digit(peek())) text += s_[at_++];
      while (digit(peek())) text += s_[at_++];
    }
    if (text.size() > kMaxLiteralDigits) throw ParseError("a number of more than 5,000 digits");
    put(TokenKind::kNumber, text);
  }
  void decimals(std::string& text) {
    text += '.';
    for (++at_; digit(peek());) text += s_[at_++];
    if (starts("...") || starts("\\ldots") || starts("\\dots") || starts("\\cdots") || starts("\xE2\x80\xA6")) goes_on(text);
  }
  // 0.333...: digits that are seen to repeat go on; others are cut off there.
  void goes_on(std::string& text) {
    const size_t dots = starts("...") || starts("\xE2\x80\xA6") ? at_ + 3 : s_.find("dots", at_) + 4;
    const size_t point = text.find('.') + 1, n = text.size() - point;
    for (size_t period = 1; period * 2 <= n && n >= 3; ++period) {
      if (text.compare(text.size() - period, period, text, text.size() - 2 * period, period) != 0) continue;
      if (period == 1 && (n < 3 || text[text.size() - 3] != text.back())) continue;
      text = text.substr(0, text.size() - period) + "(" + text.substr(text.size() - period) + ")";
      break;
    }
    at_ = dots;
  }

  // 0.1\overline{6}: the digits that go on, in brackets.
  void repeated(std::string& text) {
    size_t start = at_ + std::string_view("\\overline").size();
    const bool brace = start < s_.size() && s_[start] == '{';
    start += brace || (start < s_.size() && s_[start] == ' ');
    size_t end = start;
    while (end < s_.size() && digit(s_[end]) && (brace || end == start)) ++end;
    if (end == start || (brace && (end >= s_.size() || s_[end] != '}'))) return;
    text += '(';
    text.append(s_.substr(start, end - start));
    text += ')';
    at_ = end + brace;
  }

  // One dollar sign alone is money, two are mathematics.
  void dollar() {
    const size_t next = s_.find_first_not_of(" -", ++at_);
    if (next == s_.npos || !(digit(s_[next]) || s_[next] == '.') || s_.find('$') != s_.rfind('$')) return;
    put(TokenKind::kCurrency, "usd");
  }
  // A currency's sign or code before a number is taken with it, after one it is a unit.
  bool currency(std::string_view name) {
    const size_t next = s_.find_first_not_of(" -", at_);
    if (next != s_.npos && (digit(s_[next]) || s_[next] == '.')) return put(TokenKind::kCurrency, name), true;
    if (after_number()) return put(TokenKind::kText, name), true;
    return false;
  }

  // "USD 5", "Rs. 5". "7:30 p.m.": a mark of its own.
  bool currency_or_half(std::string_view w) {
    for (std::string_view name : {"USD", "EUR", "Rs", "INR", "US"}) {
      if (w != name) continue;
      size_t next = at_;
      while (next < s_.size() && (s_[next] == ' ' || s_[next] == '.' || s_[next] == '$' || s_[next] == '\\')) ++next;
      if (next >= s_.size() || !digit(s_[next])) return false;
      at_ = next;
      put(TokenKind::kCurrency, w == "Rs" ? "inr" : w == "US" ? "usd" : lower(w));
      return true;
    }
    const std::string l = lower(w);
    if ((l == "p" || l == "a") && after_number() && s_.size() > at_ + 1 && s_[at_] == '.' && (s_[at_ + 1] == 'm' || s_[at_ + 1] == 'M')) {
      at_ += 2;
      if (peek() == '.') ++at_;
      put(TokenKind::kText, l + "m");
      return true;
    }
    return false;
  }

  void word() {
    size_t end = at_;
    while (end < s_.size() && letter(s_[end])) ++end;
    const std::string_view w = s_.substr(at_, end - at_);
    const std::string l = lower(w);
    at_ = end;
    if (currency_or_half(w)) return;
    if (w.size() >= 2 && (l == "and" || l == "or")) return put(TokenKind::kSign, l);
    if (kProse.count(l) && w.substr(1) == std::string_view(l).substr(1)) return put(TokenKind::kWord, w);
    if (w == "in" && space_ && !after_number()) return put(TokenKind::kSign, "in");
    if (l == "to" && w.size() == 2 && space_) return put(TokenKind::kSign, "->");
    if (w.size() >= 2 && kNames.count(l)) return put(TokenKind::kCommand, l);
    if (w.size() >= 2 && after_quantity() &&
        (known_unit(w) || l == "am" || l == "pm" || l == "percent" || l == "pct" || l == "percentage" || l == "degree" || l == "degrees"))
      return put(TokenKind::kText, w);
    if (counted_noun(w) || (w == "per" && !out_.empty() && out_.back().kind == TokenKind::kText)) return put(TokenKind::kText, w);
    for (std::string_view link : {"or", "and"}) {  // 1orW(x)=2
      if (w.starts_with(link) && w.size() == link.size() + 1 && w.back() >= 'A' && w.back() <= 'Z') {
        put(TokenKind::kSign, link);
        return put(TokenKind::kLetter, w.substr(link.size()));
      }
    }
    for (std::string_view name : {"arcsin", "arccos", "arctan", "sqrt", "sin", "cos", "tan", "log", "ln", "pi"}) {
      if (w.starts_with(name) && w.size() <= name.size() + 2) {  // sinx, 2pir
        put(TokenKind::kCommand, name);
        for (char c : w.substr(name.size())) put(TokenKind::kLetter, std::string_view(&c, 1));
        return;
      }
    }
    if (w.size() > 4) return put(TokenKind::kWord, w);
    for (char c : w) put(TokenKind::kLetter, std::string_view(&c, 1));
  }
  // "17 apples", "3 red balls": what is counted, a word of four letters or more after a number and a blank.
  bool counted_noun(std::string_view w) const {
    if (w.size() < 4 || !space_ || out_.empty() || kNoNouns.count(lower(w))) return false;
    if (out_.back().kind != TokenKind::kNumber && out_.back().kind != TokenKind::kText) return false;
    return std::all_of(w.begin(), w.end(), [](char c) { return c >= 'a' && c <= 'z'; }) && w.find_first_of("aeiouy") != w.npos;
  }
  bool after_number() const { return !out_.empty() && out_.back().kind == TokenKind::kNumber; }
  bool after_quantity() const {
    if (out_.empty()) return false;
    const Token& t = out_.back();
    return t.kind == TokenKind::kNumber || t.kind == TokenKind::kText || t.text == ")" || t.text == "}" || t.text == "%" ||
           t.text == "pi" || t.text == "deg";
  }

  // The balanced {..} at the cursor, without its braces; the cursor goes after it.
  std::string_view braces() {
    int depth = 0;
    const size_t start = at_ + 1;
    for (size_t i = at_; i < s_.size(); ++i) {
      if (s_[i] == '\\') {
        ++i;
        continue;
      }
      depth += (s_[i] == '{') - (s_[i] == '}');
      if (depth == 0) {
        at_ = i + 1;
        return s_.substr(start, i - start);
      }
    }
    at_ = s_.size();
    return s_.substr(std::min(start, s_.size()));
  }

  void text_command(std::string_view name) {
    while (peek() == ' ') ++at_;
    if (peek() != '{') return;
    std::string_view body = braces();
    while (!body.empty() && (body.front() == ' ' || body.front() == '~')) body.remove_prefix(1);
    while (!body.empty() && (body.back() == ' ' || body.back() == '~')) body.remove_suffix(1);
    const std::string l = lower(body);
    if (l == "and" || l == ", and") return put(TokenKind::kSign, "and");
    if (l == "or" || l == ", or" || l == "and/or") return put(TokenKind::kSign, "or");
    if (l == ",") return put(TokenKind::kSign, ",");
    if (l == "to") return put(TokenKind::kSign, "->");
    if (kNames.count(l) && !(after_quantity() && known_unit(body))) return put(TokenKind::kCommand, l);  // 30 min is no minimum
    const bool plain = name == "mathrm" || name == "operatorname";
    if (plain && body.size() == 1 && letter(body[0]) && !(body == "m" || body == "g")) return put(TokenKind::kLetter, body);
    if (!body.empty() && std::all_of(body.begin(), body.end(), [](char c) { return digit(c) || c == '.' || c == ','; })) return relex(body);
    // "\text{3 apples}" is a number and its unit
    const size_t end = body.find_first_not_of("0123456789.,/");
    if (end != body.npos && end > 0 && digit(body[0]) && body[end] == ' ' && !after_number()) return relex(body);
    put(TokenKind::kText, body);
  }
  void relex(std::string_view body) {
    if (++nested_ > 20) throw ParseError("text nested in text");
    for (Token& t : Lexer(body, commas_).run())
      if (t.kind != TokenKind::kEnd) out_.push_back(std::move(t));
  }

  void command() {
    size_t end = at_ + 1;
    while (end < s_.size() && letter(s_[end])) ++end;
    if (end == at_ + 1) end = std::min(end + 1, s_.size());
    std::string_view name = s_.substr(at_ + 1, end - at_ - 1);
    at_ = end;
    if (name == "$" && currency("usd")) return;
    if (name == "pounds" || name == "euro" || name == "yen") {
      if (currency(name == "pounds" ? "gbp" : name == "euro" ? "eur" : "jpy")) return;
    }
    if (name == "$" || name == "(" || name == ")" || name == "[" || name == "]") return;  // currency or math mode
    if (name.empty()) return;
    if (kDropped.count(name)) {
      if (peek() == '.') ++at_;  // \left.
      return;
    }
    if (kSpaces.count(name)) return void(space_ = true);
    if (kTransparent.count(name)) return;
    if (kTextCommands.count(name)) return text_command(name);
    if (const auto same = kSame.find(name); same != kSame.end()) return put(TokenKind::kCommand, same->second);
    if (const auto sign = kSigns.find(name); sign != kSigns.end()) return put(TokenKind::kSign, sign->second);
    if (name.starts_with("quad") || name.starts_with("qquad")) {  // \quadx: a space lost its end
      at_ -= name.size() - (name[0] == 'q' && name[1] == 'q' ? 5 : 4);
      space_ = true;
      return;
    }
    put(TokenKind::kCommand, name);
  }

  // 10⁻⁴: the run of raised digits.
  void raised() {
    std::string digits;
    for (size_t length = 0;;) {
      for (length = 2; length <= 3 && !kPowers.count(s_.substr(at_, length)); ++length) continue;
      if (length > 3) break;
      digits += kPowers.at(s_.substr(at_, length));
      at_ += length;
    }
    put(TokenKind::kSign, "^");
    put(TokenKind::kSign, "{");
    const bool sign = digits[0] == '-' || digits[0] == '+';
    if (sign) put(TokenKind::kSign, digits.substr(0, 1));
    if (digits.size() > size_t(sign)) put(TokenKind::kNumber, digits.substr(sign));
    put(TokenKind::kSign, "}");
  }

  void unicode() {
    for (size_t length : {2u, 3u}) {
      const std::string_view c = s_.substr(at_, length);
      if (const auto sign = kUnicode.find(c); sign != kUnicode.end()) return void((at_ += length, put(TokenKind::kSign, sign->second)));
      if (const auto name = kUnicodeCommands.find(c); name != kUnicodeCommands.end())
        return void((at_ += length, put(TokenKind::kCommand, name->second)));
      if (kPowers.count(c)) return raised();
      if (const auto parts = kFractions.find(c); parts != kFractions.end()) {
        at_ += length;
        put(TokenKind::kCommand, "frac");
        put(TokenKind::kNumber, parts->second.substr(0, 1));
        return put(TokenKind::kNumber, parts->second.substr(1));
      }
      for (const auto& [sign, name] : {std::pair<std::string_view, std::string_view>{"\xE2\x82\xAC", "eur"},
                                       {"\xC2\xA3", "gbp"},
                                       {"\xC2\xA5", "jpy"},
                                       {"\xC2\xA2", "cent"},
                                       {"\xE2\x82\xB9", "inr"}}) {
        if (c != sign) continue;
        at_ += length;
        return void(currency(name));
      }
      for (std::string_view skip : {"\xC2\xA0", "\xE2\x80\x89", "\xEF\xBB\xBF"}) {
        if (c == skip) return void((at_ += length, space_ = true));
      }
    }
    size_t end = at_ + 1;
    while (end < s_.size() && (static_cast<unsigned char>(s_[end]) & 0xC0) == 0x80) ++end;
    put(TokenKind::kWord, s_.substr(at_, end - at_));
    at_ = end;
  }

  std::string_view s_;
  Commas commas_;
  size_t at_ = 0;
  int nested_ = 0;
  bool space_ = false;
  std::vector<Token> out_;
};

}  // namespace

bool prose_word(std::string_view word) {
  return kProse.count(word) || kNoNouns.count(word);
}

std::vector<Token> tokenize(std::string_view text, Commas commas) {
  return Lexer(text, commas).run();
}

}  // namespace r1::verify
