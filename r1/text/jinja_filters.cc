// Filters of chat templates.
#include "r1/text/jinja_builtins.h"

#include <utf8proc.h>
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "r1/base/error.h"

namespace r1::text::jinja {
namespace {

using In = Interpreter;
using V = Value;
using Args = Arguments;

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
  return make_list(std::move(out));
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
  return make_list(std::move(out));
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
  return make_list(std::move(out));
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
  return make_list(std::move(out));
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
  return make_list(std::move(out));
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
  std::string s = to_utf8(strip(to_utf32(text), nullptr, true, true));
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
  std::string s = to_utf8(strip(to_utf32(text), nullptr, true, true));
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
  if (subject.is(Kind::kBigInt)) return subject;
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
  if (subject.is(Kind::kBigInt)) return V::real(double(subject.u));
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
    if (int64_t(row.size()) == n) out.push_back(make_list(std::exchange(row, {})));
    row.push_back(v);
  }
  while (!row.empty() && fill && !fill->is(Kind::kNone) && int64_t(row.size()) < n) row.push_back(*fill);
  if (!row.empty()) out.push_back(make_list(std::move(row)));
  return make_list(std::move(out));
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
    out.push_back(make_list({key, make_list(std::move(group))}, Kind::kTuple));
  }
  return make_list(std::move(out));
}

V truncate_filter(In& in, const V& subject, Args& a) {
  const V *length = a.find(0, "length"), *end = a.find(2, "end"), *leeway = a.find(3, "leeway");
  const bool kill = flag(a, 1, "killwords", false);
  const int64_t n = length ? int_of(*length, "length") : 255, slack = leeway && !leeway->is(Kind::kNone) ? int_of(*leeway, "leeway") : 5;
  const auto s = to_utf32(to_text(subject)), tail = to_utf32(end ? text_argument(*end, "end") : "...");
  if (n < int64_t(tail.size())) fail("truncate: expected length >= ", tail.size(), ", got ", n);
  if (int64_t(s.size()) <= n + slack) return in.text(to_utf8(s));
  std::u32string kept = s.substr(0, size_t(n) - tail.size());
  if (!kill) {
    if (const size_t space = kept.rfind(U' '); space != kept.npos) kept.resize(space);
  }
  return in.text(to_utf8(kept + tail));
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
  return make_list(std::vector<V>(items.rbegin(), items.rend()));
}

}  // namespace

const FunctionTable& filters() {
  static const FunctionTable table = {
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
         return in.text(to_utf8(strip(to_utf32(to_text(v)), a.find(0, "chars"), true, true)));
       }},
      {"upper", [](In& in, const V& v, Args&) { return in.text(to_utf8(upper(to_utf32(to_text(v))))); }},
      {"lower", [](In& in, const V& v, Args&) { return in.text(lower_text(to_text(v))); }},
      {"capitalize", [](In& in, const V& v, Args&) { return in.text(to_utf8(capitalize(to_utf32(to_text(v))))); }},
      {"title", [](In& in, const V& v, Args&) { return in.text(to_utf8(jinja_title(to_utf32(to_text(v))))); }},
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
         for (const char32_t c : to_utf32(to_text(v))) {
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
         if (v.is(Kind::kUndefined)) return make_list({});
         if (!v.is(Kind::kDict)) type_error("Can only get item pairs from a mapping.");
         return make_list(dict_items(in, v, a).items());
       }},
      {"list", [](In& in, const V& v, Args&) { return make_list(in.iterate(v)); }},
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
         auto s = to_utf32(v.text());
         std::reverse(s.begin(), s.end());
         return in.text(to_utf8(s));
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

}  // namespace r1::text::jinja
