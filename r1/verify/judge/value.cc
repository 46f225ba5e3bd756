#include "r1/verify/judge/value.h"

#include <gmpxx.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "r1/base/error.h"

namespace r1::verify::judge {
namespace {

using Kind = Value::Kind;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f');
}

// ---- wire ----

void append_float(std::string& out, double x) {
  char buffer[40];
  std::snprintf(buffer, sizeof buffer, "%a", x);
  out += buffer;
  out += ';';
}

void encode(const Value& v, std::string& out) {
  const auto counted = [&](char tag, size_t n) { out += tag, out += std::to_string(n), out += ':'; };
  const auto many = [&](char tag, size_t n) {
    counted(tag, n);
    for (const Value& item : v.items) encode(item, out);
  };
  switch (v.kind) {
    case Kind::kNone:
      out += 'N';
      break;
    case Kind::kBool:
      out += v.flag ? 'T' : 'F';
      break;
    case Kind::kInt:
      out += v.is_big() ? "I" + v.text + ";" : "i" + std::to_string(v.integer) + ";";
      break;
    case Kind::kFloat:
      out += 'f', append_float(out, v.number);
      break;
    case Kind::kComplex:
      out += 'c', append_float(out, v.number), append_float(out, v.imaginary);
      break;
    case Kind::kText:
      counted('s', v.text.size()), out += v.text;
      break;
    case Kind::kBytes:
      counted('b', v.text.size()), out += v.text;
      break;
    case Kind::kList:
      many('l', v.items.size());
      break;
    case Kind::kTuple:
      many('t', v.items.size());
      break;
    case Kind::kSet:
      many('S', v.items.size());
      break;
    case Kind::kFrozenSet:
      many('Z', v.items.size());
      break;
    case Kind::kDict:
      many('d', v.items.size() / 2);
      break;
    case Kind::kOther:
      out += 'x';
      encode(Value::of(std::string_view(v.text)), out);
      for (const Value& item : v.items) encode(item, out);
      break;
  }
}

// Reads from bytes that nobody vouches for; every read is bounded by what is there, so memory is too: an item costs at least one byte.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : bytes_(bytes) {}
  bool whole(Value& out) { return value(out, 0) && at_ == bytes_.size(); }

 private:
  // The text up to `end`, at most 64 bytes for what is a short number.
  bool until(char end, std::string_view& out, size_t most) {
    const size_t stop = bytes_.substr(at_, most + 1).find(end);
    if (stop == std::string_view::npos) return false;
    out = bytes_.substr(at_, stop);
    at_ += stop + 1;
    return true;
  }
  bool count(size_t& n) {
    std::string_view digits;
    if (!until(':', digits, 12) || digits.empty()) return false;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
    return error == std::errc() && end == digits.data() + digits.size() && n <= bytes_.size() - at_;
  }
  bool real(double& x) {
    std::string_view digits;
    if (!until(';', digits, 40) || digits.empty()) return false;
    const std::string text(digits);
    char* end = nullptr;
    x = std::strtod(text.c_str(), &end);
    return *end == 0 && end == text.c_str() + text.size();
  }
  bool integer(Value& out) {
    std::string_view digits;
    if (!until(';', digits, 20) || digits.empty()) return false;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out.integer);
    out.kind = Kind::kInt;
    return error == std::errc() && end == digits.data() + digits.size();
  }
  // A canonical one only: what fits 64 bits comes as 'i', so that an int has one form.
  bool big_integer(Value& out) {
    std::string_view digits;
    if (!until(';', digits, bytes_.size())) return false;
    const std::string_view plain = digits.substr(!digits.empty() && digits[0] == '-');
    if (plain.size() < 16 || plain[0] == '0' || !std::all_of(plain.begin(), plain.end(), is_hex)) return false;
    if (plain.size() == 16 && plain[0] < '8') return false;
    if (digits == "-8000000000000000") return false;
    out.kind = Kind::kInt;
    out.text = digits;
    return true;
  }
  bool text(Value& out, Kind kind) {
    size_t n = 0;
    if (!count(n)) return false;
    out.kind = kind;
    out.text = bytes_.substr(at_, n);
    at_ += n;
    return true;
  }
  bool many(Value& out, Kind kind, size_t each, int depth) {
    size_t n = 0;
    if (!count(n)) return false;
    out.kind = kind;
    for (size_t i = 0; i < n * each; ++i) {
      out.items.emplace_back();
      if (!value(out.items.back(), depth + 1)) return false;
    }
    return true;
  }
  bool other(Value& out, int depth) {
    Value name;
    if (!value(name, depth + 1) || name.kind != Kind::kText) return false;
    out.kind = Kind::kOther;
    out.text = std::move(name.text);
    out.items.emplace_back();
    return value(out.items.back(), depth + 1);
  }
  bool value(Value& out, int depth) {
    if (depth > kMaxValueDepth || at_ >= bytes_.size()) return false;
    switch (bytes_[at_++]) {
      case 'N':
        return true;
      case 'T':
        out = Value::of(true);
        return true;
      case 'F':
        out = Value::of(false);
        return true;
      case 'i':
        return integer(out);
      case 'I':
        return big_integer(out);
      case 'f':
        out.kind = Kind::kFloat;
        return real(out.number);
      case 'c':
        out.kind = Kind::kComplex;
        return real(out.number) && real(out.imaginary);
      case 's':
        return text(out, Kind::kText);
      case 'b':
        return text(out, Kind::kBytes);
      case 'l':
        return many(out, Kind::kList, 1, depth);
      case 't':
        return many(out, Kind::kTuple, 1, depth);
      case 'S':
        return many(out, Kind::kSet, 1, depth);
      case 'Z':
        return many(out, Kind::kFrozenSet, 1, depth);
      case 'd':
        return many(out, Kind::kDict, 2, depth);
      case 'x':
        return other(out, depth);
      default:
        return false;
    }
  }

  std::string_view bytes_;
  size_t at_ = 0;
};

// ---- JSON ----

class JsonReader {
 public:
  JsonReader(std::string_view text, std::string_view where) : text_(text), where_(where) {}
  bool at_end() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
    return at_ == text_.size();
  }
  Value value(int depth) {
    if (depth > kMaxValueDepth) wrong("nested too deeply");
    if (at_end()) wrong("ends where a value is expected");
    const char c = text_[at_];
    if (c == '{') return object(depth);
    if (c == '[') return array(depth);
    if (c == '"') return Value::of(std::string_view(string()));
    if (word("null")) return {};
    if (word("true")) return Value::of(true);
    if (word("false")) return Value::of(false);
    if (word("NaN")) return Value::of(std::nan(""));
    if (word("Infinity")) return Value::of(HUGE_VAL);
    if (word("-Infinity")) return Value::of(-HUGE_VAL);
    return number();
  }

 private:
  [[noreturn]] void wrong(const char* what) const { fail(where_, ": bad JSON at byte ", at_, ": ", what); }
  bool word(std::string_view w) {
    if (text_.substr(at_, w.size()) != w) return false;
    at_ += w.size();
    return true;
  }
  Value array(int depth) {
    Value out = Value::list({});
    ++at_;
    if (!at_end() && text_[at_] == ']') return ++at_, out;
    for (;;) {
      out.items.push_back(value(depth + 1));
      if (at_end()) wrong("a list is not closed");
      const char c = text_[at_++];
      if (c == ']') return out;
      if (c != ',') --at_, wrong("expected ',' or ']'");
    }
  }
  Value object(int depth) {
    Value out;
    out.kind = Kind::kDict;
    ++at_;
    if (!at_end() && text_[at_] == '}') return ++at_, out;
    for (;;) {
      if (at_end() || text_[at_] != '"') wrong("expected a key in quotes");
      out.items.push_back(Value::of(std::string_view(string())));
      if (at_end() || text_[at_++] != ':') wrong("expected ':'");
      out.items.push_back(value(depth + 1));
      if (at_end()) wrong("an object is not closed");
      const char c = text_[at_++];
      if (c == '}') return out;
      if (c != ',') --at_, wrong("expected ',' or '}'");
    }
  }
  uint32_t four_digits() {
    uint32_t code = 0;
    const std::string_view digits = text_.substr(at_, 4);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (digits.size() < 4 || error != std::errc() || end != digits.data() + 4) wrong("expected four hex digits");
    at_ += 4;
    return code;
  }
  // Also a lone surrogate, which Python's strings may hold and base/utf8.h does not write.
  static void append_utf8(std::string& out, uint32_t c) {
    if (c < 0x80) {
      out += char(c);
    } else if (c < 0x800) {
      out += char(0xC0 | c >> 6), out += char(0x80 | (c & 63));
    } else if (c < 0x10000) {
      out += char(0xE0 | c >> 12), out += char(0x80 | (c >> 6 & 63)), out += char(0x80 | (c & 63));
    } else {
      out += char(0xF0 | c >> 18), out += char(0x80 | (c >> 12 & 63)), out += char(0x80 | (c >> 6 & 63)), out += char(0x80 | (c & 63));
    }
  }
  void escape(std::string& out) {
    static constexpr std::string_view kNames = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
    if (at_ >= text_.size()) wrong("a string is not closed");
    const char c = text_[at_++];
    if (const size_t i = kNames.find(c); i != std::string_view::npos) {
      out += kMeant[i];
      return;
    }
    if (c != 'u') wrong("unknown escape");
    uint32_t code = four_digits();
    if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_, 2) == "\\u") {
      const size_t before = at_;
      at_ += 2;
      const uint32_t low = four_digits();
      if (low >= 0xDC00 && low < 0xE000)
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      else
        at_ = before;
    }
    append_utf8(out, code);
  }
  std::string string() {
    std::string out;
    for (++at_;;) {
      const size_t stop = text_.find_first_of("\"\\", at_);
      if (stop == std::string_view::npos) wrong("a string is not closed");
      out.append(text_.substr(at_, stop - at_));
      at_ = stop + 1;
      if (text_[stop] == '"') return out;
      escape(out);
    }
  }
  Value number() {
    const size_t begin = at_;
    if (at_ < text_.size() && text_[at_] == '-') ++at_;
    const size_t digits = at_;
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    if (at_ == digits || (text_[digits] == '0' && at_ > digits + 1)) wrong("expected a value");
    const size_t whole_end = at_;
    if (at_ < text_.size() && text_[at_] == '.')
      for (++at_; at_ < text_.size() && is_digit(text_[at_]);) ++at_;
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      ++at_;
      if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    }
    const std::string literal(text_.substr(begin, at_ - begin));
    if (!is_digit(literal.back())) wrong("a number ends in the middle");
    if (at_ > whole_end) return Value::of(std::strtod(literal.c_str(), nullptr));
    Value out;
    out.kind = Kind::kInt;
    const auto [end, error] = std::from_chars(literal.data(), literal.data() + literal.size(), out.integer);
    if (error == std::errc() && end == literal.data() + literal.size()) return out;
    out.integer = 0;
    out.text = mpz_class(literal, 10).get_str(16);
    return out;
  }

  std::string_view text_, where_;
  size_t at_ = 0;
};

// ---- equality ----

bool is_number(const Value& v) {
  return v.kind == Kind::kInt || v.kind == Kind::kFloat || v.kind == Kind::kBool;
}
std::string exact_integer(const Value& v) {
  return v.is_big() ? v.text : mpz_class(std::to_string(v.kind == Kind::kBool ? int64_t(v.flag) : v.integer)).get_str(16);
}
double as_double(const Value& v) {
  if (v.kind == Kind::kFloat) return v.number;
  if (v.is_big()) {
    // Beyond the range of a double a big int is infinite, as a number to measure a distance by.
    return v.text.size() > 300 ? (v.text[0] == '-' ? -HUGE_VAL : HUGE_VAL) : mpz_class(v.text, 16).get_d();
  }
  return v.kind == Kind::kBool ? double(v.flag) : double(v.integer);
}

bool equal_numbers(const Value& expected, const Value& got, double tolerance) {
  const bool e_float = expected.kind == Kind::kFloat, g_float = got.kind == Kind::kFloat;
  if (!e_float && !g_float) return exact_integer(expected) == exact_integer(got);
  const double e = as_double(expected), g = as_double(got);
  if (e_float && g_float && std::isnan(e)) return std::isnan(g);
  if (std::isnan(e) || std::isnan(g)) return false;
  if (e_float && g_float && e == g) return true;
  if (!(e_float && g_float)) {  // an int against a whole float: exactly, as Python does, whatever the tolerance
    const double real = e_float ? e : g;
    if (std::isfinite(real) && real == std::floor(real)) return mpz_class(real).get_str(16) == exact_integer(e_float ? got : expected);
  }
  return tolerance > 0 && std::isfinite(e) && std::isfinite(g) && std::fabs(e - g) <= tolerance * std::max(1.0, std::fabs(e));
}

std::optional<std::string> json_key(const Value& key) {
  switch (key.kind) {
    case Kind::kText:
      return key.text;
    case Kind::kNone:
      return "null";
    case Kind::kBool:
      return key.flag ? "true" : "false";
    case Kind::kInt:
      return key.is_big() ? mpz_class(key.text, 16).get_str() : std::to_string(key.integer);
    default:
      return std::nullopt;
  }
}
using Entries = std::vector<std::pair<std::string, const Value*>>;
std::optional<Entries> sorted_entries(const Value& dict) {
  Entries out;
  for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const auto key = json_key(dict.items[i]);
    if (!key) return std::nullopt;
    out.emplace_back(*key, &dict.items[i + 1]);
  }
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return out;
}

bool equal_dicts(const Value& expected, const Value& got, const ValueComparison& how) {
  auto e = sorted_entries(expected);
  const auto g = sorted_entries(got);
  if (!e || !g) return false;
  for (size_t i = 0; i + 1 < e->size();) {  // a repeated key in a JSON text: the last one counts
    if ((*e)[i].first == (*e)[i + 1].first)
      e->erase(e->begin() + long(i));
    else
      ++i;
  }
  if (e->size() != g->size()) return false;
  for (size_t i = 0; i < e->size(); ++i)
    if ((*e)[i].first != (*g)[i].first || !equal_values(*(*e)[i].second, *(*g)[i].second, how)) return false;
  return true;
}

// The fewest digits that give this very double again: two floats that differ are never shown alike.
std::string shortest(double x) {
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, x).ptr;
  std::string out(buffer, end);
  if (out.find_first_not_of("-0123456789") == std::string::npos) out += ".0";
  return out;
}
// In decimal; one too long to be read by anybody in hexadecimal, as it came.
std::string shown_big(const std::string& hex) {
  if (hex.size() <= 500) return mpz_class(hex, 16).get_str();
  return hex[0] == '-' ? "-0x" + hex.substr(1) : "0x" + hex;
}

void show(const Value& v, std::string& out, size_t limit) {
  if (out.size() > limit) return;
  const auto many = [&](const char* open, const char* close) {
    out += open;
    for (size_t i = 0; i < v.items.size() && out.size() <= limit; ++i) {
      if (i) out += v.kind == Kind::kDict && i % 2 ? ": " : ", ";
      show(v.items[i], out, limit);
    }
    out += close;
  };
  switch (v.kind) {
    case Kind::kNone:
      out += "None";
      break;
    case Kind::kBool:
      out += v.flag ? "True" : "False";
      break;
    case Kind::kInt:
      out += v.is_big() ? shown_big(v.text) : std::to_string(v.integer);
      break;
    case Kind::kFloat:
      out += shortest(v.number);
      break;
    case Kind::kComplex:
      out += shortest(v.number) + "+" + shortest(v.imaginary) + "j";
      break;
    case Kind::kText:
      out += "'" + v.text.substr(0, limit) + "'";
      break;
    case Kind::kBytes:
      out += "b'" + v.text.substr(0, limit) + "'";
      break;
    case Kind::kList:
      many("[", "]");
      break;
    case Kind::kTuple:
      many("(", ")");
      break;
    case Kind::kSet:
    case Kind::kFrozenSet:
      many("{", "}");
      break;
    case Kind::kDict:
      many("{", "}");
      break;
    case Kind::kOther:
      out += "<" + v.text.substr(0, limit) + ">";
      break;
  }
}

}  // namespace

Value Value::of(bool x) {
  Value v;
  v.kind = Kind::kBool;
  v.flag = x;
  return v;
}
Value Value::of(int64_t x) {
  Value v;
  v.kind = Kind::kInt;
  v.integer = x;
  return v;
}
Value Value::of(double x) {
  Value v;
  v.kind = Kind::kFloat;
  v.number = x;
  return v;
}
Value Value::of(std::string_view x) {
  Value v;
  v.kind = Kind::kText;
  v.text = x;
  return v;
}
Value Value::of_bytes(std::string_view x) {
  Value v;
  v.kind = Kind::kBytes;
  v.text = x;
  return v;
}
Value Value::list(std::vector<Value> items) {
  Value v;
  v.kind = Kind::kList;
  v.items = std::move(items);
  return v;
}

std::string encode_value(const Value& value) {
  std::string out;
  encode(value, out);
  return out;
}

std::optional<Value> decode_value(std::string_view bytes) {
  std::optional<Value> out(std::in_place);
  if (!Decoder(bytes).whole(*out)) out.reset();
  return out;
}

Value parse_json_value(std::string_view text, std::string_view where) {
  JsonReader reader(text, where);
  Value out = reader.value(0);
  if (!reader.at_end()) fail(where, ": bad JSON: more than one value");
  return out;
}

std::vector<Value> parse_json_values(std::string_view text, std::string_view where) {
  JsonReader reader(text, where);
  std::vector<Value> out;
  while (!reader.at_end()) out.push_back(reader.value(0));
  return out;
}

bool equal_values(const Value& expected, const Value& got, const ValueComparison& how) {
  if (is_number(expected) && is_number(got)) return equal_numbers(expected, got, how.float_tolerance);
  const bool got_list = got.kind == Kind::kList || got.kind == Kind::kTuple;
  switch (expected.kind) {
    case Kind::kNone:
      return got.kind == Kind::kNone;
    case Kind::kText:
      return got.kind == Kind::kText && expected.text == got.text;
    case Kind::kBytes:
      return got.kind == Kind::kBytes && expected.text == got.text;
    case Kind::kList:
    case Kind::kTuple:
      if (!got_list || expected.items.size() != got.items.size()) return false;
      for (size_t i = 0; i < expected.items.size(); ++i)
        if (!equal_values(expected.items[i], got.items[i], how)) return false;
      return true;
    case Kind::kDict:
      return got.kind == Kind::kDict && equal_dicts(expected, got, how);
    default:
      return false;
  }
}

std::string show_value(const Value& value, size_t limit) {
  std::string out;
  show(value, out, limit);
  if (out.size() > limit) out = out.substr(0, limit) + "..";
  return out;
}

}  // namespace r1::verify::judge
