// Methods of strings in chat templates, and what filters and tests share with them: letters, blanks, pieces.
#include "r1/text/jinja_builtins.h"

#include <utf8proc.h>
#include <algorithm>

#include "r1/base/error.h"

namespace r1::text::jinja {
namespace {

using In = Interpreter;
using V = Value;
using Args = Arguments;

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

std::u32string python_title(const std::u32string& s) {
  std::u32string out;
  bool inside = false;
  for (size_t i = 0; i < s.size(); ++i) {
    inside ? append_lower(out, s, i) : append_upper(out, s[i], true);
    inside = cased(s[i]);
  }
  return out;
}

template <bool kLeft, bool kRight>
V strip_method(In& in, const V& self, Args& a) {
  a.check(1, {"chars"}, "strip");
  return in.text(to_utf8(strip(to_utf32(self.text()), a.find(0, "chars"), kLeft, kRight)));
}

std::vector<std::string> split_space(const std::string& s, int64_t most, bool from_right) {
  std::vector<std::string> out;
  std::u32string chars = to_utf32(s);
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
    out.push_back(to_utf8(piece));
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
  for (std::string& piece : pieces) out.push_back(in.text(std::move(piece)));
  return make_list(std::move(out));
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
  const std::u32string s = to_utf32(self.text()), t = to_utf32(text_argument(a.need(0, "sub", "find"), "find"));
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
    parts = {in.text(s.substr(0, at)), in.text(sep), in.text(s.substr(at + sep.size()))};
  }
  return make_list(std::move(parts), Kind::kTuple);
}

template <char kAlign>
V pad_method(In& in, const V& self, Args& a) {
  const V* fill = a.find(1, "fillchar");
  const std::string with = fill ? text_argument(*fill, "fillchar") : " ";
  if (code_points(with) != 1) type_error("The fill character must be exactly one character long");
  return in.text(padded(in, self.text(), int_of(a.need(0, "width", "pad"), "width"), with, kAlign));
}

template <class Test>
V every(const V& self, Test test) {
  const auto s = to_utf32(self.text());
  return V::boolean(!s.empty() && std::all_of(s.begin(), s.end(), test));
}

}  // namespace

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
  return to_utf8(lower(to_utf32(s)));
}

std::u32string capitalize(const std::u32string& s) {
  std::u32string out;
  for (size_t i = 0; i < s.size(); ++i) i == 0 ? append_upper(out, s[i], true) : append_lower(out, s, i);
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

std::u32string_view strip(std::u32string_view s, const V* chars, bool left, bool right) {
  std::u32string set;
  const bool given = chars && !chars->is(Kind::kNone);
  if (given) set = to_utf32(text_argument(*chars, "strip"));
  const auto drop = [&](char32_t c) { return given ? set.find(c) != set.npos : is_space(c); };
  while (left && !s.empty() && drop(s.front())) s.remove_prefix(1);
  while (right && !s.empty() && drop(s.back())) s.remove_suffix(1);
  return s;
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

std::vector<std::string> lines_of(const std::string& s, bool keep_ends) {
  std::vector<std::string> out;
  const auto chars = to_utf32(s);
  size_t start = 0;
  for (size_t i = 0; i < chars.size(); ++i) {
    const char32_t c = chars[i];
    const bool breaks = (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029;
    if (!breaks) continue;
    size_t end = i;
    if (c == U'\r' && i + 1 < chars.size() && chars[i + 1] == U'\n') ++i;
    out.push_back(to_utf8(std::u32string_view(chars).substr(start, (keep_ends ? i + 1 : end) - start)));
    start = i + 1;
  }
  if (start < chars.size()) out.push_back(to_utf8(std::u32string_view(chars).substr(start)));
  return out;
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

int category(char32_t c) {
  return utf8proc_category(utf8proc_int32_t(c));
}

bool letter(char32_t c) {
  return category(c) >= UTF8PROC_CATEGORY_LU && category(c) <= UTF8PROC_CATEGORY_LO;
}

template <bool kUpper>
bool has_case(const std::string& text) {
  bool any = false;
  for (const char32_t c : to_utf32(text)) {
    const int g = category(c);
    if (g == (kUpper ? UTF8PROC_CATEGORY_LL : UTF8PROC_CATEGORY_LU) || g == UTF8PROC_CATEGORY_LT) return false;
    any |= g == (kUpper ? UTF8PROC_CATEGORY_LU : UTF8PROC_CATEGORY_LL);
  }
  return any;
}

template bool has_case<true>(const std::string&);
template bool has_case<false>(const std::string&);

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

const FunctionTable& string_methods() {
  static const FunctionTable methods = {
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
      {"upper", [](In& in, const V& s, Args&) { return in.text(to_utf8(upper(to_utf32(s.text())))); }},
      {"lower", [](In& in, const V& s, Args&) { return in.text(lower_text(s.text())); }},
      {"casefold", [](In& in, const V& s, Args&) { return in.text(replaced(in, lower_text(s.text()), "\xC3\x9F", "ss", -1)); }},
      {"title", [](In& in, const V& s, Args&) { return in.text(to_utf8(python_title(to_utf32(s.text())))); }},
      {"capitalize", [](In& in, const V& s, Args&) { return in.text(to_utf8(capitalize(to_utf32(s.text())))); }},
      {"swapcase",
       [](In& in, const V& s, Args&) {
         std::u32string out;
         const auto chars = to_utf32(s.text());
         for (size_t i = 0; i < chars.size(); ++i)
           category(chars[i]) == UTF8PROC_CATEGORY_LU ? append_lower(out, chars, i) : append_upper(out, chars[i]);
         return in.text(to_utf8(out));
       }},
      {"replace",
       [](In& in, const V& s, Args& a) {
         const V* count = a.find(2, "count");
         return in.text(replaced(in, s.text(), text_argument(a.need(0, "old", "replace"), "replace"),
                                 text_argument(a.need(1, "new", "replace"), "replace"), count ? int_of(*count, "count") : -1));
       }},
      {"join", [](In& in, const V& s, Args& a) { return join_values(in, s.text(), in.iterate(a.need(0, "iterable", "join")), true); }},
      {"splitlines",
       [](In& in, const V& s, Args& a) {
         std::vector<V> out;
         for (std::string& line : lines_of(s.text(), flag(a, 0, "keepends", false))) out.push_back(in.text(std::move(line)));
         return make_list(std::move(out));
       }},
      {"zfill",
       [](In& in, const V& s, Args& a) {
         const std::string& t = s.text();
         const size_t sign = !t.empty() && (t[0] == '-' || t[0] == '+');
         const int64_t width = int_of(a.need(0, "width", "zfill"), "width");
         return in.text(t.substr(0, sign) + padded(in, t.substr(sign), width - int64_t(sign), "0", '>'));
       }},
      {"removeprefix",
       [](In& in, const V& s, Args& a) {
         const std::string p = text_argument(a.need(0, "prefix", "removeprefix"), "removeprefix");
         return s.text().starts_with(p) ? in.text(s.text().substr(p.size())) : s;
       }},
      {"removesuffix",
       [](In& in, const V& s, Args& a) {
         const std::string p = text_argument(a.need(0, "suffix", "removesuffix"), "removesuffix");
         return s.text().ends_with(p) ? in.text(s.text().substr(0, s.text().size() - p.size())) : s;
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

}  // namespace r1::text::jinja
