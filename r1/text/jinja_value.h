// Values of the chat-template interpreter, with Python's semantics of str, repr, ==, <, truth and json.dumps. Data is immutable once made,
// except namespaces. Containers know their nesting depth and hold data only (no namespace, macro or loop object), so there are no cycles
// and recursion over them is bounded.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "r1/base/json.h"

namespace r1::text::jinja {

inline constexpr int kMaxValueDepth = 120;
inline constexpr size_t kMaxItems = 1'000'000;
inline constexpr int64_t kMaxWeight = 8'000'000;

enum class Kind : uint8_t { kUndefined, kNone, kBool, kInt, kFloat, kString, kList, kTuple, kDict, kNamespace, kFunction, kLoop, kBigInt };

struct Object {
  virtual ~Object() = default;
  int depth = 0;
  int64_t weight = 1;  // nodes and text of the whole value as a tree, shared parts counted each time: what walking it costs
};

struct Value {
  Kind kind = Kind::kUndefined;
  union {
    bool b;
    int64_t i = 0;
    double d;
    uint64_t u;  // kBigInt: an integer of 2^63 and above. It can be printed, compared with its like and passed on, not calculated with.
  };
  std::shared_ptr<Object> object;

  Value() = default;
  static Value none() { return of(Kind::kNone); }
  static Value boolean(bool v) {
    Value x = of(Kind::kBool);
    x.i = 0;
    x.b = v;
    return x;
  }
  static Value integer(int64_t v) {
    Value x = of(Kind::kInt);
    x.i = v;
    return x;
  }
  static Value big_integer(uint64_t v) {
    Value x = of(Kind::kBigInt);
    x.u = v;
    return x;
  }
  static Value real(double v) {
    Value x = of(Kind::kFloat);
    x.d = v;
    return x;
  }
  static Value string(std::string s, bool markup = false);
  static Value undefined(std::string what);  // what: the message if it is used

  bool is(Kind k) const { return kind == k; }
  bool is_string() const { return kind == Kind::kString; }
  bool is_sequence() const { return kind == Kind::kList || kind == Kind::kTuple; }
  bool is_number() const { return kind == Kind::kInt || kind == Kind::kFloat || kind == Kind::kBool; }
  bool is_integral() const { return kind == Kind::kInt || kind == Kind::kBool; }
  int64_t as_int() const { return kind == Kind::kBool ? int64_t(b) : i; }
  double as_double() const { return kind == Kind::kFloat ? d : double(as_int()); }

  const std::string& text() const;  // of a string
  bool markup() const;
  const std::vector<Value>& items() const;  // of a list or tuple

 private:
  static Value of(Kind k) {
    Value x;
    x.kind = k;
    return x;
  }
};

struct StringObject : Object {
  std::string text;
  bool markup = false;  // by the filters safe and escape
};
struct UndefinedObject : Object {
  std::string what;
};
struct ListObject : Object {
  std::vector<Value> items;
  std::string label;  // "dict_items" and the like, "range(0, 3)": only for str()
};
struct DictObject : Object {
  std::vector<std::pair<Value, Value>> entries;  // insertion order
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  void put(Value key, Value value);
};
struct NamespaceObject : Object {
  DictObject attributes;
};

Value make_list(std::vector<Value> items, Kind kind = Kind::kList, std::string label = "");
Value make_dict(std::vector<std::pair<Value, Value>> entries);  // later keys win
const DictObject& dict_of(const Value& v);

Value from_json(const Json& json);

bool truthy(const Value& v);
bool equal(const Value& a, const Value& b);
// a < b; throws on types that Python does not order
bool less(const Value& a, const Value& b);
std::string to_text(const Value& v);  // str()
std::string repr(const Value& v);
const char* type_name(const Value& v);  // as Python calls it

struct JsonStyle {
  int indent = -1;
  std::string item_separator = ", ", key_separator = ": ";
  bool ensure_ascii = false, sort_keys = false;
};
std::string to_json_text(const Value& v, const JsonStyle& style);

// What walking over v costs, in nodes.
inline int64_t weight(const Value& v) {
  return v.object ? v.object->weight : 1;
}

std::string float_repr(double d);

// UTF-8 <-> code points. What is invalid becomes U+FFFD.
std::u32string to_utf32(std::string_view s);
std::string to_utf8(std::u32string_view s);
void append_character(std::string& out, char32_t c);
size_t code_points(std::string_view s);
bool is_space(char32_t c);      // str.isspace
bool is_printable(char32_t c);  // str.isprintable

}  // namespace r1::text::jinja
