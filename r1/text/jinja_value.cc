#include "r1/text/jinja_value.h"

#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "r1/base/error.h"
#include "r1/base/utf8.h"

namespace r1::text::jinja {
namespace {

// Only data goes into containers.
void adopt(Object& container, const Value& v) {
  if (v.is(Kind::kNamespace) || v.is(Kind::kFunction) || v.is(Kind::kLoop))
    fail("a ", type_name(v), " can't be stored in a list, dict or namespace");
  const int depth = v.object ? v.object->depth + 1 : 1;
  container.depth = std::max(container.depth, depth);
  if (container.depth > kMaxValueDepth) fail("value nested deeper than ", kMaxValueDepth);
  container.weight += v.object ? v.object->weight : 1;
  if (container.weight > kMaxWeight) fail("value too large");
}

bool rank_of_number(const Value& a, const Value& b) {
  return a.is_number() && b.is_number();
}

void json_string(std::string& out, const std::string& s, bool ensure_ascii) {
  static const char hex[] = "0123456789abcdef";
  const auto unit = [&](uint32_t u) {
    out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) out += hex[(u >> shift) & 15];
  };
  out += '"';
  const auto plain = [&](unsigned char c) {
    if (c == '"')
      out += "\\\"";
    else if (c == '\\')
      out += "\\\\";
    else if (c == '\n')
      out += "\\n";
    else if (c == '\r')
      out += "\\r";
    else if (c == '\t')
      out += "\\t";
    else if (c == '\b')
      out += "\\b";
    else if (c == '\f')
      out += "\\f";
    else if (c < 0x20)
      unit(c);
    else
      out += char(c);
  };
  if (!ensure_ascii) {
    for (const unsigned char c : s) plain(c);
  } else {
    for (const char32_t c : to_utf32(s)) {
      if (c < 0x80)
        plain(static_cast<unsigned char>(c));
      else if (c < 0x10000)
        unit(c);
      else
        unit(0xD800 + ((c - 0x10000) >> 10)), unit(0xDC00 + ((c - 0x10000) & 0x3FF));
    }
  }
  out += '"';
}

std::string json_float(double d) {
  return std::isnan(d) ? "NaN" : std::isinf(d) ? (d > 0 ? "Infinity" : "-Infinity") : float_repr(d);
}

std::string json_key(const Value& key) {
  switch (key.kind) {
    case Kind::kString:
      return key.text();
    case Kind::kInt:
      return std::to_string(key.i);
    case Kind::kBigInt:
      return std::to_string(key.u);
    case Kind::kBool:
      return key.b ? "true" : "false";
    case Kind::kNone:
      return "null";
    case Kind::kFloat:
      return json_float(key.d);
    default:
      fail("tojson: keys must be str, int, float, bool or None, not ", type_name(key));
  }
}

void write_json(std::string& out, const Value& v, const JsonStyle& style, int level) {
  const auto newline = [&](int l) {
    if (style.indent < 0) return;
    out += '\n';
    out.append(size_t(style.indent) * size_t(l), ' ');
  };
  const std::string separator = style.item_separator;
  switch (v.kind) {
    case Kind::kNone:
      out += "null";
      return;
    case Kind::kBool:
      out += v.b ? "true" : "false";
      return;
    case Kind::kInt:
      out += std::to_string(v.i);
      return;
    case Kind::kBigInt:
      out += std::to_string(v.u);
      return;
    case Kind::kFloat:
      out += json_float(v.d);
      return;
    case Kind::kString:
      json_string(out, v.text(), style.ensure_ascii);
      return;
    case Kind::kList:
    case Kind::kTuple: {
      const auto& items = v.items();
      if (!static_cast<const ListObject&>(*v.object).label.empty())
        fail("tojson: a range or a dict's view is not JSON serializable; use |list");
      if (items.empty()) {
        out += "[]";
        return;
      }
      out += '[';
      for (size_t i = 0; i < items.size(); ++i) {
        if (i) out += separator;
        newline(level + 1);
        write_json(out, items[i], style, level + 1);
      }
      newline(level);
      out += ']';
      return;
    }
    case Kind::kDict: {
      auto entries = dict_of(v).entries;
      if (entries.empty()) {
        out += "{}";
        return;
      }
      if (style.sort_keys)
        std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return less(a.first, b.first); });
      out += '{';
      for (size_t i = 0; i < entries.size(); ++i) {
        if (i) out += separator;
        newline(level + 1);
        json_string(out, json_key(entries[i].first), style.ensure_ascii);
        out += style.key_separator;
        write_json(out, entries[i].second, style, level + 1);
      }
      newline(level);
      out += '}';
      return;
    }
    default:
      fail("tojson: object of type ", type_name(v), " is not JSON serializable");
  }
}

std::string joined_repr(const std::vector<Value>& items) {
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) out += (i ? ", " : "") + repr(items[i]);
  return out;
}

std::string string_repr(const std::string& s) {
  const bool single = s.find('\'') != std::string::npos, dbl = s.find('"') != std::string::npos;
  const char quote = single && !dbl ? '"' : '\'';
  std::string out(1, quote);
  char buffer[16];
  for (const char32_t c : to_utf32(s)) {
    if (c == U'\\' || c == char32_t(quote))
      out += '\\', out += char(c);
    else if (c == U'\n')
      out += "\\n";
    else if (c == U'\r')
      out += "\\r";
    else if (c == U'\t')
      out += "\\t";
    else if (c == U' ' || is_printable(c))
      append_character(out, c);
    else {
      std::snprintf(buffer, sizeof buffer, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", unsigned(c));
      out += buffer;
    }
  }
  return out += quote;
}

}  // namespace

Value Value::string(std::string s, bool markup) {
  Value v = of(Kind::kString);
  auto object = std::make_shared<StringObject>();
  object->text = std::move(s);
  object->weight = 1 + int64_t(object->text.size() / 16);
  object->markup = markup;
  v.object = std::move(object);
  return v;
}

Value Value::undefined(std::string what) {
  Value v;
  auto object = std::make_shared<UndefinedObject>();
  object->what = std::move(what);
  v.object = std::move(object);
  return v;
}

const std::string& Value::text() const {
  return static_cast<const StringObject&>(*object).text;
}
bool Value::markup() const {
  return kind == Kind::kString && static_cast<const StringObject&>(*object).markup;
}
const std::vector<Value>& Value::items() const {
  return static_cast<const ListObject&>(*object).items;
}

const Value* DictObject::find(const Value& key) const {
  for (const auto& [k, v] : entries) {
    if (equal(k, key)) return &v;
  }
  return nullptr;
}

const Value* DictObject::find(std::string_view key) const {
  for (const auto& [k, v] : entries) {
    if (k.is_string() && k.text() == key) return &v;
  }
  return nullptr;
}

void DictObject::put(Value key, Value value) {
  if (key.is(Kind::kList) || key.is(Kind::kDict)) fail("unhashable type: '", type_name(key), "'");
  adopt(*this, key);
  adopt(*this, value);
  for (auto& [k, v] : entries) {
    if (equal(k, key)) {
      v = std::move(value);
      return;
    }
  }
  if (entries.size() >= kMaxItems) fail("dict with more than ", kMaxItems, " entries");
  entries.emplace_back(std::move(key), std::move(value));
}

Value make_list(std::vector<Value> items, Kind kind, std::string label) {
  if (items.size() > kMaxItems) fail("list with more than ", kMaxItems, " items");
  auto object = std::make_shared<ListObject>();
  for (const Value& v : items) adopt(*object, v);
  object->items = std::move(items);
  object->label = std::move(label);
  Value v;
  v.kind = kind;
  v.object = std::move(object);
  return v;
}

Value make_dict(std::vector<std::pair<Value, Value>> entries) {
  auto object = std::make_shared<DictObject>();
  for (auto& [k, v] : entries) object->put(std::move(k), std::move(v));
  Value v;
  v.kind = Kind::kDict;
  v.object = std::move(object);
  return v;
}

const DictObject& dict_of(const Value& v) {
  return static_cast<const DictObject&>(*v.object);
}

Value from_json(const Json& json) {
  if (json.is_null()) return Value::none();
  if (json.is_boolean()) return Value::boolean(json.get<bool>());
  if (json.is_number_unsigned() && json.get<uint64_t>() > uint64_t(INT64_MAX)) return Value::big_integer(json.get<uint64_t>());
  if (json.is_number_integer()) return Value::integer(json.get<int64_t>());
  if (json.is_number()) return Value::real(json.get<double>());
  if (json.is_string()) return Value::string(json.get<std::string>());
  if (json.is_array()) {
    std::vector<Value> items;
    for (const Json& j : json) items.push_back(from_json(j));
    return make_list(std::move(items));
  }
  auto object = std::make_shared<DictObject>();
  for (const auto& [key, j] : json.items()) {  // keys are unique already
    Value value = from_json(j);
    adopt(*object, value);
    object->entries.emplace_back(Value::string(key), std::move(value));
  }
  Value v;
  v.kind = Kind::kDict;
  v.object = std::move(object);
  return v;
}

bool truthy(const Value& v) {
  switch (v.kind) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
      return v.b;
    case Kind::kInt:
      return v.i != 0;
    case Kind::kFloat:
      return v.d != 0;
    case Kind::kString:
      return !v.text().empty();
    case Kind::kList:
    case Kind::kTuple:
      return !v.items().empty();
    case Kind::kDict:
      return !dict_of(v).entries.empty();
    default:
      return true;
  }
}

bool equal(const Value& a, const Value& b) {
  if (rank_of_number(a, b)) return a.is_integral() && b.is_integral() ? a.as_int() == b.as_int() : a.as_double() == b.as_double();
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kBigInt:
      return a.u == b.u;
    case Kind::kString:
      return a.object == b.object || a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple:
      return a.object == b.object ||
             (a.items().size() == b.items().size() && std::equal(a.items().begin(), a.items().end(), b.items().begin(), equal));
    case Kind::kDict: {
      if (a.object == b.object) return true;
      const auto &x = dict_of(a), &y = dict_of(b);
      if (x.entries.size() != y.entries.size()) return false;
      return std::all_of(x.entries.begin(), x.entries.end(), [&](const auto& e) {
        const Value* other = y.find(e.first);
        return other && equal(e.second, *other);
      });
    }
    default:
      return a.object == b.object;
  }
}

bool less(const Value& a, const Value& b) {
  if (rank_of_number(a, b)) return a.is_integral() && b.is_integral() ? a.as_int() < b.as_int() : a.as_double() < b.as_double();
  if (a.is_string() && b.is_string()) return a.text() < b.text();  // byte order of UTF-8 is code point order
  if (a.is_sequence() && a.kind == b.kind) {
    const auto &x = a.items(), &y = b.items();
    for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
      if (!equal(x[i], y[i])) return less(x[i], y[i]);
    }
    return x.size() < y.size();
  }
  for (const Value* v : {&a, &b}) {
    if (v->is(Kind::kUndefined) && v->object) fail(static_cast<const UndefinedObject&>(*v->object).what);
  }
  fail("'<' not supported between instances of '", type_name(a), "' and '", type_name(b), "'");
}

std::string to_text(const Value& v) {
  if (v.is_string()) return v.text();
  if (v.is(Kind::kUndefined)) return "";
  return repr(v);
}

std::string repr(const Value& v) {
  switch (v.kind) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return v.b ? "True" : "False";
    case Kind::kInt:
      return std::to_string(v.i);
    case Kind::kBigInt:
      return std::to_string(v.u);
    case Kind::kFloat:
      return float_repr(v.d);
    case Kind::kString:
      return v.markup() ? "Markup(" + string_repr(v.text()) + ")" : string_repr(v.text());
    case Kind::kList: {
      const std::string& label = static_cast<const ListObject&>(*v.object).label;
      if (label.starts_with("range(")) return label;
      return label.empty() ? "[" + joined_repr(v.items()) + "]" : label + "([" + joined_repr(v.items()) + "])";
    }
    case Kind::kTuple:
      return "(" + joined_repr(v.items()) + (v.items().size() == 1 ? ",)" : ")");
    case Kind::kDict:
    case Kind::kNamespace: {
      std::string out = "{";
      const auto& entries = v.is(Kind::kDict) ? dict_of(v).entries : static_cast<const NamespaceObject&>(*v.object).attributes.entries;
      for (size_t i = 0; i < entries.size(); ++i) out += (i ? ", " : "") + repr(entries[i].first) + ": " + repr(entries[i].second);
      out += "}";
      return v.is(Kind::kDict) ? out : "<Namespace " + out + ">";
    }
    default:
      return str("<", type_name(v), ">");
  }
}

const char* type_name(const Value& v) {
  static const char* const names[] = {"Undefined", "NoneType", "bool",      "int",      "float",       "str", "list",
                                      "tuple",     "dict",     "Namespace", "function", "LoopContext", "int"};
  return names[int(v.kind)];
}

std::string to_json_text(const Value& v, const JsonStyle& style) {
  std::string out;
  write_json(out, v, style, 0);
  return out;
}

// repr(float): shortest digits that read back, exponent form below 1e-4 and from 1e16
std::string float_repr(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, d, std::chars_format::scientific).ptr;
  std::string s(buffer, end);
  const std::string sign = s[0] == '-' ? "-" : "";
  s.erase(0, sign.size());
  const size_t e = s.find('e');
  const int exponent = std::stoi(s.substr(e + 1));
  std::string digits = s.substr(0, 1) + (e > 2 ? s.substr(2, e - 2) : "");
  if (exponent < -4 || exponent >= 16) {
    std::string out = sign + digits.substr(0, 1) + (digits.size() > 1 ? "." + digits.substr(1) : "");
    std::snprintf(buffer, sizeof buffer, "e%c%02d", exponent < 0 ? '-' : '+', std::abs(exponent));
    return out + buffer;
  }
  if (exponent < 0) return sign + "0." + std::string(size_t(-exponent - 1), '0') + digits;
  if (int(digits.size()) <= exponent + 1) return sign + digits + std::string(size_t(exponent + 1) - digits.size(), '0') + ".0";
  return sign + digits.substr(0, size_t(exponent) + 1) + "." + digits.substr(size_t(exponent) + 1);
}

std::u32string to_utf32(std::string_view s) {
  std::u32string out;
  out.reserve(s.size());
  for (const char *p = s.data(), *end = p + s.size(); p < end;) {
    uint32_t c;
    p += decode_utf8(p, end, &c);
    out += c == kInvalidChar ? U'\xFFFD' : char32_t(c);
  }
  return out;
}

void append_character(std::string& out, char32_t c) {
  append_utf8(out, c > 0x10FFFF || (c >= 0xD800 && c < 0xE000) ? 0xFFFD : uint32_t(c));
}

std::string to_utf8(std::u32string_view s) {
  std::string out;
  out.reserve(s.size());
  for (const char32_t c : s) append_character(out, c);
  return out;
}

size_t code_points(std::string_view s) {
  return size_t(std::count_if(s.begin(), s.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

bool is_space(char32_t c) {
  return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_printable(char32_t c) {
  if (c == U' ') return true;
  switch (utf8proc_category(utf8proc_int32_t(c))) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

}  // namespace r1::text::jinja
