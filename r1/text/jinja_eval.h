// The evaluator: walks the tree of jinja_parser.h over values, with the scopes of jinja2 and under a budget. Filters, tests and methods:
// jinja_builtins.cc. There are no host objects: a template reaches its variables, the functions named here, and nothing else.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "r1/text/chat_template.h"
#include "r1/text/jinja_parser.h"
#include "r1/text/jinja_value.h"

namespace r1::text::jinja {

class Interpreter;

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keywords;

  // The argument at a position or of a name; nullptr if it was not given.
  const Value* find(size_t index, std::string_view name) const;
  const Value& need(size_t index, std::string_view name, std::string_view function) const;
  // Refuses more than `most` positional arguments and keywords not in `names`.
  void check(size_t most, std::initializer_list<std::string_view> names, std::string_view function) const;
};

using Function = std::function<Value(Interpreter&, Arguments&)>;
struct FunctionObject : Object {
  std::string name;
  Function function;
};
Value make_function(std::string name, Function function);

struct LoopObject : Object {
  std::vector<Value> items;
  size_t index = 0;
  int level = 0;
  Value last_changed;
  bool changed_called = false;
  Function recurse;  // of recursive loops
};

// Variables of a block; outer ones are seen through `parent`.
struct Scope {
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<std::string, Value>> variables;
  Value* find(std::string_view name);
  void set(std::string_view name, Value value);
};
using ScopePtr = std::shared_ptr<Scope>;

class Interpreter {
 public:
  Interpreter(const RenderLimits& limits, const Json& variables);
  ~Interpreter();
  Rendered run(const Body& body);

  // Budget: every node is a step, every 64 bytes of text made is one.
  void charge(int64_t steps = 1);
  Value text(std::string s, bool markup = false);  // a string within the limits
  const RenderLimits& limits() const { return limits_; }

  Value call(const Value& callee, Arguments& arguments);
  Value filter(const std::string& name, const Value& subject, Arguments& arguments);
  bool test(const std::string& name, const Value& subject, Arguments& arguments);
  Value attribute(const Value& object, const std::string& name);
  Value item(const Value& object, const Value& key);
  // What a loop over v gives: items, keys, characters; nothing for an undefined value.
  std::vector<Value> iterate(const Value& v);

 private:
  enum class Flow { kNormal, kBreak, kContinue };
  struct Deeper;

  Flow execute(const Body& body, const ScopePtr& scope, std::string& out);
  Flow execute(const Statement& s, const ScopePtr& scope, std::string& out);
  Flow run_for(const Statement& s, const ScopePtr& scope, std::string& out);
  Flow loop_over(const Statement& s, const Value& iterable, int level, const ScopePtr& scope, std::string& out);
  std::string captured(const Body& body, const ScopePtr& scope);
  void assign(const Target& target, const Value& value, const ScopePtr& scope);
  void emit(std::string& out, std::string_view text);
  Value macro(const Statement& s, const ScopePtr& scope, std::string name);
  Value call_macro(const Statement& s, const ScopePtr& scope, const std::string& name, Arguments& arguments);

  Value evaluate(const Expr& e, const ScopePtr& scope);
  Value evaluate_call(const Expr& e, const ScopePtr& scope, const Value* caller = nullptr);
  Value binary(const std::string& op, const Value& a, const Value& b);
  bool compare(const std::string& op, const Value& a, const Value& b);
  Value slice(const Value& object, const Expr& range, const ScopePtr& scope);
  Arguments arguments_of(const Expr& e, size_t first, const ScopePtr& scope);
  void add_globals(Scope& scope);

  RenderLimits limits_;
  int64_t steps_ = 0, next_clock_ = 0, made_ = 0;
  int depth_ = 0, calls_ = 0, line_ = 0;
  std::chrono::steady_clock::time_point deadline_;
  ScopePtr globals_;
  std::vector<std::weak_ptr<Scope>> closures_;  // scopes that macros hold: cleared at the end, so that no cycle stays
  Rendered result_;
};

// jinja_builtins.cc, jinja_strings.cc, jinja_format.cc, jinja_filters.cc, jinja_tests.cc
using Builtin = Value (*)(Interpreter&, const Value&, Arguments&);
using BuiltinTest = bool (*)(Interpreter&, const Value&, Arguments&);
Builtin find_filter(std::string_view name);
BuiltinTest find_test(std::string_view name);
Builtin find_method(Kind kind, std::string_view name);  // str, list, tuple, dict
bool mutates(Kind kind, std::string_view name);         // a method of Python's that the sandbox forbids
Value percent_format(Interpreter& in, const std::string& format, const Value& arguments);
std::string html_escaped(std::string_view s);
[[noreturn]] void type_error(const std::string& what);
void require_defined(const Value& v);
bool contains(Interpreter& in, const Value& container, const Value& element);
int64_t int_of(const Value& v, std::string_view what);

}  // namespace r1::text::jinja
