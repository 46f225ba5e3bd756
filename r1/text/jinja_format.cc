// Formats of chat templates: str.format with its mini-language, and the % operator.
#include "r1/text/jinja_builtins.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "r1/base/error.h"

namespace r1::text::jinja {
namespace {

using In = Interpreter;
using V = Value;
using Args = Arguments;

std::string with_commas(std::string digits, char separator) {
  for (int64_t i = int64_t(digits.find('.') == std::string::npos ? digits.size() : digits.find('.')) - 3; i > 0; i -= 3)
    digits.insert(size_t(i), 1, separator);
  return digits;
}

// The format mini-language: [[fill]align][sign][#][0][width][,_][.precision][type]
std::string formatted(In& in, const V& v, const std::string& spec) {
  const auto s = to_utf32(spec);
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
    if (precision >= 0) body = to_utf8(to_utf32(body).substr(0, size_t(precision)));
    if (!align) align = '<';
    if (align == '=') align = '<';
  }
  const std::string with = to_utf8(fill);
  if (align == '=') return prefix + padded(in, body, width - int64_t(prefix.size()), with, '>');
  return padded(in, prefix + body, width, with, align == '^' ? '^' : align);
}

}  // namespace

std::string printf_float(double d, int precision, char type) {
  if (precision > 400) fail("precision too large");
  char format[16];
  std::snprintf(format, sizeof format, "%%.%d%c", precision, type);
  char buffer[1024];
  std::snprintf(buffer, sizeof buffer, format, d);
  return buffer;
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
      if (precision >= 0) body = to_utf8(to_utf32(body).substr(0, size_t(precision)));
      numeric = false;
    } else if (type == 'c') {
      if (value.is_integral())
        append_character(body, char32_t(value.as_int()));
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

}  // namespace r1::text::jinja
