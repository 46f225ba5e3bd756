// What the files of filters, tests and methods share (jinja_builtins.cc, jinja_strings.cc, jinja_format.cc, jinja_filters.cc,
// jinja_tests.cc): tables by name, arguments, and the string work that methods and filters have in common. Results are those of jinja2 3.1
// and Python.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "r1/text/jinja_eval.h"

namespace r1::text::jinja {

using FunctionTable = std::map<std::string_view, Builtin>;
using TestTable = std::map<std::string_view, BuiltinTest>;
const FunctionTable& filters();
const TestTable& tests();
const FunctionTable& string_methods();

// Arguments.
std::string text_argument(const Value& v, std::string_view what);
bool flag(const Arguments& a, size_t index, std::string_view name, bool fallback);
void require_hashable(const Value& v);

// Letters.
std::u32string upper(const std::u32string& s);
std::u32string lower(const std::u32string& s);
std::string lower_text(const std::string& s);
std::u32string capitalize(const std::u32string& s);
std::u32string jinja_title(const std::u32string& s);  // the filter `title`: a word begins after blanks, '-', '(', '{', '[' and '<'
template <bool kUpper>
bool has_case(const std::string& text);  // str.isupper or str.islower: there is a letter with a case, and all are in this one
bool letter(char32_t c);
int category(char32_t c);

// Strings. `chars` are what to strip, null: blanks.
std::u32string_view strip(std::u32string_view s, const Value* chars, bool left, bool right);
std::string replaced(Interpreter& in, const std::string& s, const std::string& from, const std::string& to, int64_t count);
std::vector<std::string> lines_of(const std::string& s, bool keep_ends = false);
std::string padded(Interpreter& in, const std::string& s, int64_t width, const std::string& fill, char align);
Value dict_items(Interpreter& in, const Value& dict, Arguments& a);  // dict.items
Value join_values(Interpreter& in, const std::string& separator, const std::vector<Value>& items, bool strict);

// Formats.
std::string printf_float(double d, int precision, char type);
Value format_method(Interpreter& in, const Value& self, Arguments& a);  // str.format

}  // namespace r1::text::jinja
