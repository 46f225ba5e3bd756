// Filters, tests and methods of chat templates by name; methods of lists and dicts; checks that all of them make.
#include "r1/text/jinja_builtins.h"

#include <algorithm>

#include "r1/base/error.h"

namespace r1::text::jinja {
namespace {

using In = Interpreter;
using V = Value;
using Args = Arguments;

const FunctionTable& dict_methods() {
  static const FunctionTable methods = {
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

const FunctionTable& list_methods() {
  static const FunctionTable methods = {
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

template <class Table>
auto lookup(const Table& table, std::string_view name) -> typename Table::mapped_type {
  const auto it = table.find(name);
  return it == table.end() ? nullptr : it->second;
}

}  // namespace

V dict_items(In& in, const V& self, Args&) {
  std::vector<V> out;
  in.charge(int64_t(dict_of(self).entries.size()) / 4);
  for (const auto& [k, v] : dict_of(self).entries) out.push_back(make_list({k, v}, Kind::kTuple));
  return make_list(std::move(out), Kind::kList, "dict_items");
}

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

std::string text_argument(const V& v, std::string_view what) {
  require_defined(v);
  if (!v.is_string()) type_error(str(what, " expected a string, got '", type_name(v), "'"));
  return v.text();
}

bool flag(const Args& a, size_t index, std::string_view name, bool fallback) {
  const V* v = a.find(index, name);
  return v ? truthy(*v) : fallback;
}

void require_hashable(const V& v) {
  if (v.is(Kind::kList) || v.is(Kind::kDict)) type_error(str("unhashable type: '", type_name(v), "'"));
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
