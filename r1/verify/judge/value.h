// Plain data that crosses the border to an untrusted program: what Python's None, bool, int (any size), float, complex, str, bytes, list,
// tuple, set, frozenset and dict are, and nothing that has behaviour. Values are compared here, on the trusted side: a program's own __eq__
// never has a say.
//
// The wire form (bytes; both Python ends speak it too, r1/verify/judge/launcher_py.cc):
//   N T F            None, True, False
//   i-12;            an int that fits 64 bits       I-ff00;          any other, in hexadecimal
//   f0x1.8p+1;       a float as float.hex() writes it (inf, nan, -0.0 too)       c<re>;<im>;   a complex
//   s5:hello b2:..   text (UTF-8, lone surrogates allowed), bytes
//   l2:.. t2:.. S1:.. Z1:.. d1:kv    list, tuple, set, frozenset, dict
//   x<text><value>   anything else: the name of a type, and what the two Python ends agreed on; never equal to anything here
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace r1::verify::judge {

inline constexpr int kMaxValueDepth = 400;

struct Value {
  enum class Kind { kNone, kBool, kInt, kFloat, kComplex, kText, kBytes, kList, kTuple, kSet, kFrozenSet, kDict, kOther };
  Kind kind = Kind::kNone;
  bool flag = false;                 // kBool
  int64_t integer = 0;               // kInt that fits
  std::string text;                  // kText, kBytes; kOther: the type's name; kInt that does not fit 64 bits: "-ff00", lower-case hex
  double number = 0, imaginary = 0;  // kFloat, kComplex
  std::vector<Value> items;          // lists and sets; kDict: key, value, key, value, ..; kOther: one

  static Value of(bool x);
  static Value of(int64_t x);
  static Value of(double x);
  static Value of(std::string_view x);
  static Value of_bytes(std::string_view x);
  static Value list(std::vector<Value> items);
  bool is_big() const { return kind == Kind::kInt && !text.empty(); }
};

std::string encode_value(const Value& value);
// Any bytes: nullopt for what is no value, has bytes after it, or is nested deeper than kMaxValueDepth.
std::optional<Value> decode_value(std::string_view bytes);

// A JSON text as Python's json.loads reads it: ints of any size stay exact, NaN, Infinity and -Infinity are floats, "\ud800" is kept.
// Throws Error naming `where`.
Value parse_json_value(std::string_view text, std::string_view where);
// Several JSON texts, blanks between them (LiveCodeBench: an argument a line).
std::vector<Value> parse_json_values(std::string_view text, std::string_view where);

struct ValueComparison {
  double float_tolerance = 0;  // floats: |a - b| <= tolerance * max(1, |expected|); 0: equal as numbers
};
// Is `got`, from the program, the expected JSON value?
//   - a tuple is a list (JSON has no tuples); a set is not a list: its order means nothing
//   - numbers are equal as Python's == says: 1, 1.0 and True are; ints of any size exactly, never through a float, against a whole float
//     too and whatever the tolerance; 0.0 and -0.0 are
//   - NaN is expected NaN
//   - a dict's keys that are ints, bools or None stand for the text that JSON makes of them; two keys of one text: not equal
bool equal_values(const Value& expected, const Value& got, const ValueComparison& how = {});

// For reports: JSON-like, cut at `limit` bytes.
std::string show_value(const Value& value, size_t limit = 200);

}  // namespace r1::verify::judge
