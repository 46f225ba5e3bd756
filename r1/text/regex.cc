#define PCRE2_CODE_UNIT_WIDTH 8
#include "r1/text/regex.h"

#include <pcre2.h>

#include <algorithm>
#include <vector>

#include "r1/base/error.h"
#include "r1/text/unicode.h"

namespace r1::text {
namespace {

RangeSet set_of(std::span<const Range> ranges) {
  return {ranges.begin(), ranges.end()};
}

std::string hex(uint32_t cp) {
  char buffer[16];
  std::snprintf(buffer, sizeof buffer, "\\x{%x}", cp);
  return buffer;
}

}  // namespace

std::string regex_range(const Range& r) {
  return r.last > r.first ? hex(r.first) + '-' + hex(r.last) : hex(r.first);
}

namespace {

std::string class_text(const RangeSet& set) {
  if (set.empty()) return "(*FAIL)";
  std::string out = "[";
  for (const Range& r : set) {
    out += regex_range(r);
  }
  return out + ']';
}

// Reads a pattern once, left to right, and writes PCRE2's spelling of it.
class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  std::string run() {
    while (at_ < pattern_.size()) step();
    return std::move(out_);
  }

 private:
  [[noreturn]] void give_up(std::string_view why) const { fail("regex '", printable(pattern_), "': ", why, " at byte ", at_); }
  bool more() const { return at_ < pattern_.size(); }
  char peek(size_t ahead = 0) const { return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0'; }
  char take() {
    if (!more()) give_up("ends too early");
    return pattern_[at_++];
  }

  void step() {
    const char c = peek();
    if (c == '\\') return escape();
    if (c == '[') {
      ++at_;
      return atom(class_text(bracket(0)));
    }
    if (c == '(') {
      open_groups_.push_back(out_.size());
      out_ += take();
      return;
    }
    if (c == ')') {
      out_ += take();
      if (open_groups_.empty()) give_up("unmatched ')'");
      atom_ = open_groups_.back();
      open_groups_.pop_back();
      return;
    }
    if (c == '{' && counted()) return;
    if (std::string_view("*+?|^$.").find(c) != std::string_view::npos) {
      if (c == '.') atom_ = out_.size();
      out_ += take();
      return;
    }
    uint32_t cp;
    const int n = decode_utf8(pattern_.data() + at_, pattern_.data() + pattern_.size(), &cp);
    if (cp == kInvalid) give_up("invalid UTF-8");
    atom(std::string(pattern_.substr(at_, size_t(n))));
    at_ += size_t(n);
  }

  void atom(const std::string& text) {
    atom_ = out_.size();
    out_ += text;
  }

  // {n,m}; a '+' after it repeats the whole in Ruby, so the counted atom is wrapped.
  bool counted() {
    const size_t close = pattern_.find('}', at_);
    if (close == std::string_view::npos) return false;
    const std::string_view inside = pattern_.substr(at_ + 1, close - at_ - 1);
    if (inside.empty() || inside.find_first_not_of("0123456789,") != std::string_view::npos || inside == ",") return false;
    out_ += inside[0] == ',' ? "{0" + std::string(inside) + "}" : "{" + std::string(inside) + "}";
    at_ = close + 1;
    if (peek() == '+') {
      ++at_;
      out_.insert(atom_, "(?:");
      out_ += ")+";
    }
    return true;
  }

  void escape() {
    RangeSet set;
    uint32_t cp;
    ++at_;
    switch (class_or_char(&set, &cp)) {
      case Item::kSet:
        return atom(class_text(set));
      case Item::kChar:
        return atom(hex(cp));
      case Item::kOther:
        return atom(std::move(raw_));
    }
  }

  enum class Item { kSet, kChar, kOther };

  // What follows a backslash (already taken): a set, one code point, or something PCRE2 reads as it stands (raw_).
  Item class_or_char(RangeSet* set, uint32_t* cp) {
    const char c = take();
    const auto named = [&](RangeSet s, bool negate) {
      *set = negate ? complement(s) : std::move(s);
      return Item::kSet;
    };
    const auto chr = [&](uint32_t value) {
      *cp = value;
      return Item::kChar;
    };
    RangeSet digits;
    switch (c) {
      case 's':
      case 'S':
        return named(set_of(space_ranges()), c == 'S');
      case 'w':
      case 'W':
        return named(set_of(word_ranges()), c == 'W');
      case 'd':
      case 'D':
        return category_ranges("Nd", &digits), named(digits, c == 'D');
      case 'h':
      case 'H':
        return named({{'0', '9'}, {'A', 'F'}, {'a', 'f'}}, c == 'H');
      case 'p':
      case 'P':
        return property(c == 'P', set);
      case 't':
        return chr('\t');
      case 'n':
        return chr('\n');
      case 'r':
        return chr('\r');
      case 'f':
        return chr('\f');
      case 'v':
        return chr('\v');
      case 'a':
        return chr('\a');
      case 'e':
        return chr(27);
      case 'x':
        return chr(hex_value(2));
      case 'u':
        return chr(hex_value(4));
      default:
        break;
    }
    if (std::string_view("AzZGbBRXK").find(c) != std::string_view::npos || (c >= '1' && c <= '9')) {
      raw_ = std::string("\\") + c;
      return Item::kOther;
    }
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '0') give_up(str("the escape \\", c, " is not supported"));
    --at_;
    const int n = decode_utf8(pattern_.data() + at_, pattern_.data() + pattern_.size(), cp);
    if (*cp == kInvalid) give_up("invalid UTF-8");
    at_ += size_t(n);
    return Item::kChar;
  }

  uint32_t hex_value(int digits) {
    const bool braces = peek() == '{';
    if (braces) ++at_;
    uint32_t value = 0;
    int n = 0;
    for (; n < (braces ? 8 : digits) && std::isxdigit(uint8_t(peek())); ++n) {
      const char c = take();
      value = value * 16 + uint32_t(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    if (n == 0 || (braces && take() != '}') || value > 0x10FFFF) give_up("bad hexadecimal escape");
    return value;
  }

  Item property(bool negate, RangeSet* set) {
    std::string name(1, take());
    if (name == "{") {
      const size_t close = pattern_.find('}', at_);
      if (close == std::string_view::npos) give_up("\\p{ without }");
      name = pattern_.substr(at_, close - at_);
      at_ = close + 1;
    }
    if (name.starts_with('^')) {
      negate = !negate;
      name.erase(0, 1);
    }
    if (category_ranges(name, set)) {
      if (negate) *set = complement(*set);
      return Item::kSet;
    }
    raw_ = (negate ? "\\P{" : "\\p{") + name + "}";
    return Item::kOther;
  }

  // A bracket expression whose '[' is taken, as a set; nested brackets and && as in Oniguruma.
  RangeSet bracket(int depth) {
    if (depth > 16) give_up("brackets nest too deep");
    const bool negate = peek() == '^';
    if (negate) ++at_;
    RangeSet all, whole;
    bool intersecting = false, first = true;
    const auto close_term = [&] {
      whole = intersecting ? intersect(whole, unite(all, {})) : unite(all, {});
      all.clear();
      intersecting = true;
    };
    for (;; first = false) {
      if (!more()) give_up("'[' without ']'");
      if (peek() == ']' && !first) break;
      if (peek() == '[') {
        if (peek(1) == ':') give_up("POSIX brackets are not supported");
        ++at_;
        const RangeSet inner = bracket(depth + 1);
        all.insert(all.end(), inner.begin(), inner.end());
        continue;
      }
      if (peek() == '&' && peek(1) == '&') {
        at_ += 2;
        close_term();
        continue;
      }
      member(all);
    }
    ++at_;
    close_term();
    return negate ? complement(whole) : whole;
  }

  // One member of a bracket: a set, a character, or a range of characters.
  void member(RangeSet& all) {
    RangeSet set;
    uint32_t first;
    if (member_item(&set, &first) == Item::kSet) {
      all.insert(all.end(), set.begin(), set.end());
      return;
    }
    uint32_t last = first;
    if (peek() == '-' && peek(1) != ']' && peek(1) != '\0') {
      ++at_;
      if (member_item(&set, &last) == Item::kSet) {  // [a-\s]: three members
        all.insert(all.end(), set.begin(), set.end());
        all.push_back({'-', '-'});
        last = first;
      }
      if (last < first) give_up("range out of order");
    }
    all.push_back({first, last});
  }

  Item member_item(RangeSet* set, uint32_t* cp) {
    if (peek() != '\\') {
      const int n = decode_utf8(pattern_.data() + at_, pattern_.data() + pattern_.size(), cp);
      if (*cp == kInvalid) give_up("invalid UTF-8");
      at_ += size_t(n);
      return Item::kChar;
    }
    ++at_;
    if (peek() == 'b') {
      ++at_;
      *cp = '\b';
      return Item::kChar;
    }
    const Item item = class_or_char(set, cp);
    if (item == Item::kOther) give_up(str(raw_, " is not supported inside brackets"));
    return item;
  }

  std::string_view pattern_;
  size_t at_ = 0;
  std::string out_, raw_;
  size_t atom_ = 0;  // where the last atom starts in out_
  std::vector<size_t> open_groups_;
};

}  // namespace

std::string translate_regex(std::string_view pattern) {
  return Translator(pattern).run();
}

struct Regex::Impl {
  std::string source;
  pcre2_code* code = nullptr;
  bool jit = false;
  ~Impl() { pcre2_code_free(code); }
};

struct Regex::Scratch::Impl {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 << 10, 1 << 20, nullptr);
  Impl() {
    pcre2_set_heap_limit(context, 64 << 10);  // KiB
    pcre2_set_depth_limit(context, 100'000);
    if (stack) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Impl() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
};

Regex::Scratch::Scratch() = default;
Regex::Scratch::~Scratch() = default;
Regex::Scratch::Scratch(Scratch&&) noexcept = default;
Regex::Scratch& Regex::Scratch::operator=(Scratch&&) noexcept = default;

Regex::Regex(std::string_view pattern) : impl_(std::make_unique<Impl>()) {
  if (pattern.size() > 64 << 10) fail("regex of ", pattern.size(), " bytes: at most 65536 are allowed");
  const std::string translated = translate_regex(pattern);
  int error;
  PCRE2_SIZE where;
  impl_->source = pattern;
  impl_->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &error, &where, nullptr);
  if (!impl_->code) {
    PCRE2_UCHAR message[256];
    pcre2_get_error_message(error, message, sizeof message);
    fail("regex '", printable(pattern), "': ", reinterpret_cast<const char*>(message));
  }
  impl_->jit = pcre2_jit_compile(impl_->code, PCRE2_JIT_COMPLETE) == 0;
}

Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

bool Regex::find(std::string_view text, size_t from, Scratch& scratch, Match* match) const {
  if (!scratch.impl_) scratch.impl_ = std::make_unique<Scratch::Impl>();
  Scratch::Impl& s = *scratch.impl_;
  pcre2_set_match_limit(s.context, uint32_t(std::min<size_t>(1'000'000'000, 10'000'000 + 50 * text.size())));
  // An empty view may carry a null pointer, which PCRE2 10.42 takes only with length 0 and no JIT fast path.
  const char* const data = text.empty() ? "" : text.data();
  const int rc = pcre2_match(impl_->code, reinterpret_cast<PCRE2_SPTR>(data), text.size(), from, 0, s.data, s.context);
  if (rc == PCRE2_ERROR_NOMATCH) return false;
  if (rc < 0) {
    PCRE2_UCHAR message[256];
    pcre2_get_error_message(rc, message, sizeof message);
    fail("regex '", printable(impl_->source), "' gave up on a text of ", text.size(), " bytes: ", reinterpret_cast<const char*>(message));
  }
  const PCRE2_SIZE* const v = pcre2_get_ovector_pointer(s.data);
  *match = {v[0], v[1]};
  return true;
}

}  // namespace r1::text
