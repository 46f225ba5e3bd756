// Filters, tests and methods of chat templates, with the results of jinja2 3.1 and Python.
#include <utf8proc.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include "r1/base/error.h"
#include "r1/text/jinja_eval.h"

namespace r1::text::jinja {
namespace {

using In = Interpreter;
using V = Value;
using Args = Arguments;

V string_of(In& in, std::string s) {
  return in.text(std::move(s));
}
V list_of(std::vector<V> items) {
  return make_list(std::move(items));
}

std::string text_argument(const V& v, std::string_view what) {
  require_defined(v);
  if (!v.is_string()) type_error(str(what, " expected a string, got '", type_name(v), "'"));
  return v.text();
}

bool flag(const Args& a, size_t index, std::string_view name, bool fallback) {
  const V* v = a.find(index, name);
  return v ? truthy(*v) : fallback;
}

// ---- letters

void append_upper(std::u32string& out, char32_t c, bool title = false) {
  static const std::map<char32_t, std::u32string> longer = {{U'\u00DF', U"SS"},  {U'\u0149', U"\u02BCN"},     {U'\u01F0', U"J\u030C"},
                                                            {U'\uFB00', U"FF"},  {U'\uFB01', U"FI"},          {U'\uFB02', U"FL"},
                                                            {U'\uFB03', U"FFI"}, {U'\uFB04', U"FFL"},         {U'\uFB05', U"ST"},
                                                            {U'\uFB06', U"ST"},  {U'\u0587', U"\u0535\u0552"}};
  if (const auto it = longer.find(c); it != longer.end()) {
    out += it->second[0];
    for (size_t i = 1; i < it->second.size(); ++i)
      out += title ? char32_t(utf8proc_tolower(utf8proc_int32_t(it->second[i]))) : it->second[i];
    return;
  }
  out += char32_t(title ? utf8proc_totitle(utf8proc_int32_t(c)) : utf8proc_toupper(utf8proc_int32_t(c)));
}

bool cased(char32_t c) {
  const auto category = utf8proc_category(utf8proc_int32_t(c));
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL || category == UTF8PROC_CATEGORY_LT;
}

// Sigma at a word's end is written otherwise; dotted capital I becomes two.
void append_lower(std::u32string& out, const std::u32string& s, size_t i) {
  const char32_t c = s[i];
  if (c == U'\u03A3') {
    const bool end = i > 0 && cased(s[i - 1]) && !(i + 1 < s.size() && cased(s[i + 1]));
    out += end ? U'\u03C2' : U'\u03C3';
  } else if (c == U'\u0130') {
    out += U"i\u0307";
  } else {
    out += char32_t(utf8proc_tolower(utf8proc_int32_t(c)));
  }
}

std::u32string upper(const std::u32string& s) {
  std::u32string out;
  for (const char32_t c : s) append_upper(out, c);
  return out;
}

std::u32string lower(const std::u32string& s) {
  std::u32string out;
  for (size_t i = 0; i < s.size(); ++i) append_lower(out, s, i);
  return out;
}

std::string lower_text(const std::string& s) {
  return encode_utf8(lower(decode_utf8(s)));
}

std::u32string capitalize(const std::u32string& s) {
  std::u32string out;
  for (size_t i = 0; i < s.size(); ++i) i == 0 ? append_upper(out, s[i], true) : append_lower(out, s, i);
  return out;
}

std::u32string python_title(const std::u32string& s) {
  std::u32string out;
  bool inside = false;
  for (size_t i = 0; i < s.size(); ++i) {
    inside ? append_lower(out, s, i) : append_upper(out, s[i], true);
    inside = cased(s[i]);
  }
  return out;
}

// the filter `title`: a word begins after blanks, '-', '(', '{', '[' and '<'
std::u32string jinja_title(const std::u32string& s) {
  std::u32string out;
  for (size_t i = 0; i < s.size();) {
    const auto splits = [&](size_t k) { return is_space(s[k]) || std::u32string_view(U"-({[<").find(s[k]) != std::u32string_view::npos; };
    if (splits(i)) {
      out += s[i++];
      continue;
    }
    append_upper(out, s[i++]);
    const size_t start = i;
    while (i < s.size() && !splits(i)) ++i;
    out += lower(s.substr(start, i - start));
  }
  return out;
}

// ---- strings

std::u32string_view strip(std::u32string_view s, const V* chars, bool left, bool right) {
  std::u32string set;
  const bool given = chars && !chars->is(Kind::kNone);
  if (given) set = decode_utf8(text_argument(*chars, "strip"));
  const auto drop = [&](char32_t c) { return given ? set.find(c) != set.npos : is_space(c); };
  while (left && !s.empty() && drop(s.front())) s.remove_prefix(1);
  while (right && !s.empty() && drop(s.back())) s.remove_suffix(1);
  return s;
}

template <bool kLeft, bool kRight>
V strip_method(In& in, const V& self, Args& a) {
  a.check(1, {"chars"}, "strip");
  return string_of(in, encode_utf8(strip(decode_utf8(self.text()), a.find(0, "chars"), kLeft, kRight)));
}

std::string replaced(In& in, const std::string& s, const std::string& from, const std::string& to, int64_t count) {
  std::string out;
  const auto room = [&] {
    if (int64_t(out.size()) > in.limits().output_bytes) fail("text longer than ", in.limits().output_bytes, " bytes");
  };
  if (from.empty()) {  // between all characters
    int64_t n = 0;
    for (size_t i = 0; i <= s.size(); ++i) {
      const bool boundary = i == s.size() || (static_cast<unsigned char>(s[i]) & 0xC0) != 0x80;
      if (boundary && (count < 0 || n < count)) out += to, ++n, room();
      if (i < s.size()) out += s[i];
    }
    return out;
  }
  size_t at = 0;
  for (int64_t n = 0; count < 0 || n < count; ++n) {
    const size_t next = s.find(from, at);
    if (next == std::string::npos) break;
    out.append(s, at, next - at).append(to);
    at = next + from.size();
    room();
  }
  return out.append(s, at);
}

std::vector<std::string> split_space(const std::string& s, int64_t most, bool from_right) {
  std::vector<std::string> out;
  std::u32string chars = decode_utf8(s);
  if (from_right) std::reverse(chars.begin(), chars.end());
  size_t i = 0;
  while (true) {
    while (i < chars.size() && is_space(chars[i])) ++i;
    if (i == chars.size()) break;
    size_t end = i;
    if (most >= 0 && int64_t(out.size()) == most) {
      end = chars.size();
      while (end > i && is_space(chars[end - 1])) --end;
    } else {
      while (end < chars.size() && !is_space(chars[end])) ++end;
    }
    std::u32string piece = chars.substr(i, end - i);
    if (from_right) std::reverse(piece.begin(), piece.end());
    out.push_back(encode_utf8(piece));
    if (most >= 0 && int64_t(out.size()) > most) break;
    i = end;
  }
  if (from_right) std::reverse(out.begin(), out.end());
  return out;
}

template <bool kRight>
V split_method(In& in, const V& self, Args& a) {
  a.check(2, {"sep", "maxsplit"}, "split");
  const V *separator = a.find(0, "sep"), *limit = a.find(1, "maxsplit");
  const int64_t most = limit ? int_of(*limit, "maxsplit") : -1;
  const std::string& s = self.text();
  in.charge(int64_t(s.size() / 8));
  std::vector<std::string> pieces;
  if (!separator || separator->is(Kind::kNone)) {
    pieces = split_space(s, most, kRight);
  } else {
    const std::string sep = text_argument(*separator, "split");
    if (sep.empty()) fail("empty separator");
    if (!kRight) {
      size_t at = 0;
      for (size_t next; (most < 0 || int64_t(pieces.size()) < most) && (next = s.find(sep, at)) != std::string::npos;
           at = next + sep.size()) {
        pieces.push_back(s.substr(at, next - at));
      }
      pieces.push_back(s.substr(at));
    } else {
      size_t end = s.size();
      while ((most < 0 || int64_t(pieces.size()) < most) && end >= sep.size()) {
        const size_t next = s.rfind(sep, end - sep.size());
        if (next == std::string::npos) break;
        pieces.push_back(s.substr(next + sep.size(), end - next - sep.size()));
        end = next;
      }
      pieces.push_back(s.substr(0, end));
      std::reverse(pieces.begin(), pieces.end());
    }
  }
  std::vector<V> out;
  for (std::string& piece : pieces) out.push_back(string_of(in, std::move(piece)));
  return list_of(std::move(out));
}

std::vector<std::string> lines_of(const std::string& s, bool keep_ends = false) {
  std::vector<std::string> out;
  const auto chars = decode_utf8(s);
  size_t start = 0;
  for (size_t i = 0; i < chars.size(); ++i) {
    const char32_t c = chars[i];
    const bool breaks = (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029;
    if (!breaks) continue;
    size_t end = i;
    if (c == U'\r' && i + 1 < chars.size() && chars[i + 1] == U'\n') ++i;
    out.push_back(encode_utf8(std::u32string_view(chars).substr(start, (keep_ends ? i + 1 : end) - start)));
    start = i + 1;
  }
  if (start < chars.size()) out.push_back(encode_utf8(std::u32string_view(chars).substr(start)));
  return out;
}

template <bool kEnd>
V affix_method(In&, const V& self, Args& a) {
  const V& what = a.need(0, "prefix", kEnd ? "endswith" : "startswith");
  if (a.positional.size() > 1) fail("startswith and endswith take one argument here");
  const auto matches = [&](const V& v) {
    const std::string t = text_argument(v, kEnd ? "endswith" : "startswith");
    return kEnd ? self.text().ends_with(t) : self.text().starts_with(t);
  };
  if (what.is(Kind::kTuple)) return V::boolean(std::any_of(what.items().begin(), what.items().end(), matches));
  return V::boolean(matches(what));
}

// find and its kin; positions in characters
template <bool kRight, bool kRaise>
V find_text(In& in, const V& self, Args& a) {
  const std::u32string s = decode_utf8(self.text()), t = decode_utf8(text_argument(a.need(0, "sub", "find"), "find"));
  in.charge(int64_t(s.size() / 32));
  const int64_t n = int64_t(s.size());
  const auto bound = [&](size_t i, int64_t fallback) {
    const V* v = a.find(i, "");
    if (!v || v->is(Kind::kNone)) return fallback;
    const int64_t x = int_of(*v, "find");
    return x < 0 ? std::max<int64_t>(0, x + n) : std::min(x, n + 1);
  };
  const int64_t from = bound(1, 0), to = std::min(bound(2, n), n);
  int64_t at = -1;
  if (from <= to) {
    const std::u32string_view part = std::u32string_view(s).substr(0, size_t(to));
    const size_t found = kRight ? part.rfind(t) : part.find(t, size_t(from));
    if (found != part.npos && int64_t(found) >= from) at = int64_t(found);
  }
  if (at < 0 && kRaise) fail("substring not found");
  return V::integer(at);
}

V count_text(In&, const V& self, Args& a) {
  const std::string t = text_argument(a.need(0, "sub", "count"), "count");
  if (t.empty()) return V::integer(int64_t(code_points(self.text())) + 1);
  int64_t n = 0;
  for (size_t at = 0; (at = self.text().find(t, at)) != std::string::npos; at += t.size()) ++n;
  return V::integer(n);
}

template <bool kRight>
V partition_method(In& in, const V& self, Args& a) {
  const std::string sep = text_argument(a.need(0, "sep", "partition"), "partition");
  if (sep.empty()) fail("empty separator");
  const std::string& s = self.text();
  const size_t at = kRight ? s.rfind(sep) : s.find(sep);
  std::vector<V> parts;
  if (at == std::string::npos) {
    parts = {V::string(""), V::string(""), V::string("")};
    parts[kRight ? 2 : 0] = self;
  } else {
    parts = {string_of(in, s.substr(0, at)), string_of(in, sep), string_of(in, s.substr(at + sep.size()))};
  }
  return make_list(std::move(parts), Kind::kTuple);
}

std::string padded(In& in, const std::string& s, int64_t width, const std::string& fill, char align) {
  const int64_t missing = width - int64_t(code_points(s));
  if (missing <= 0) return s;
  if (missing * int64_t(fill.size()) > in.limits().output_bytes) fail("text longer than ", in.limits().output_bytes, " bytes");
  // Python's str.center puts the odd blank left when the width is odd
  const int64_t left = align == '<' ? 0 : align == '>' ? missing : align == '^' ? missing / 2 : missing / 2 + (missing & width & 1);
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += s;
  for (int64_t i = left; i < missing; ++i) out += fill;
  return out;
}

template <char kAlign>
V pad_method(In& in, const V& self, Args& a) {
  const V* fill = a.find(1, "fillchar");
  const std::string with = fill ? text_argument(*fill, "fillchar") : " ";
  if (code_points(with) != 1) type_error("The fill character must be exactly one character long");
  return string_of(in, padded(in, self.text(), int_of(a.need(0, "width", "pad"), "width"), with, kAlign));
}

template <class Test>
V every(const V& self, Test test) {
  const auto s = decode_utf8(self.text());
  return V::boolean(!s.empty() && std::all_of(s.begin(), s.end(), test));
}

int category(char32_t c) {
  return utf8proc_category(utf8proc_int32_t(c));
}
bool letter(char32_t c) {
  return category(c) >= UTF8PROC_CATEGORY_LU && category(c) <= UTF8PROC_CATEGORY_LO;
}

template <bool kUpper>
bool has_case(const std::string& text) {
  bool any = false;
  for (const char32_t c : decode_utf8(text)) {
    const int g = category(c);
    if (g == (kUpper ? UTF8PROC_CATEGORY_LL : UTF8PROC_CATEGORY_LU) || g == UTF8PROC_CATEGORY_LT) return false;
    any |= g == (kUpper ? UTF8PROC_CATEGORY_LU : UTF8PROC_CATEGORY_LL);
  }
  return any;
}

std::string with_commas(std::string digits, char separator) {
  for (int64_t i = int64_t(digits.find('.') == std::string::npos ? digits.size() : digits.find('.')) - 3; i > 0; i -= 3)
    digits.insert(size_t(i), 1, separator);
  return digits;
}

std::string printf_float(double d, int precision, char type) {
  if (precision > 400) fail("precision too large");
  char format[16];
  std::snprintf(format, sizeof format, "%%.%d%c", precision, type);
  char buffer[1024];
  std::snprintf(buffer, sizeof buffer, format, d);
  return buffer;
}

// The format mini-language: [[fill]align][sign][#][0][width][,_][.precision][type]
std::string formatted(In& in, const V& v, const std::string& spec) {
  const auto s = decode_utf8(spec);
  size_t i = 0;
  std::u32string fill = U" ";
  char align = 0, sign = '-', separator = 0, type = 0;
  int64_t width = 0, precision = -1;
  const auto is_align = [](char32_t c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  if (s.size() > 1 && is_align(s[1]))
    fill = s.substr(0, 1), align = char(s[1]), i = 2;
  else if (!s.empty() && is_align(s[0]))
    align = char(s[0]), i = 1;
  if (i < s.size() && (s[i] == '+' || s[i] == '-' || s[i] == ' ')) sign = char(s[i++]);
  const bool alternate = i < s.size() && s[i] == '#' && ++i;
  if (i < s.size() && s[i] == '0') {
    if (!align) fill = U"0", align = '=';
    ++i;
  }
  const auto number = [&] {
    int64_t n = 0;
    for (; i < s.size() && s[i] >= '0' && s[i] <= '9'; ++i) n = std::min<int64_t>(n * 10 + int64_t(s[i] - '0'), 1'000'000'000);
    return n;
  };
  width = number();
  if (i < s.size() && (s[i] == ',' || s[i] == '_')) separator = char(s[i++]);
  if (i < s.size() && s[i] == '.') ++i, precision = number();
  if (i < s.size()) type = char(s[i++]);
  if (i != s.size()) fail("invalid format specifier '", spec, "'");
  std::string body, prefix;
  if (v.is_number() && !(v.is(Kind::kBool) && type == 0)) {
    const bool real = v.is(Kind::kFloat) || (type && std::string_view("eEfFgG%").find(type) != std::string_view::npos);
    if (real) {
      double d = v.as_double();
      if (std::signbit(d))
        prefix = "-", d = -d;
      else if (sign != '-')
        prefix = std::string(1, sign);
      if (type == 0)
        body = precision < 0 ? float_repr(d) : printf_float(d, int(std::max<int64_t>(precision, 1)), 'g');
      else if (type == '%')
        body = printf_float(d * 100, precision < 0 ? 6 : int(std::min<int64_t>(precision, 500)), 'f') + "%";
      else if (std::string_view("eEfFgG").find(type) != std::string_view::npos)
        body = printf_float(d, precision < 0 ? 6 : int(std::min<int64_t>(precision, 500)), type);
      else
        fail("unknown format code '", type, "' for object of type 'float'");
    } else {
      const int64_t n = v.as_int();
      uint64_t u = n < 0 ? 0 - uint64_t(n) : uint64_t(n);
      if (n < 0)
        prefix = "-";
      else if (sign != '-')
        prefix = std::string(1, sign);
      const unsigned radix = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
      if (type && type != 'd' && type != 'n' && radix == 10) fail("unknown format code '", type, "' for object of type 'int'");
      const char* const digits = type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
      for (uint64_t rest = u; rest != 0 || body.empty(); rest = rest / radix) {
        const uint64_t digit = rest % radix;  // by itself: g++ 12 with UBSan miscompiles (c ? ".." : "..")[u % radix]
        body.insert(body.begin(), digits[digit]);
      }
      if (alternate && radix != 10) prefix += std::string("0") + type;
    }
    if (separator) body = with_commas(body, separator);
    if (!align) align = '>';
  } else {
    if (type && type != 's') fail("unknown format code '", type, "' for object of type '", type_name(v), "'");
    if (v.is(Kind::kNone) && !spec.empty()) type_error("unsupported format string passed to NoneType.__format__");
    body = to_text(v);
    if (precision >= 0) body = encode_utf8(decode_utf8(body).substr(0, size_t(precision)));
    if (!align) align = '<';
    if (align == '=') align = '<';
  }
  const std::string with = encode_utf8(fill);
  if (align == '=') return prefix + padded(in, body, width - int64_t(prefix.size()), with, '>');
  return padded(in, prefix + body, width, with, align == '^' ? '^' : align);
}

// str.format: {}, {0}, {name}, {a.b}, {a[0]}, !s !r, :spec
V format_method(In& in, const V& self, Args& a) {
  const std::string& s = self.text();
  std::string out;
  size_t automatic = 0;
  bool manual = false;
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '{' && s[i] != '}') {
      out += s[i];
      continue;
    }
    if (i + 1 < s.size() && s[i + 1] == s[i]) {
      out += s[i++];
      continue;
    }
    if (s[i] == '}') fail("Single '}' encountered in format string");
    const size_t close = s.find('}', i);
    if (close == std::string::npos) fail("Single '{' encountered in format string");
    std::string field = s.substr(i + 1, close - i - 1), spec;
    if (field.find('{') != std::string::npos) fail("nested fields of str.format are not supported");
    if (const size_t colon = field.find(':'); colon != std::string::npos) spec = field.substr(colon + 1), field.resize(colon);
    char conversion = 0;
    if (const size_t mark = field.find('!'); mark != std::string::npos)
      conversion = mark + 1 < field.size() ? field[mark + 1] : 0, field.resize(mark);
    const size_t head = std::min(field.find_first_of(".["), field.size());
    const std::string name = field.substr(0, head);
    V v;
    if (name.empty() || std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      if (name.empty() ? manual : automatic > 0) fail("cannot mix automatic field numbering and manual field specification");
      manual |= !name.empty();
      const size_t index = name.empty() ? automatic++ : size_t(std::strtoull(name.c_str(), nullptr, 10));
      if (index >= a.positional.size()) fail("Replacement index ", index, " out of range for positional args tuple");
      v = a.positional[index];
    } else {
      const V* found = a.find(SIZE_MAX, name);
      if (!found) fail("str.format: no argument '", name, "'");
      v = *found;
    }
    for (size_t p = head; p < field.size();) {
      const bool bracket = field[p] == '[';
      const size_t end = bracket ? field.find(']', p) : std::min(field.find_first_of(".[", p + 1), field.size());
      if (end == std::string::npos) fail("Missing ']' in format string");
      const std::string key = field.substr(p + 1, end - p - 1);
      const bool number = !key.empty() && std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
      v = !bracket ? in.attribute(v, key) : in.item(v, number ? V::integer(std::strtoll(key.c_str(), nullptr, 10)) : V::string(key));
      p = end + (bracket ? 1 : 0);
    }
    if (conversion == 'r')
      v = V::string(repr(v));
    else if (conversion == 's')
      v = V::string(to_text(v));
    else if (conversion)
      fail("unknown conversion '", conversion, "'");
    out += formatted(in, v, spec);
    if (int64_t(out.size()) > in.limits().output_bytes) fail("text longer than ", in.limits().output_bytes, " bytes");
    i = close;
  }
  return in.text(std::move(out));
}

V join_values(In& in, const std::string& separator, const std::vector<V>& items, bool strict) {
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (strict && !items[i].is_string()) type_error(str("sequence item ", i, ": expected str instance, ", type_name(items[i]), " found"));
    if (i) out += separator;
    out += to_text(items[i]);
    if (int64_t(out.size()) > in.limits().output_bytes) fail("text longer than ", in.limits().output_bytes, " bytes");
  }
  return in.text(std::move(out));
}

const std::map<std::string_view, Builtin>& string_methods() {
  static const std::map<std::string_view, Builtin> methods = {
      {"strip", strip_method<true, true>},
      {"lstrip", strip_method<true, false>},
      {"rstrip", strip_method<false, true>},
      {"split", split_method<false>},
      {"rsplit", split_method<true>},
      {"startswith", affix_method<false>},
      {"endswith", affix_method<true>},
      {"find", find_text<false, false>},
      {"rfind", find_text<true, false>},
      {"index", find_text<false, true>},
      {"rindex", find_text<true, true>},
      {"count", count_text},
      {"partition", partition_method<false>},
      {"rpartition", partition_method<true>},
      {"center", pad_method<'c'>},
      {"ljust", pad_method<'<'>},
      {"rjust", pad_method<'>'>},
      {"format", format_method},
      {"upper", [](In& in, const V& s, Args&) { return string_of(in, encode_utf8(upper(decode_utf8(s.text())))); }},
      {"lower", [](In& in, const V& s, Args&) { return string_of(in, lower_text(s.text())); }},
      {"casefold", [](In& in, const V& s, Args&) { return string_of(in, replaced(in, lower_text(s.text()), "\xC3\x9F", "ss", -1)); }},
      {"title", [](In& in, const V& s, Args&) { return string_of(in, encode_utf8(python_title(decode_utf8(s.text())))); }},
      {"capitalize", [](In& in, const V& s, Args&) { return string_of(in, encode_utf8(capitalize(decode_utf8(s.text())))); }},
      {"swapcase",
       [](In& in, const V& s, Args&) {
         std::u32string out;
         const auto chars = decode_utf8(s.text());
         for (size_t i = 0; i < chars.size(); ++i)
           category(chars[i]) == UTF8PROC_CATEGORY_LU ? append_lower(out, chars, i) : append_upper(out, chars[i]);
         return string_of(in, encode_utf8(out));
       }},
      {"replace",
       [](In& in, const V& s, Args& a) {
         const V* count = a.find(2, "count");
         return string_of(in, replaced(in, s.text(), text_argument(a.need(0, "old", "replace"), "replace"),
                                       text_argument(a.need(1, "new", "replace"), "replace"), count ? int_of(*count, "count") : -1));
       }},
      {"join", [](In& in, const V& s, Args& a) { return join_values(in, s.text(), in.iterate(a.need(0, "iterable", "join")), true); }},
      {"splitlines",
       [](In& in, const V& s, Args& a) {
         std::vector<V> out;
         for (std::string& line : lines_of(s.text(), flag(a, 0, "keepends", false))) out.push_back(string_of(in, std::move(line)));
         return list_of(std::move(out));
       }},
      {"zfill",
       [](In& in, const V& s, Args& a) {
         const std::string& t = s.text();
         const size_t sign = !t.empty() && (t[0] == '-' || t[0] == '+');
         const int64_t width = int_of(a.need(0, "width", "zfill"), "width");
         return string_of(in, t.substr(0, sign) + padded(in, t.substr(sign), width - int64_t(sign), "0", '>'));
       }},
      {"removeprefix",
       [](In& in, const V& s, Args& a) {
         const std::string p = text_argument(a.need(0, "prefix", "removeprefix"), "removeprefix");
         return s.text().starts_with(p) ? string_of(in, s.text().substr(p.size())) : s;
       }},
      {"removesuffix",
       [](In& in, const V& s, Args& a) {
         const std::string p = text_argument(a.need(0, "suffix", "removesuffix"), "removesuffix");
         return s.text().ends_with(p) ? string_of(in, s.text().substr(0, s.text().size() - p.size())) : s;
       }},
      {"isspace", [](In&, const V& s, Args&) { return every(s, is_space); }},
      {"isalpha", [](In&, const V& s, Args&) { return every(s, letter); }},
      {"isdigit",
       [](In&, const V& s, Args&) {
         return every(s, [](char32_t c) { return category(c) == UTF8PROC_CATEGORY_ND || (c >= 0xB2 && c <= 0xB3) || c == 0xB9; });
       }},
      {"isdecimal", [](In&, const V& s, Args&) { return every(s, [](char32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }); }},
      {"isnumeric",
       [](In&, const V& s, Args&) {
         return every(s, [](char32_t c) { return category(c) >= UTF8PROC_CATEGORY_ND && category(c) <= UTF8PROC_CATEGORY_NO; });
       }},
      {"isalnum",
       [](In&, const V& s, Args&) {
         return every(s,
                      [](char32_t c) { return letter(c) || (category(c) >= UTF8PROC_CATEGORY_ND && category(c) <= UTF8PROC_CATEGORY_NO); });
       }},
      {"isupper", [](In&, const V& s, Args&) { return V::boolean(has_case<true>(s.text())); }},
      {"islower", [](In&, const V& s, Args&) { return V::boolean(has_case<false>(s.text())); }},
      {"isascii", [](In&, const V& s,
                     Args&) { return V::boolean(std::all_of(s.text().begin(), s.text().end(), [](char c) { return (c & 0x80) == 0; })); }},
  };
  return methods;
}

// ---- dicts and lists

V dict_items(In& in, const V& self, Args&) {
  std::vector<V> out;
  in.charge(int64_t(dict_of(self).entries.size()) / 4);
  for (const auto& [k, v] : dict_of(self).entries) out.push_back(make_list({k, v}, Kind::kTuple));
  return make_list(std::move(out), Kind::kList, "dict_items");
}

const std::map<std::string_view, Builtin>& dict_methods() {
  static const std::map<std::string_view, Builtin> methods = {
      {"get",
       [](In& in, const V& self, Args& a) {
         in.charge(int64_t(dict_of(self).entries.size()) / 16);
         const V* v = dict_of(self).find(a.need(0, "key", "get"));
         const V* fallback = a.find(1, "default");
         return v ? *v : fallback ? *fallback : V::none();
       }},
      {"items", dict_items},
      {"keys", [](In& in, const V& self, Args&) { return make_list(in.iterate(self), Kind::kList, "dict_keys"); }},
      {"values",
       [](In& in, const V& self, Args&) {
         std::vector<V> out;
         in.charge(int64_t(dict_of(self).entries.size()) / 8);
         for (const auto& [k, v] : dict_of(self).entries) out.push_back(v);
         return make_list(std::move(out), Kind::kList, "dict_values");
       }},
      {"copy", [](In&, const V& self, Args&) { return self; }},
  };
  return methods;
}

const std::map<std::string_view, Builtin>& list_methods() {
  static const std::map<std::string_view, Builtin> methods = {
      {"index",
       [](In& in, const V& self, Args& a) {
         const V& what = a.need(0, "value", "index");
         in.charge(int64_t(self.items().size()) / 8);
         for (size_t i = 0; i < self.items().size(); ++i) {
           if (equal(self.items()[i], what)) return V::integer(int64_t(i));
         }
         fail(repr(what), " is not in list");
       }},
      {"count",
       [](In& in, const V& self, Args& a) {
         in.charge(int64_t(self.items().size()) / 8);
         const V& what = a.need(0, "value", "count");
         return V::integer(std::count_if(self.items().begin(), self.items().end(), [&](const V& v) { return equal(v, what); }));
       }},
      {"copy", [](In&, const V& self, Args&) { return self; }},
  };
  return methods;
}

// ---- filters

// "a.b.0": attribute by attribute, numbers as indices
V by_path(In& in, V v, const V& path) {
  if (path.is_integral()) return in.item(v, path);
  const std::string s = text_argument(path, "attribute");
  for (size_t at = 0; at <= s.size();) {
    const size_t dot = std::min(s.find('.', at), s.size());
    const std::string part = s.substr(at, dot - at);
    const bool number = !part.empty() && std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
    v = in.item(v, number ? V::integer(std::strtoll(part.c_str(), nullptr, 10)) : V::string(part));
    at = dot + 1;
  }
  return v;
}

V folded(const V& v, bool case_sensitive) {
  return !case_sensitive && v.is_string() ? V::string(lower_text(v.text())) : v;
}

// Rest of the arguments, for the filter or test that map and select apply.
Args rest(const Args& a, size_t from) {
  Args out;
  for (size_t i = from; i < a.positional.size(); ++i) out.positional.push_back(a.positional[i]);
  out.keywords = a.keywords;
  return out;
}

V map_filter(In& in, const V& subject, Args& a) {
  std::vector<V> out;
  const V* path = a.find(SIZE_MAX, "attribute");
  const bool by_attribute = a.positional.empty() && path;
  if (!by_attribute && a.positional.empty()) fail("map requires a filter argument");
  const V* fallback = by_attribute ? a.find(SIZE_MAX, "default") : nullptr;
  const std::string name = by_attribute ? "" : text_argument(a.positional[0], "map");
  for (const V& v : in.iterate(subject)) {
    in.charge();
    if (by_attribute) {
      V got = by_path(in, v, *path);
      out.push_back(got.is(Kind::kUndefined) && fallback ? *fallback : got);
    } else {
      Args more = rest(a, 1);
      out.push_back(in.filter(name, v, more));
    }
  }
  return list_of(std::move(out));
}

template <bool kAttribute, bool kKeep>
V select_filter(In& in, const V& subject, Args& a) {
  std::vector<V> out;
  if (kAttribute && a.positional.empty()) fail("missing parameter for attribute name");
  const size_t first = kAttribute ? 1 : 0;
  for (const V& v : in.iterate(subject)) {
    in.charge();
    const V what = kAttribute ? by_path(in, v, a.positional[0]) : v;
    bool yes = false;
    if (a.positional.size() <= first) {
      yes = truthy(what);
    } else {
      Args more = rest(a, first + 1);
      yes = in.test(text_argument(a.positional[first], "select"), what, more);
    }
    if (yes == kKeep) out.push_back(v);
  }
  return list_of(std::move(out));
}

V sort_filter(In& in, const V& subject, Args& a) {
  const bool reverse = flag(a, 0, "reverse", false), sensitive = flag(a, 1, "case_sensitive", false);
  const V* path = a.find(2, "attribute");
  struct Item {
    std::vector<V> keys;
    V value;
  };
  std::vector<Item> items;
  for (const V& v : in.iterate(subject)) {
    Item item{{}, v};
    if (!path || path->is(Kind::kNone)) {
      item.keys.push_back(folded(v, sensitive));
    } else if (path->is_string()) {
      const std::string all = path->text();
      for (size_t at = 0; at <= all.size();) {
        const size_t comma = std::min(all.find(',', at), all.size());
        item.keys.push_back(folded(by_path(in, v, V::string(all.substr(at, comma - at))), sensitive));
        at = comma + 1;
      }
    } else {
      item.keys.push_back(folded(by_path(in, v, *path), sensitive));
    }
    items.push_back(std::move(item));
  }
  const auto before = [&](const Item& x, const Item& y) {
    in.charge();
    for (size_t i = 0; i < x.keys.size(); ++i) {
      if (!equal(x.keys[i], y.keys[i])) return less(x.keys[i], y.keys[i]);
    }
    return false;
  };
  std::stable_sort(items.begin(), items.end(), [&](const Item& x, const Item& y) { return reverse ? before(y, x) : before(x, y); });
  std::vector<V> out;
  for (Item& item : items) out.push_back(std::move(item.value));
  return list_of(std::move(out));
}

void require_hashable(const V& v) {
  if (v.is(Kind::kList) || v.is(Kind::kDict)) type_error(str("unhashable type: '", type_name(v), "'"));
}

V unique_filter(In& in, const V& subject, Args& a) {
  const bool sensitive = flag(a, 0, "case_sensitive", false);
  const V* path = a.find(1, "attribute");
  std::vector<V> out, seen;
  for (const V& v : in.iterate(subject)) {
    const V key = folded(path && !path->is(Kind::kNone) ? by_path(in, v, *path) : v, sensitive);
    require_hashable(key);
    in.charge(1 + int64_t(seen.size()) / 8);
    if (std::none_of(seen.begin(), seen.end(), [&](const V& s) { return equal(s, key); })) seen.push_back(key), out.push_back(v);
  }
  return list_of(std::move(out));
}

V dictsort_filter(In& in, const V& subject, Args& a) {
  if (!subject.is(Kind::kDict)) type_error(str("dictsort expected a mapping, got '", type_name(subject), "'"));
  const bool sensitive = flag(a, 0, "case_sensitive", false), reverse = flag(a, 2, "reverse", false);
  const V* by = a.find(1, "by");
  const std::string which = by ? text_argument(*by, "by") : "key";
  if (which != "key" && which != "value") fail("you can only sort by either \"key\" or \"value\"");
  std::vector<std::pair<V, V>> entries = dict_of(subject).entries;
  in.charge(int64_t(entries.size()) * 4);
  const auto key = [&](const std::pair<V, V>& e) { return folded(which == "key" ? e.first : e.second, sensitive); };
  std::stable_sort(entries.begin(), entries.end(),
                   [&](const auto& x, const auto& y) { return reverse ? less(key(y), key(x)) : less(key(x), key(y)); });
  std::vector<V> out;
  for (auto& [k, v] : entries) out.push_back(make_list({k, v}, Kind::kTuple));
  return list_of(std::move(out));
}

V tojson_filter(In& in, const V& subject, Args& a) {
  a.check(4, {"ensure_ascii", "indent", "separators", "sort_keys"}, "tojson");
  JsonStyle style;
  style.ensure_ascii = flag(a, 0, "ensure_ascii", false);
  style.sort_keys = flag(a, 3, "sort_keys", false);
  if (const V* indent = a.find(1, "indent"); indent && !indent->is(Kind::kNone)) {
    style.indent = int(std::clamp<int64_t>(int_of(*indent, "indent"), 0, 100));
    style.item_separator = ",";
  }
  if (const V* separators = a.find(2, "separators"); separators && !separators->is(Kind::kNone)) {
    const auto pair = in.iterate(*separators);
    if (pair.size() != 2) fail("separators expected two strings");
    style.item_separator = text_argument(pair[0], "separators");
    style.key_separator = text_argument(pair[1], "separators");
  }
  return in.text(to_json_text(subject, style));
}

V indent_filter(In& in, const V& subject, Args& a) {
  text_argument(subject, "indent");
  const V* width = a.find(0, "width");
  const bool first = flag(a, 1, "first", false), blank = flag(a, 2, "blank", false);
  const std::string with =
      width && width->is_string()
          ? width->text()
          : std::string(size_t(std::clamp<int64_t>(width ? int_of(*width, "width") : 4, 0, in.limits().output_bytes)), ' ');
  const auto lines = lines_of(to_text(subject) + "\n");
  std::string out = first ? with : "";
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i) out += "\n" + (blank || !lines[i].empty() ? with : std::string());
    out += lines[i];
    if (int64_t(out.size()) > in.limits().output_bytes) fail("text longer than ", in.limits().output_bytes, " bytes");
  }
  return in.text(std::move(out));
}

bool parse_float(const std::string& text, double& out) {
  std::string s = encode_utf8(strip(decode_utf8(text), nullptr, true, true));
  for (size_t i = 1; i + 1 < s.size(); ++i) {
    if (s[i] == '_' && std::isdigit(static_cast<unsigned char>(s[i - 1])) && std::isdigit(static_cast<unsigned char>(s[i + 1])))
      s.erase(i, 1);
  }
  if (s.empty() || s.find_first_of("xXpP(") != std::string::npos) return false;
  char* end = nullptr;
  out = std::strtod(s.c_str(), &end);
  return *end == 0;
}

bool parse_int(const std::string& text, int64_t base, int64_t& out) {
  std::string s = encode_utf8(strip(decode_utf8(text), nullptr, true, true));
  for (size_t i = 1; i + 1 < s.size(); ++i) {
    if (s[i] == '_' && std::isalnum(static_cast<unsigned char>(s[i - 1])) && std::isalnum(static_cast<unsigned char>(s[i + 1])))
      s.erase(i, 1);
  }
  size_t i = !s.empty() && (s[0] == '-' || s[0] == '+');
  const auto radix = [&](char c) { return s.size() > i + 2 && s[i] == '0' && (s[i + 1] | 32) == c; };
  const int64_t of_prefix = radix('x') ? 16 : radix('o') ? 8 : radix('b') ? 2 : 0;
  if (of_prefix && (base == of_prefix || base == 0)) s.erase(i, 2), base = of_prefix;
  if (base == 0) base = 10;
  if (base < 2 || base > 36 || s.size() == i || !std::isalnum(static_cast<unsigned char>(s[i]))) return false;
  char* end = nullptr;
  errno = 0;
  out = std::strtoll(s.c_str(), &end, int(base));
  if (errno == ERANGE) fail("integer too large");
  return *end == 0;
}

V int_filter(In&, const V& subject, Args& a) {
  const V* fallback = a.find(0, "default");
  const V* base = a.find(1, "base");
  const V otherwise = fallback ? *fallback : V::integer(0);
  const auto from_double = [&](double d) {
    if (!std::isfinite(d)) return otherwise;
    if (std::fabs(d) >= 9.2e18) fail("integer too large");
    return V::integer(int64_t(d));
  };
  if (subject.is_integral()) return V::integer(subject.as_int());
  if (subject.is(Kind::kFloat)) return from_double(subject.d);
  if (!subject.is_string()) {
    require_defined(subject);
    return otherwise;
  }
  int64_t i = 0;
  double d = 0;
  if (parse_int(subject.text(), base ? int_of(*base, "base") : 10, i)) return V::integer(i);
  return parse_float(subject.text(), d) ? from_double(d) : otherwise;
}

V float_filter(In&, const V& subject, Args& a) {
  const V* fallback = a.find(0, "default");
  if (subject.is_number()) return V::real(subject.as_double());
  double d = 0;
  if (subject.is_string() && parse_float(subject.text(), d)) return V::real(d);
  require_defined(subject);
  return fallback ? *fallback : V::real(0);
}

V round_filter(In&, const V& subject, Args& a) {
  require_defined(subject);
  const V *precision = a.find(0, "precision"), *method = a.find(1, "method");
  const int64_t places = precision ? int_of(*precision, "precision") : 0;
  const std::string how = method ? text_argument(*method, "method") : "common";
  if (how != "common" && how != "ceil" && how != "floor") fail("method must be common, ceil or floor");
  if (!subject.is_number()) type_error(str("type ", type_name(subject), " doesn't define __round__ method"));
  const double d = subject.as_double();
  if (how != "common") {
    const double scale = std::pow(10.0, double(places));
    return V::real((how == "ceil" ? std::ceil(d * scale) : std::floor(d * scale)) / scale);
  }
  if (subject.is_integral() && places >= 0) return V::integer(subject.as_int());
  if (places > 300 || !std::isfinite(d)) return V::real(d);
  if (places >= 0) return V::real(std::strtod(printf_float(d, int(places), 'f').c_str(), nullptr));
  const double scale = std::pow(10.0, double(std::min<int64_t>(-places, 300)));
  const double rounded = std::nearbyint(d / scale) * scale;
  return subject.is_integral() ? V::integer(int64_t(rounded)) : V::real(rounded);
}

V length_filter(In&, const V& v, Args&) {
  switch (v.kind) {
    case Kind::kUndefined:
      return V::integer(0);
    case Kind::kString:
      return V::integer(int64_t(code_points(v.text())));
    case Kind::kList:
    case Kind::kTuple:
      return V::integer(int64_t(v.items().size()));
    case Kind::kDict:
      return V::integer(int64_t(dict_of(v).entries.size()));
    default:
      type_error(str("object of type '", type_name(v), "' has no len()"));
  }
}

V sum_filter(In& in, const V& subject, Args& a) {
  const V *path = a.find(0, "attribute"), *start = a.find(1, "start");
  V total = start ? *start : V::integer(0);
  for (const V& v : in.iterate(subject)) {
    const V x = path && !path->is(Kind::kNone) ? by_path(in, v, *path) : v;
    require_defined(x);
    if (!x.is_number() || !total.is_number())
      type_error(str("unsupported operand type(s) for +: '", type_name(total), "' and '", type_name(x), "'"));
    int64_t n = 0;
    if (!x.is_integral() || !total.is_integral())
      total = V::real(total.as_double() + x.as_double());
    else if (__builtin_add_overflow(total.as_int(), x.as_int(), &n))
      fail("integer too large");
    else
      total = V::integer(n);
  }
  return total;
}

template <bool kMax>
V extreme_filter(In& in, const V& subject, Args& a) {
  const bool sensitive = flag(a, 0, "case_sensitive", false);
  const V* path = a.find(1, "attribute");
  const auto items = in.iterate(subject);
  if (items.empty()) return V::undefined("No aggregated item, sequence was empty.");
  const auto key = [&](const V& v) { return folded(path && !path->is(Kind::kNone) ? by_path(in, v, *path) : v, sensitive); };
  V best = items[0], best_key = key(best);
  for (const V& v : items) {
    const V k = key(v);
    if (kMax ? less(best_key, k) : less(k, best_key)) best = v, best_key = k;
  }
  return best;
}

V batch_filter(In& in, const V& subject, Args& a) {
  const int64_t n = int_of(a.need(0, "linecount", "batch"), "linecount");
  const V* fill = a.find(1, "fill_with");
  if (n < 1 || n > in.limits().range) fail("batch: linecount out of range");
  std::vector<V> out, row;
  for (const V& v : in.iterate(subject)) {
    if (int64_t(row.size()) == n) out.push_back(list_of(std::exchange(row, {})));
    row.push_back(v);
  }
  while (!row.empty() && fill && !fill->is(Kind::kNone) && int64_t(row.size()) < n) row.push_back(*fill);
  if (!row.empty()) out.push_back(list_of(std::move(row)));
  return list_of(std::move(out));
}

V groupby_filter(In& in, const V& subject, Args& a) {
  const V& path = a.need(0, "attribute", "groupby");
  const V* fallback = a.find(1, "default");
  const bool sensitive = flag(a, 2, "case_sensitive", false);
  std::vector<std::pair<V, V>> keyed;
  for (const V& v : in.iterate(subject)) {
    V key = by_path(in, v, path);
    if (key.is(Kind::kUndefined) && fallback) key = *fallback;
    keyed.emplace_back(key, v);
    in.charge(8);
  }
  std::stable_sort(keyed.begin(), keyed.end(),
                   [&](const auto& x, const auto& y) { return less(folded(x.first, sensitive), folded(y.first, sensitive)); });
  std::vector<V> out;
  for (size_t i = 0; i < keyed.size();) {
    std::vector<V> group;
    const V key = keyed[i].first;
    for (; i < keyed.size() && equal(folded(keyed[i].first, sensitive), folded(key, sensitive)); ++i) group.push_back(keyed[i].second);
    out.push_back(make_list({key, list_of(std::move(group))}, Kind::kTuple));
  }
  return list_of(std::move(out));
}

V truncate_filter(In& in, const V& subject, Args& a) {
  const V *length = a.find(0, "length"), *end = a.find(2, "end"), *leeway = a.find(3, "leeway");
  const bool kill = flag(a, 1, "killwords", false);
  const int64_t n = length ? int_of(*length, "length") : 255, slack = leeway && !leeway->is(Kind::kNone) ? int_of(*leeway, "leeway") : 5;
  const auto s = decode_utf8(to_text(subject)), tail = decode_utf8(end ? text_argument(*end, "end") : "...");
  if (n < int64_t(tail.size())) fail("truncate: expected length >= ", tail.size(), ", got ", n);
  if (int64_t(s.size()) <= n + slack) return in.text(encode_utf8(s));
  std::u32string kept = s.substr(0, size_t(n) - tail.size());
  if (!kill) {
    if (const size_t space = kept.rfind(U' '); space != kept.npos) kept.resize(space);
  }
  return in.text(encode_utf8(kept + tail));
}

V urlencode_filter(In& in, const V& subject, Args&) {
  const auto quoted = [](const std::string& s, bool query) {
    std::string out;
    char buffer[8];
    for (const unsigned char c : s) {
      if (std::isalnum(c) || std::string_view("_.-~").find(char(c)) != std::string_view::npos || (c == '/' && !query))
        out += char(c);
      else if (c == ' ' && query)
        out += '+';
      else
        std::snprintf(buffer, sizeof buffer, "%%%02X", c), out += buffer;
    }
    return out;
  };
  if (!subject.is(Kind::kDict) && !subject.is_sequence()) return in.text(quoted(to_text(subject), false));
  std::string out;
  Args none;
  for (const V& pair : subject.is(Kind::kDict) ? dict_items(in, subject, none).items() : in.iterate(subject)) {
    const auto kv = in.iterate(pair);
    if (kv.size() != 2) fail("urlencode expected pairs, got ", kv.size(), " values");
    out += (out.empty() ? "" : "&") + quoted(to_text(kv[0]), true) + "=" + quoted(to_text(kv[1]), true);
  }
  return in.text(out);
}

V escape_filter(In& in, const V& v, Args&) {
  return v.markup() ? v : in.text(html_escaped(to_text(v)), true);
}

V slice_of(const std::vector<V>& items) {
  return list_of(std::vector<V>(items.rbegin(), items.rend()));
}

const std::map<std::string_view, Builtin>& filters() {
  static const std::map<std::string_view, Builtin> table = {
      {"tojson", tojson_filter},
      {"map", map_filter},
      {"select", select_filter<false, true>},
      {"reject", select_filter<false, false>},
      {"selectattr", select_filter<true, true>},
      {"rejectattr", select_filter<true, false>},
      {"sort", sort_filter},
      {"unique", unique_filter},
      {"dictsort", dictsort_filter},
      {"indent", indent_filter},
      {"int", int_filter},
      {"float", float_filter},
      {"round", round_filter},
      {"length", length_filter},
      {"count", length_filter},
      {"sum", sum_filter},
      {"min", extreme_filter<false>},
      {"max", extreme_filter<true>},
      {"batch", batch_filter},
      {"groupby", groupby_filter},
      {"truncate", truncate_filter},
      {"urlencode", urlencode_filter},
      {"escape", escape_filter},
      {"e", escape_filter},
      {"forceescape", [](In& in, const V& v, Args&) { return in.text(html_escaped(to_text(v)), true); }},
      {"safe", [](In& in, const V& v, Args&) { return in.text(to_text(v), true); }},
      {"string", [](In& in, const V& v, Args&) { return v.is_string() ? v : in.text(to_text(v)); }},
      {"trim",
       [](In& in, const V& v, Args& a) {
         a.check(1, {"chars"}, "trim");
         return in.text(encode_utf8(strip(decode_utf8(to_text(v)), a.find(0, "chars"), true, true)));
       }},
      {"upper", [](In& in, const V& v, Args&) { return in.text(encode_utf8(upper(decode_utf8(to_text(v))))); }},
      {"lower", [](In& in, const V& v, Args&) { return in.text(lower_text(to_text(v))); }},
      {"capitalize", [](In& in, const V& v, Args&) { return in.text(encode_utf8(capitalize(decode_utf8(to_text(v))))); }},
      {"title", [](In& in, const V& v, Args&) { return in.text(encode_utf8(jinja_title(decode_utf8(to_text(v))))); }},
      {"replace",
       [](In& in, const V& v, Args& a) {
         const V* count = a.find(2, "count");
         return in.text(replaced(in, to_text(v), to_text(a.need(0, "old", "replace")), to_text(a.need(1, "new", "replace")),
                                 count && !count->is(Kind::kNone) ? int_of(*count, "count") : -1));
       }},
      {"center",
       [](In& in, const V& v, Args& a) {
         const V* width = a.find(0, "width");
         return in.text(padded(in, to_text(v), width ? int_of(*width, "width") : 80, " ", 'c'));
       }},
      {"wordcount",
       [](In&, const V& v, Args&) {
         int64_t n = 0;
         bool inside = false;
         for (const char32_t c : decode_utf8(to_text(v))) {
           const bool word = letter(c) || c == U'_' || (category(c) >= UTF8PROC_CATEGORY_ND && category(c) <= UTF8PROC_CATEGORY_NO);
           n += word && !inside;
           inside = word;
         }
         return V::integer(n);
       }},
      {"format",
       [](In& in, const V& v, Args& a) {
         if (!a.positional.empty() && !a.keywords.empty()) fail("can't handle positional and keyword arguments at the same time");
         if (a.keywords.empty()) return percent_format(in, to_text(v), make_list(a.positional, Kind::kTuple));
         std::vector<std::pair<V, V>> named;
         for (const auto& [k, x] : a.keywords) named.emplace_back(V::string(k), x);
         return percent_format(in, to_text(v), make_dict(std::move(named)));
       }},
      {"default",
       [](In&, const V& v, Args& a) {
         const V* fallback = a.find(0, "default_value");
         const bool use = v.is(Kind::kUndefined) || (flag(a, 1, "boolean", false) && !truthy(v));
         return !use ? v : fallback ? *fallback : V::string("");
       }},
      {"join",
       [](In& in, const V& v, Args& a) {
         const V *separator = a.find(0, "d"), *path = a.find(1, "attribute");
         auto items = in.iterate(v);
         if (path && !path->is(Kind::kNone)) {
           for (V& x : items) x = by_path(in, x, *path);
         }
         return join_values(in, separator ? to_text(*separator) : "", items, false);
       }},
      {"items",
       [](In& in, const V& v, Args& a) {
         if (v.is(Kind::kUndefined)) return list_of({});
         if (!v.is(Kind::kDict)) type_error("Can only get item pairs from a mapping.");
         return list_of(dict_items(in, v, a).items());
       }},
      {"list", [](In& in, const V& v, Args&) { return list_of(in.iterate(v)); }},
      {"first",
       [](In& in, const V& v, Args&) {
         const auto items = in.iterate(v);
         return items.empty() ? V::undefined("No first item, sequence was empty.") : items.front();
       }},
      {"last",
       [](In& in, const V& v, Args&) {
         const auto items = in.iterate(v);
         return items.empty() ? V::undefined("No last item, sequence was empty.") : items.back();
       }},
      {"reverse",
       [](In& in, const V& v, Args&) {
         if (!v.is_string()) return slice_of(in.iterate(v));
         auto s = decode_utf8(v.text());
         std::reverse(s.begin(), s.end());
         return in.text(encode_utf8(s));
       }},
      {"abs",
       [](In&, const V& v, Args&) {
         require_defined(v);
         if (!v.is_number()) type_error(str("bad operand type for abs(): '", type_name(v), "'"));
         if (v.is_integral() && v.as_int() == INT64_MIN) fail("integer too large");
         return v.is_integral() ? V::integer(std::abs(v.as_int())) : V::real(std::fabs(v.d));
       }},
      {"attr",
       [](In&, const V& v, Args& a) {
         // attributes only, never keys
         const std::string name = text_argument(a.need(0, "name", "attr"), "attr");
         require_defined(v);
         if (v.is(Kind::kNamespace)) {
           const V* found = static_cast<const NamespaceObject&>(*v.object).attributes.find(name);
           if (found) return *found;
         }
         if (const Builtin method = find_method(v.kind, name))
           return make_function(name, [method, v](In& in2, Args& b) { return method(in2, v, b); });
         return V::undefined(str("'", type_name(v), " object' has no attribute '", name, "'"));
       }},
  };
  return table;
}

// ---- tests

template <int kWhich>  // 0 <, 1 <=, 2 >, 3 >=
bool order_test(In&, const V& v, Args& a) {
  const V& other = a.need(0, "other", "test");
  return kWhich == 0 ? less(v, other) : kWhich == 1 ? !less(other, v) : kWhich == 2 ? less(other, v) : !less(v, other);
}

bool equal_test(In&, const V& v, Args& a) {
  return equal(v, a.need(0, "other", "equalto"));
}
bool unequal_test(In&, const V& v, Args& a) {
  return !equal(v, a.need(0, "other", "ne"));
}
bool iterable_test(In&, const V& v, Args&) {
  return v.is_string() || v.is_sequence() || v.is(Kind::kDict) || v.is(Kind::kUndefined) || v.is(Kind::kLoop);
}

bool divides(const V& v, int64_t by) {
  require_defined(v);
  if (!v.is_number()) type_error("expected a number");
  if (by == 0) fail("integer modulo by zero");
  return v.is_integral() ? (by == -1 || v.as_int() % by == 0) : std::fmod(v.d, double(by)) == 0;
}

const std::map<std::string_view, BuiltinTest>& tests() {
  static const std::map<std::string_view, BuiltinTest> table = {
      {"defined", [](In&, const V& v, Args&) { return !v.is(Kind::kUndefined); }},
      {"undefined", [](In&, const V& v, Args&) { return v.is(Kind::kUndefined); }},
      {"none", [](In&, const V& v, Args&) { return v.is(Kind::kNone); }},
      {"string", [](In&, const V& v, Args&) { return v.is_string(); }},
      {"mapping", [](In&, const V& v, Args&) { return v.is(Kind::kDict); }},
      {"iterable", iterable_test},
      {"sequence", [](In&, const V& v, Args&) { return v.is_string() || v.is_sequence() || v.is(Kind::kDict) || v.is(Kind::kUndefined); }},
      {"number", [](In&, const V& v, Args&) { return v.is_number(); }},
      {"integer", [](In&, const V& v, Args&) { return v.is(Kind::kInt); }},
      {"float", [](In&, const V& v, Args&) { return v.is(Kind::kFloat); }},
      {"boolean", [](In&, const V& v, Args&) { return v.is(Kind::kBool); }},
      {"true", [](In&, const V& v, Args&) { return v.is(Kind::kBool) && v.b; }},
      {"false", [](In&, const V& v, Args&) { return v.is(Kind::kBool) && !v.b; }},
      {"callable", [](In&, const V& v, Args&) { return v.is(Kind::kFunction) || v.is(Kind::kLoop) || v.is(Kind::kUndefined); }},
      {"odd", [](In&, const V& v, Args&) { return !divides(v, 2); }},
      {"even", [](In&, const V& v, Args&) { return divides(v, 2); }},
      {"divisibleby", [](In&, const V& v, Args& a) { return divides(v, int_of(a.need(0, "num", "divisibleby"), "num")); }},
      {"eq", equal_test},
      {"equalto", equal_test},
      {"==", equal_test},
      {"ne", unequal_test},
      {"!=", unequal_test},
      {"lt", order_test<0>},
      {"lessthan", order_test<0>},
      {"<", order_test<0>},
      {"le", order_test<1>},
      {"<=", order_test<1>},
      {"gt", order_test<2>},
      {"greaterthan", order_test<2>},
      {">", order_test<2>},
      {"ge", order_test<3>},
      {">=", order_test<3>},
      {"in", [](In& in, const V& v, Args& a) { return contains(in, a.need(0, "seq", "in"), v); }},
      {"lower", [](In&, const V& v, Args&) { return has_case<false>(to_text(v)); }},
      {"upper", [](In&, const V& v, Args&) { return has_case<true>(to_text(v)); }},
      {"sameas",
       [](In&, const V& v, Args& a) {
         const V& other = a.need(0, "other", "sameas");
         if (v.kind != other.kind) return false;
         return v.object || other.object ? v.object == other.object || (v.is_string() && v.text() == other.text()) : equal(v, other);
       }},
      {"escaped", [](In&, const V& v, Args&) { return v.markup(); }},
      {"filter", [](In&, const V& v, Args&) { return v.is_string() && filters().count(v.text()) > 0; }},
      {"test", [](In&, const V& v, Args&) { return v.is_string() && find_test(v.text()) != nullptr; }},
  };
  return table;
}

template <class Table>
auto lookup(const Table& table, std::string_view name) -> typename Table::mapped_type {
  const auto it = table.find(name);
  return it == table.end() ? nullptr : it->second;
}

}  // namespace

Builtin find_filter(std::string_view name) {
  return lookup(filters(), name == "d" ? "default" : name);
}
BuiltinTest find_test(std::string_view name) {
  return lookup(tests(), name);
}

Builtin find_method(Kind kind, std::string_view name) {
  if (kind == Kind::kString) return lookup(string_methods(), name);
  if (kind == Kind::kDict) return lookup(dict_methods(), name);
  if (kind == Kind::kList || kind == Kind::kTuple) return lookup(list_methods(), name);
  return nullptr;
}

bool mutates(Kind kind, std::string_view name) {
  const auto any = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (kind == Kind::kList) return any({"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"});
  if (kind == Kind::kDict) return any({"clear", "pop", "popitem", "setdefault", "update"});
  return false;
}

// "%s is %d%%" % (a, b); "%(name)s" % {..}
V percent_format(In& in, const std::string& format, const V& given) {
  std::string out;
  const bool named =
      given.is(Kind::kDict) || given.is(Kind::kList) || given.is(Kind::kUndefined);  // Python: anything with [] that is no tuple or string
  const std::vector<V> values = given.is(Kind::kTuple) ? given.items() : std::vector<V>{given};
  size_t next = 0;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    if (++i < format.size() && format[i] == '%') {
      out += '%';
      continue;
    }
    V value;
    bool by_name = false;
    if (i < format.size() && format[i] == '(') {
      const size_t close = format.find(')', i);
      if (close == std::string::npos) fail("incomplete format key");
      if (!given.is(Kind::kDict)) type_error("format requires a mapping");
      const V* found = dict_of(given).find(std::string_view(format).substr(i + 1, close - i - 1));
      if (!found) fail("format: no key '", format.substr(i + 1, close - i - 1), "'");
      value = *found;
      by_name = true;
      i = close + 1;
    }
    std::string flags;
    while (i < format.size() && std::string_view("-+ #0").find(format[i]) != std::string_view::npos) flags += format[i++];
    const auto number = [&] {
      int64_t n = 0;
      for (; i < format.size() && format[i] >= '0' && format[i] <= '9'; ++i)
        n = std::min<int64_t>(n * 10 + (format[i] - '0'), 1'000'000'000);
      return n;
    };
    const int64_t width = number();
    int64_t precision = -1;
    if (i < format.size() && format[i] == '.') ++i, precision = number();
    if (i >= format.size()) fail("incomplete format");
    const char type = format[i];
    if (!by_name) {
      if (next >= values.size()) type_error("not enough arguments for format string");
      value = values[next++];
    }
    const auto has = [&](char c) { return flags.find(c) != std::string::npos; };
    std::string body;
    bool numeric = true;
    if (type == 's' || type == 'r') {
      body = type == 's' ? to_text(value) : repr(value);
      if (precision >= 0) body = encode_utf8(decode_utf8(body).substr(0, size_t(precision)));
      numeric = false;
    } else if (type == 'c') {
      if (value.is_integral())
        append_utf8(body, char32_t(value.as_int()));
      else
        body = text_argument(value, "%c");
      numeric = false;
    } else if (std::string_view("diuxXoeEfFgG").find(type) != std::string_view::npos) {
      if (!value.is_number()) type_error(str("%", type, " format: a number is required, not ", type_name(value)));
      V x = value;
      const bool whole = std::string_view("diuxXo").find(type) != std::string_view::npos;
      if (whole && x.is(Kind::kFloat)) {
        if (std::string_view("xXo").find(type) != std::string_view::npos)
          type_error(str("%", type, " format: an integer is required, not float"));
        if (!(std::fabs(x.d) < 9.2e18)) fail("integer too large");
        x = V::integer(int64_t(x.d));
      }
      if (x.is(Kind::kBool)) x = V::integer(x.as_int());
      std::string spec = has('+') ? "+" : has(' ') ? " " : "";
      if (has('#')) spec += "#";
      if (!whole && precision >= 0) spec += "." + std::to_string(precision);
      spec += whole && std::string_view("diu").find(type) != std::string_view::npos ? 'd' : type;
      body = formatted(in, x, spec);
    } else {
      fail("unsupported format character '", type, "'");
    }
    const size_t sign = numeric && !body.empty() && (body[0] == '-' || body[0] == '+' || body[0] == ' ') ? 1 : 0;
    if (numeric && has('0') && !has('-')) body = body.substr(0, sign) + padded(in, body.substr(sign), width - int64_t(sign), "0", '>');
    out += padded(in, body, width, " ", has('-') ? '<' : '>');
    if (int64_t(out.size()) > in.limits().output_bytes) fail("text longer than ", in.limits().output_bytes, " bytes");
  }
  if (!named && next < values.size()) type_error("not all arguments converted during string formatting");
  return in.text(std::move(out));
}

std::string html_escaped(std::string_view s) {
  std::string out;
  for (const char c : s) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&#34;";
    else if (c == '\'')
      out += "&#39;";
    else
      out += c;
  }
  return out;
}

void type_error(const std::string& what) {
  fail(what);
}

void require_defined(const V& v) {
  if (!v.is(Kind::kUndefined)) return;
  fail(v.object ? static_cast<const UndefinedObject&>(*v.object).what : "undefined value");
}

bool contains(In& in, const V& container, const V& element) {
  switch (container.kind) {
    case Kind::kUndefined:
      return false;
    case Kind::kList:
    case Kind::kTuple:
      in.charge(int64_t(container.items().size()) / 8);
      return std::any_of(container.items().begin(), container.items().end(), [&](const V& v) { return equal(v, element); });
    case Kind::kDict:
      require_hashable(element);
      in.charge(int64_t(dict_of(container).entries.size()) / 8);
      return dict_of(container).find(element) != nullptr;
    case Kind::kString:
      if (!element.is_string()) {
        require_defined(element);
        type_error(str("'in <string>' requires string as left operand, not ", type_name(element)));
      }
      in.charge(int64_t(container.text().size()) / 64);
      return container.text().find(element.text()) != std::string::npos;
    default:
      type_error(str("argument of type '", type_name(container), "' is not iterable"));
  }
}

int64_t int_of(const V& v, std::string_view what) {
  require_defined(v);
  if (!v.is_integral()) type_error(str(what, ": expected an integer, got '", type_name(v), "'"));
  return v.as_int();
}

}  // namespace r1::text::jinja
