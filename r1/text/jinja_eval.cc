#include "r1/text/jinja_eval.h"

#include <algorithm>
#include <cmath>
#include <ctime>

#include "r1/base/error.h"
#include "r1/text/jinja_lexer.h"

namespace r1::text::jinja {
namespace {

// Nested evaluation of all kinds together; about a kilobyte of stack each.
constexpr int kMaxStack = 1200;

int64_t checked(bool overflow, const int64_t& v) {
  if (overflow) fail("integer too large");
  return v;
}

int64_t int_power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  if (exponent > 64 && base != 0 && base != 1 && base != -1) fail("integer too large");
  if (exponent > 64) return base == -1 ? (exponent % 2 ? -1 : 1) : base;
  for (; exponent > 0; --exponent) result = checked(__builtin_mul_overflow(result, base, &result), result);
  return result;
}

Value arithmetic_int(const std::string& op, int64_t a, int64_t b) {
  int64_t r = 0;
  if (op == "+") return Value::integer(checked(__builtin_add_overflow(a, b, &r), r));
  if (op == "-") return Value::integer(checked(__builtin_sub_overflow(a, b, &r), r));
  if (op == "*") return Value::integer(checked(__builtin_mul_overflow(a, b, &r), r));
  if (op == "**")
    return b >= 0   ? Value::integer(int_power(a, b))
           : a == 0 ? (fail("0 cannot be raised to a negative power"), Value())
                    : Value::real(std::pow(double(a), double(b)));
  if (b == 0) fail(op == "/" ? "division by zero" : "integer division or modulo by zero");
  if (op == "/") return Value::real(double(a) / double(b));
  if (b == -1) return op == "%" ? Value::integer(0) : Value::integer(checked(__builtin_sub_overflow(int64_t{0}, a, &r), r));
  int64_t q = a / b, m = a % b;
  if (m != 0 && (m < 0) != (b < 0)) --q, m += b;
  return Value::integer(op == "//" ? q : m);
}

Value arithmetic_float(const std::string& op, double a, double b) {
  if (op == "+") return Value::real(a + b);
  if (op == "-") return Value::real(a - b);
  if (op == "*") return Value::real(a * b);
  if (op == "**") {
    if (a < 0 && b != std::floor(b)) fail("a negative number has no power with a fraction");  // Python gives a complex number
    if (a == 0 && b < 0) fail("0.0 cannot be raised to a negative power");
    return Value::real(std::pow(a, b));
  }
  if (b == 0) fail("float division by zero");
  if (op == "/") return Value::real(a / b);
  double m = std::fmod(a, b);
  if (m != 0 && (m < 0) != (b < 0))
    m += b;
  else if (m == 0)
    m = std::copysign(0.0, b);
  if (op == "%") return Value::real(m);
  const double d = (a - m) / b;
  double f = std::floor(d);
  if (d - f > 0.5) f += 1;
  return Value::real(d == 0 ? std::copysign(0.0, a / b) : f);
}

Value strftime_now(Interpreter& in, Arguments& a) {
  const Value& format = a.need(0, "format", "strftime_now");
  if (!format.is_string()) type_error("strftime_now() expected a string");
  if (format.text().size() > 1000) fail("strftime_now: format too long");
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::string out(8192, 0);
  out.resize(format.text().empty() ? 0 : std::strftime(out.data(), out.size(), format.text().c_str(), &local));
  return in.text(out);
}

Value make_range(Interpreter& in, Arguments& a) {
  a.check(3, {}, "range");
  if (a.positional.empty()) type_error("range expected at least 1 argument, got 0");
  for (const Value& v : a.positional) {
    require_defined(v);
    if (!v.is_integral()) type_error(str("'", type_name(v), "' object cannot be interpreted as an integer"));
  }
  const size_t n = a.positional.size();
  const int64_t start = n > 1 ? a.positional[0].as_int() : 0, stop = a.positional[n > 1 ? 1 : 0].as_int(),
                step = n > 2 ? a.positional[2].as_int() : 1;
  if (step == 0) fail("range() arg 3 must not be zero");
  const __int128 span = step > 0 ? __int128(stop) - start : __int128(start) - stop, size = step > 0 ? step : -__int128(step);
  const __int128 count = span <= 0 ? 0 : (span + size - 1) / size;
  if (count > in.limits().range) fail("range too big, the limit is ", in.limits().range);
  std::vector<Value> items;
  in.charge(int64_t(count) / 8);
  for (int64_t i = 0; i < int64_t(count); ++i) items.push_back(Value::integer(start + i * step));
  return make_list(std::move(items), Kind::kList, str("range(", start, ", ", stop, step == 1 ? "" : str(", ", step), ")"));
}

// dict(..) and namespace(..): one mapping or list of pairs, and keywords
void fill_dict(Interpreter& in, DictObject& out, Arguments& a) {
  if (a.positional.size() > 1) type_error(str("dict expected at most 1 argument, got ", a.positional.size()));
  if (a.positional.size() == 1) {
    const Value& from = a.positional[0];
    if (from.is(Kind::kDict)) {
      in.charge(int64_t(dict_of(from).entries.size()));
      for (const auto& [k, v] : dict_of(from).entries) out.put(k, v);
    } else {
      for (const Value& pair : in.iterate(from)) {
        const auto kv = in.iterate(pair);
        if (kv.size() != 2) fail("dictionary update sequence element has length ", kv.size(), "; 2 is required");
        in.charge(1 + int64_t(out.entries.size()) / 16);
        out.put(kv[0], kv[1]);
      }
    }
  }
  for (auto& [k, v] : a.keywords) out.put(Value::string(k), std::move(v));
}

Value loop_attribute(LoopObject& loop, const std::string& name, const Value& self) {
  const int64_t i = int64_t(loop.index), n = int64_t(loop.items.size());
  if (name == "index") return Value::integer(i + 1);
  if (name == "index0") return Value::integer(i);
  if (name == "revindex") return Value::integer(n - i);
  if (name == "revindex0") return Value::integer(n - i - 1);
  if (name == "first") return Value::boolean(i == 0);
  if (name == "last") return Value::boolean(i + 1 == n);
  if (name == "length") return Value::integer(n);
  if (name == "depth") return Value::integer(loop.level + 1);
  if (name == "depth0") return Value::integer(loop.level);
  if (name == "previtem") return i > 0 ? loop.items[size_t(i) - 1] : Value::undefined("there is no previous item");
  if (name == "nextitem") return i + 1 < n ? loop.items[size_t(i) + 1] : Value::undefined("there is no next item");
  if (name == "cycle") {
    return make_function("cycle", [self](Interpreter&, Arguments& a) {
      if (a.positional.empty()) type_error("no items for cycling given");
      return a.positional[static_cast<LoopObject&>(*self.object).index % a.positional.size()];
    });
  }
  if (name == "changed") {
    return make_function("changed", [self](Interpreter&, Arguments& a) {
      LoopObject& l = static_cast<LoopObject&>(*self.object);
      Value now = make_list(a.positional, Kind::kTuple);
      const bool changed = !l.changed_called || !equal(now, l.last_changed);
      l.changed_called = true;
      l.last_changed = std::move(now);
      return Value::boolean(changed);
    });
  }
  return Value::undefined(str("'LoopContext' object has no attribute '", name, "'"));
}

}  // namespace

const Value* Arguments::find(size_t index, std::string_view name) const {
  if (index < positional.size()) return &positional[index];
  for (const auto& [key, value] : keywords) {
    if (key == name) return &value;
  }
  return nullptr;
}

const Value& Arguments::need(size_t index, std::string_view name, std::string_view function) const {
  if (const Value* v = find(index, name)) return *v;
  type_error(str(function, "() missing argument '", name, "'"));
}

void Arguments::check(size_t most, std::initializer_list<std::string_view> names, std::string_view function) const {
  if (positional.size() > most) type_error(str(function, "() takes at most ", most, " arguments (", positional.size(), " given)"));
  for (const auto& [key, value] : keywords) {
    if (std::find(names.begin(), names.end(), key) == names.end())
      type_error(str(function, "() got an unexpected keyword argument '", key, "'"));
  }
}

Value make_function(std::string name, Function function) {
  auto object = std::make_shared<FunctionObject>();
  object->name = std::move(name);
  object->function = std::move(function);
  Value v;
  v.kind = Kind::kFunction;
  v.object = std::move(object);
  return v;
}

Value* Scope::find(std::string_view name) {
  for (Scope* s = this; s; s = s->parent.get()) {
    for (auto& [key, value] : s->variables) {
      if (key == name) return &value;
    }
  }
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  for (auto& [key, old] : variables) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  variables.emplace_back(std::string(name), std::move(value));
}

struct Interpreter::Deeper {
  explicit Deeper(Interpreter& in) : interpreter(in) {
    if (++in.depth_ > kMaxStack) fail("nested too deeply");
    in.charge();
  }
  ~Deeper() { --interpreter.depth_; }
  Interpreter& interpreter;
};

Interpreter::Interpreter(const RenderLimits& limits, const Json& variables) : limits_(limits) {
  deadline_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(limits.milliseconds);
  auto builtin = std::make_shared<Scope>();
  add_globals(*builtin);
  globals_ = std::make_shared<Scope>();
  globals_->parent = builtin;
  if (variables.is_null()) return;
  for (const auto& [key, value] : variables.items()) globals_->set(key, from_json(value));
}

Interpreter::~Interpreter() {
  for (const auto& weak : closures_) {
    if (const auto scope = weak.lock()) scope->variables.clear();
  }
}

Rendered Interpreter::run(const Body& body) {
  try {
    auto scope = std::make_shared<Scope>();
    scope->parent = globals_;
    execute(body, scope, result_.text);
  } catch (const Error& e) {
    template_error(line_, e.what());
  }
  return std::move(result_);
}

void Interpreter::charge(int64_t steps) {
  steps_ += steps;
  if (steps_ > limits_.steps) fail("the template takes more than ", limits_.steps, " steps");
  if (steps_ < next_clock_) return;
  next_clock_ = steps_ + 512;
  if (std::chrono::steady_clock::now() > deadline_) fail("the template takes longer than ", limits_.milliseconds, " ms");
}

Value Interpreter::text(std::string s, bool markup) {
  if (int64_t(s.size()) > limits_.output_bytes) fail("text longer than ", limits_.output_bytes, " bytes");
  charge(int64_t(s.size() / 64));
  made_ += int64_t(s.size());
  if (made_ > 32 * limits_.output_bytes) fail("the template makes more than ", 32 * limits_.output_bytes, " bytes of text");
  return Value::string(std::move(s), markup);
}

void Interpreter::emit(std::string& out, std::string_view text) {
  if (int64_t(out.size() + text.size()) > limits_.output_bytes) fail("output longer than ", limits_.output_bytes, " bytes");
  charge(int64_t(text.size() / 64));
  out += text;
}

// ---- statements

Interpreter::Flow Interpreter::execute(const Body& body, const ScopePtr& scope, std::string& out) {
  for (const auto& s : body) {
    const Flow flow = execute(*s, scope, out);
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

std::string Interpreter::captured(const Body& body, const ScopePtr& scope) {
  auto inner = std::make_shared<Scope>();
  inner->parent = scope;
  std::string out;
  execute(body, inner, out);
  return out;
}

Interpreter::Flow Interpreter::execute(const Statement& s, const ScopePtr& scope, std::string& out) {
  Deeper deeper(*this);
  line_ = s.line;
  switch (s.kind) {
    case StatementKind::kText:
      emit(out, s.text);
      break;
    case StatementKind::kOutput: {
      const Value v = evaluate(*s.exprs[0], scope);
      if (v.is_string()) {
        emit(out, v.text());
      } else {
        charge(weight(v) / 4);
        emit(out, to_text(v));
      }
      break;
    }
    case StatementKind::kIf:
      for (size_t i = 0; i < s.exprs.size(); ++i) {
        if (truthy(evaluate(*s.exprs[i], scope))) return execute(s.bodies[i], scope, out);
      }
      if (s.bodies.size() > s.exprs.size()) return execute(s.bodies.back(), scope, out);
      break;
    case StatementKind::kFor:
      return run_for(s, scope, out);
    case StatementKind::kSet:
      assign(s.targets[0], evaluate(*s.exprs[0], scope), scope);
      break;
    case StatementKind::kSetBlock: {
      Value value = text(captured(s.bodies[0], scope));
      if (s.exprs[0]) {
        auto with = std::make_shared<Scope>();
        with->parent = scope;
        with->set(" body", value);  // the head of the filter chain, see kFilter
        value = evaluate(*s.exprs[0], with);
      }
      assign(s.targets[0], value, scope);
      break;
    }
    case StatementKind::kMacro:
      scope->set(s.text, macro(s, scope, s.text));
      break;
    case StatementKind::kCallBlock: {
      const Value caller = macro(s, scope, "caller");
      emit(out, to_text(evaluate_call(*s.exprs[0], scope, &caller)));
      break;
    }
    case StatementKind::kFilterBlock: {
      auto with = std::make_shared<Scope>();
      with->parent = scope;
      with->set(" body", text(captured(s.bodies[0], scope)));
      emit(out, to_text(evaluate(*s.exprs[0], with)));
      break;
    }
    case StatementKind::kWith: {
      auto inner = std::make_shared<Scope>();
      inner->parent = scope;
      std::vector<Value> values;
      for (const ExprPtr& e : s.exprs) values.push_back(evaluate(*e, scope));
      for (size_t i = 0; i < values.size(); ++i) assign(s.targets[i], values[i], inner);
      return execute(s.bodies[0], inner, out);
    }
    case StatementKind::kGeneration: {
      const size_t begin = result_.text.size();
      const std::string body = captured(s.bodies[0], scope);
      emit(out, body);
      result_.generation_spans.emplace_back(begin, begin + body.size());
      break;
    }
    case StatementKind::kBreak:
      return Flow::kBreak;
    case StatementKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::run_for(const Statement& s, const ScopePtr& scope, std::string& out) {
  const Value iterable = evaluate(*s.exprs[0], scope);
  return loop_over(s, iterable, 0, scope, out);
}

Interpreter::Flow Interpreter::loop_over(const Statement& s, const Value& iterable, int level, const ScopePtr& scope, std::string& out) {
  auto loop = std::make_shared<LoopObject>();
  loop->level = level;
  loop->items = iterate(iterable);
  if (s.exprs[1]) {
    std::vector<Value> kept;
    for (const Value& v : loop->items) {
      auto inner = std::make_shared<Scope>();
      inner->parent = scope;
      assign(s.targets[0], v, inner);
      if (truthy(evaluate(*s.exprs[1], inner))) kept.push_back(v);
    }
    loop->items = std::move(kept);
  }
  if (s.recursive) {
    loop->recurse = [this, &s, level, scope](Interpreter&, Arguments& a) {
      if (++calls_ > limits_.depth) fail("recursion deeper than ", limits_.depth);
      std::string inner;
      loop_over(s, a.need(0, "iterable", "loop"), level + 1, scope, inner);
      --calls_;
      return text(std::move(inner));
    };
  }
  Value self;
  self.kind = Kind::kLoop;
  self.object = loop;
  if (loop->items.empty() && s.bodies.size() > 1) return execute(s.bodies[1], scope, out);
  for (; loop->index < loop->items.size(); ++loop->index) {
    charge();
    auto inner = std::make_shared<Scope>();
    inner->parent = scope;
    assign(s.targets[0], loop->items[loop->index], inner);
    inner->set("loop", self);
    if (execute(s.bodies[0], inner, out) == Flow::kBreak) break;
  }
  return Flow::kNormal;
}

void Interpreter::assign(const Target& target, const Value& value, const ScopePtr& scope) {
  if (!target.parts.empty()) {
    const auto values = iterate(value);
    if (values.size() != target.parts.size()) {
      fail(values.size() < target.parts.size() ? "not enough" : "too many", " values to unpack (expected ", target.parts.size(), ", got ",
           values.size(), ")");
    }
    for (size_t i = 0; i < values.size(); ++i) assign(target.parts[i], values[i], scope);
  } else if (!target.attribute.empty()) {
    Value* object = scope->find(target.name);
    if (!object || !object->is(Kind::kNamespace)) fail("cannot assign attribute on non-namespace object '", target.name, "'");
    if (target.attribute[0] == '_') fail("namespaces can't store attributes that begin with an underscore: '", target.attribute, "'");
    static_cast<NamespaceObject&>(*object->object).attributes.put(Value::string(target.attribute), value);
  } else {
    scope->set(target.name, value);
  }
}

Value Interpreter::macro(const Statement& s, const ScopePtr& scope, std::string name) {
  closures_.push_back(scope);
  return make_function(name, [this, &s, scope, name](Interpreter&, Arguments& a) { return call_macro(s, scope, name, a); });
}

Value Interpreter::call_macro(const Statement& s, const ScopePtr& scope, const std::string& name, Arguments& a) {
  if (++calls_ > limits_.depth) fail("macro calls nested deeper than ", limits_.depth);
  Deeper deeper(*this);
  auto inner = std::make_shared<Scope>();
  inner->parent = scope;
  const size_t n = s.parameters.size(), required = n - s.defaults.size();
  for (size_t i = 0; i < n; ++i) {
    const std::string& parameter = s.parameters[i];
    const auto keyword = std::find_if(a.keywords.begin(), a.keywords.end(), [&](const auto& k) { return k.first == parameter; });
    if (i < a.positional.size()) {
      if (keyword != a.keywords.end()) type_error(str("macro '", name, "' got multiple values for argument '", parameter, "'"));
      inner->set(parameter, a.positional[i]);
    } else if (keyword != a.keywords.end()) {
      inner->set(parameter, keyword->second);
    } else if (i >= required) {
      inner->set(parameter, evaluate(*s.defaults[i - required], inner));
    } else {
      inner->set(parameter, Value::undefined(str("parameter '", parameter, "' was not provided")));
    }
  }
  std::vector<Value> more;
  for (size_t i = n; i < a.positional.size(); ++i) more.push_back(a.positional[i]);
  std::vector<std::pair<Value, Value>> named;
  for (const auto& [key, value] : a.keywords) {
    if (key == "caller")
      inner->set("caller", value);
    else if (std::find(s.parameters.begin(), s.parameters.end(), key) == s.parameters.end())
      named.emplace_back(Value::string(key), value);
  }
  inner->set("varargs", make_list(std::move(more), Kind::kTuple));
  inner->set("kwargs", make_dict(std::move(named)));
  std::string out;
  execute(s.bodies[0], inner, out);
  --calls_;
  return text(std::move(out));
}

// ---- expressions

Value Interpreter::evaluate(const Expr& e, const ScopePtr& scope) {
  Deeper deeper(*this);
  const auto child = [&](size_t i) { return evaluate(*e.children[i], scope); };
  switch (e.kind) {
    case ExprKind::kConst:
      return e.constant;
    case ExprKind::kName: {
      const Value* v = scope->find(e.name);
      return v ? *v : Value::undefined(str("'", e.name, "' is undefined"));
    }
    case ExprKind::kList:
    case ExprKind::kTuple: {
      std::vector<Value> items;
      for (size_t i = 0; i < e.children.size(); ++i) items.push_back(child(i));
      return make_list(std::move(items), e.kind == ExprKind::kList ? Kind::kList : Kind::kTuple);
    }
    case ExprKind::kDict: {
      std::vector<std::pair<Value, Value>> entries;
      for (size_t i = 0; i + 1 < e.children.size(); i += 2) {
        Value key = child(i);
        entries.emplace_back(std::move(key), child(i + 1));
      }
      return make_dict(std::move(entries));
    }
    case ExprKind::kGetattr:
      return attribute(child(0), e.name);
    case ExprKind::kGetitem:
      if (e.children[1]->kind == ExprKind::kSlice) return slice(child(0), *e.children[1], scope);
      {
        const Value object = child(0);
        return item(object, child(1));
      }
    case ExprKind::kSlice:
      fail("a slice is only possible as the single key of []");
    case ExprKind::kCall:
      return evaluate_call(e, scope);
    case ExprKind::kFilter: {
      const Value subject = e.children[0] ? child(0) : *scope->find(" body");
      Arguments a = arguments_of(e, 1, scope);
      line_ = e.line;
      return filter(e.name, subject, a);
    }
    case ExprKind::kTest: {
      const Value subject = child(0);
      Arguments a = arguments_of(e, 1, scope);
      line_ = e.line;
      return Value::boolean(test(e.name, subject, a));
    }
    case ExprKind::kOr: {
      Value left = child(0);
      return truthy(left) ? left : child(1);
    }
    case ExprKind::kAnd: {
      Value left = child(0);
      return truthy(left) ? child(1) : left;
    }
    case ExprKind::kNot:
      return Value::boolean(!truthy(child(0)));
    case ExprKind::kNeg:
    case ExprKind::kPos: {
      const Value v = child(0);
      require_defined(v);
      if (!v.is_number()) type_error(str("bad operand type for unary ", e.kind == ExprKind::kNeg ? "-" : "+", ": '", type_name(v), "'"));
      if (v.is(Kind::kFloat)) return Value::real(e.kind == ExprKind::kNeg ? -v.d : v.d);
      return e.kind == ExprKind::kNeg ? arithmetic_int("-", 0, v.as_int()) : Value::integer(v.as_int());
    }
    case ExprKind::kBinary: {
      const Value a = child(0), b = child(1);
      line_ = e.line;
      return binary(e.name, a, b);
    }
    case ExprKind::kConcat: {
      std::string out;
      for (size_t i = 0; i < e.children.size(); ++i) {
        const Value v = child(i);
        charge(weight(v) / 4);
        out += to_text(v);
        if (int64_t(out.size()) > limits_.output_bytes) fail("text longer than ", limits_.output_bytes, " bytes");
      }
      return text(std::move(out));
    }
    case ExprKind::kCompare: {
      Value left = child(0);
      for (size_t i = 0; i < e.names.size(); ++i) {
        Value right = child(i + 1);
        line_ = e.line;
        if (!compare(e.names[i], left, right)) return Value::boolean(false);
        left = std::move(right);
      }
      return Value::boolean(true);
    }
    case ExprKind::kCondition:
      if (truthy(child(0))) return child(1);
      return e.children[2] ? child(2) : Value::undefined("the inline if-expression evaluated to false and no else section was defined");
  }
  return {};
}

Arguments Interpreter::arguments_of(const Expr& e, size_t first, const ScopePtr& scope) {
  Arguments a;
  for (size_t i = first; i < e.children.size(); ++i) a.positional.push_back(evaluate(*e.children[i], scope));
  for (const auto& [name, value] : e.keywords) a.keywords.emplace_back(name, evaluate(*value, scope));
  if (e.star) {
    for (Value& v : iterate(evaluate(*e.star, scope))) a.positional.push_back(std::move(v));
  }
  if (e.double_star) {
    const Value more = evaluate(*e.double_star, scope);
    if (!more.is(Kind::kDict)) type_error("argument after ** must be a mapping");
    for (const auto& [key, value] : dict_of(more).entries) {
      if (!key.is_string()) type_error("keywords must be strings");
      a.keywords.emplace_back(key.text(), value);
    }
  }
  return a;
}

Value Interpreter::evaluate_call(const Expr& e, const ScopePtr& scope, const Value* caller) {
  const Value callee = evaluate(*e.children[0], scope);
  Arguments a = arguments_of(e, 1, scope);
  if (caller) a.keywords.emplace_back("caller", *caller);
  line_ = e.line;
  return call(callee, a);
}

Value Interpreter::call(const Value& callee, Arguments& a) {
  require_defined(callee);
  if (callee.is(Kind::kLoop)) {
    const Function& recurse = static_cast<const LoopObject&>(*callee.object).recurse;
    if (!recurse) type_error("the loop must have the 'recursive' marker to be called recursively");
    return recurse(*this, a);
  }
  if (!callee.is(Kind::kFunction)) type_error(str("'", type_name(callee), "' object is not callable"));
  const auto keep = callee.object;
  return static_cast<const FunctionObject&>(*keep).function(*this, a);
}

Value Interpreter::filter(const std::string& name, const Value& subject, Arguments& a) {
  const Builtin f = find_filter(name);
  if (!f) fail("no filter named '", name, "'");
  charge(1 + weight(subject) / 8);
  return f(*this, subject, a);
}

bool Interpreter::test(const std::string& name, const Value& subject, Arguments& a) {
  const BuiltinTest t = find_test(name);
  if (!t) fail("no test named '", name, "'");
  charge();
  return t(*this, subject, a);
}

Value Interpreter::attribute(const Value& object, const std::string& name) {
  require_defined(object);
  if (object.is(Kind::kLoop)) return loop_attribute(static_cast<LoopObject&>(*object.object), name, object);
  if (object.is(Kind::kFunction) && name == "name") return Value::string(static_cast<const FunctionObject&>(*object.object).name);
  if (object.is(Kind::kNamespace)) {
    const Value* v = static_cast<const NamespaceObject&>(*object.object).attributes.find(name);
    return v ? *v : Value::undefined(str("'Namespace' object has no attribute '", name, "'"));
  }
  if (mutates(object.kind, name) || name.starts_with("__")) {
    const Value* v = object.is(Kind::kDict) && !mutates(object.kind, name) ? dict_of(object).find(name) : nullptr;
    return v ? *v : Value::undefined(str("access to attribute '", name, "' of '", type_name(object), "' object is unsafe"));
  }
  if (const Builtin method = find_method(object.kind, name)) {
    return make_function(name, [method, object](Interpreter& in, Arguments& a) { return method(in, object, a); });
  }
  if (object.is(Kind::kDict)) {
    charge(int64_t(dict_of(object).entries.size()) / 16);
    if (const Value* v = dict_of(object).find(name)) return *v;
  }
  return Value::undefined(str("'", type_name(object), " object' has no attribute '", name, "'"));
}

Value Interpreter::item(const Value& object, const Value& key) {
  require_defined(object);
  if (object.is(Kind::kDict)) {
    charge(int64_t(dict_of(object).entries.size()) / 16);
    if (const Value* v = dict_of(object).find(key)) return *v;
  } else if (object.is_sequence() && key.is_integral()) {
    const int64_t n = int64_t(object.items().size()), i = key.as_int() < 0 ? key.as_int() + n : key.as_int();
    if (i >= 0 && i < n) return object.items()[size_t(i)];
    return Value::undefined(str("'", type_name(object), " object' has no element ", key.as_int()));
  } else if (object.is_string() && key.is_integral()) {
    charge(int64_t(object.text().size() / 64));
    const auto s = to_utf32(object.text());
    const int64_t n = int64_t(s.size()), i = key.as_int() < 0 ? key.as_int() + n : key.as_int();
    if (i >= 0 && i < n) return text(to_utf8(s.substr(size_t(i), 1)));
    return Value::undefined(str("'str object' has no element ", key.as_int()));
  }
  if (key.is_string() && !key.text().starts_with("__")) {
    if (object.is(Kind::kDict) && !find_method(Kind::kDict, key.text()))
      return Value::undefined(str("'dict object' has no attribute '", key.text(), "'"));
    return attribute(object, key.text());
  }
  return Value::undefined(str("'", type_name(object), " object' has no element ", repr(key)));
}

Value Interpreter::slice(const Value& object, const Expr& range, const ScopePtr& scope) {
  require_defined(object);
  const auto bound = [&](size_t i) -> std::optional<int64_t> {
    if (!range.children[i]) return std::nullopt;
    const Value v = evaluate(*range.children[i], scope);
    if (v.is(Kind::kNone)) return std::nullopt;
    require_defined(v);
    if (!v.is_integral()) type_error("slice indices must be integers or None");
    return v.as_int();
  };
  const auto start = bound(0), stop = bound(1);
  const int64_t step = bound(2).value_or(1);
  if (step == 0) fail("slice step cannot be zero");
  if (!object.is_sequence() && !object.is_string()) type_error(str("'", type_name(object), "' object can't be sliced"));
  std::u32string chars;
  if (object.is_string()) chars = to_utf32(object.text());
  const int64_t n = object.is_string() ? int64_t(chars.size()) : int64_t(object.items().size());
  charge(1 + n / 32);
  // as Python's slice.indices
  const int64_t lowest = step < 0 ? -1 : 0, highest = step < 0 ? n - 1 : n;
  const auto clamp = [&](std::optional<int64_t> v, int64_t fallback) {
    if (!v) return fallback;
    return *v < 0 ? std::max(*v + n, lowest) : std::min(*v, highest);
  };
  const int64_t from = clamp(start, step < 0 ? highest : lowest), to = clamp(stop, step < 0 ? lowest : highest);
  std::u32string picked;
  std::vector<Value> items;
  for (int64_t i = from; step > 0 ? i < to : i > to;) {
    if (object.is_string())
      picked += chars[size_t(i)];
    else
      items.push_back(object.items()[size_t(i)]);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  if (object.is_string()) return text(to_utf8(picked));
  return make_list(std::move(items), object.kind);
}

std::vector<Value> Interpreter::iterate(const Value& v) {
  switch (v.kind) {
    case Kind::kUndefined:
      return {};
    case Kind::kList:
    case Kind::kTuple:
      charge(int64_t(v.items().size()) / 8);
      return v.items();
    case Kind::kDict: {
      std::vector<Value> keys;
      charge(int64_t(dict_of(v).entries.size()) / 8);
      for (const auto& [key, value] : dict_of(v).entries) keys.push_back(key);
      return keys;
    }
    case Kind::kString: {
      std::vector<Value> characters;
      const auto s = to_utf32(v.text());
      if (s.size() > kMaxItems) fail("list with more than ", kMaxItems, " items");
      charge(int64_t(s.size()) / 4);
      for (const char32_t c : s) characters.push_back(Value::string(to_utf8(std::u32string_view(&c, 1))));
      return characters;
    }
    default:
      type_error(str("'", type_name(v), "' object is not iterable"));
  }
}

Value Interpreter::binary(const std::string& op, const Value& a, const Value& b) {
  require_defined(a);
  if (op == "%" && a.is_string()) return percent_format(*this, a.text(), b);
  require_defined(b);
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return arithmetic_int(op, a.as_int(), b.as_int());
    return arithmetic_float(op, a.as_double(), b.as_double());
  }
  if (op == "+" && a.is_string() && b.is_string()) {
    const bool markup = a.markup() || b.markup();
    const std::string left = markup && !a.markup() ? html_escaped(a.text()) : a.text();
    if (int64_t(left.size() + b.text().size()) > limits_.output_bytes) fail("text longer than ", limits_.output_bytes, " bytes");
    return text(left + (markup && !b.markup() ? html_escaped(b.text()) : b.text()), markup);
  }
  if (op == "+" && a.is_sequence() && a.kind == b.kind) {
    std::vector<Value> items = a.items();
    items.insert(items.end(), b.items().begin(), b.items().end());
    charge(int64_t(items.size()) / 8);
    return make_list(std::move(items), a.kind);
  }
  const auto repeatable = [](const Value& v) { return v.is_string() || v.is_sequence(); };
  if (op == "*" && ((repeatable(a) && b.is_integral()) || (repeatable(b) && a.is_integral()))) {
    const Value& what = repeatable(a) ? a : b;
    const int64_t times = std::max<int64_t>(0, (repeatable(a) ? b : a).as_int());
    const int64_t size = what.is_string() ? int64_t(what.text().size()) : int64_t(what.items().size());
    const int64_t most = what.is_string() ? limits_.output_bytes : limits_.range;
    if (size > 0 && times > most / size) fail("repeated to more than ", most, what.is_string() ? " bytes" : " items");
    if (what.is_string()) {
      std::string out;
      out.reserve(size_t(size * times));
      for (int64_t i = 0; i < times && size > 0; ++i) out += what.text();
      return text(std::move(out), what.markup());
    }
    std::vector<Value> items;
    charge(size * times / 2);
    for (int64_t i = 0; i < times && size > 0; ++i) items.insert(items.end(), what.items().begin(), what.items().end());
    return make_list(std::move(items), what.kind);
  }
  type_error(str("unsupported operand type(s) for ", op, ": '", type_name(a), "' and '", type_name(b), "'"));
}

bool Interpreter::compare(const std::string& op, const Value& a, const Value& b) {
  charge(std::min(weight(a), weight(b)) / 4);
  if (op == "==") return equal(a, b);
  if (op == "!=") return !equal(a, b);
  if (op == "in") return contains(*this, b, a);
  if (op == "not in") return !contains(*this, b, a);
  const auto nan = [](const Value& v) { return v.is(Kind::kFloat) && std::isnan(v.d); };
  if (nan(a) || nan(b)) return false;
  if (op == "<") return less(a, b);
  if (op == ">") return less(b, a);
  return op == "<=" ? !less(b, a) : !less(a, b);
}

void Interpreter::add_globals(Scope& scope) {
  const auto add = [&](const char* name, Function f) { scope.set(name, make_function(name, std::move(f))); };
  add("range", make_range);
  add("strftime_now", strftime_now);
  add("raise_exception", [](Interpreter&, Arguments& a) -> Value { fail(to_text(a.need(0, "message", "raise_exception"))); });
  add("dict", [](Interpreter& in, Arguments& a) {
    auto object = std::make_shared<DictObject>();
    fill_dict(in, *object, a);
    Value v;
    v.kind = Kind::kDict;
    v.object = std::move(object);
    return v;
  });
  add("namespace", [](Interpreter& in, Arguments& a) {
    auto object = std::make_shared<NamespaceObject>();
    fill_dict(in, object->attributes, a);
    for (const auto& [key, value] : object->attributes.entries) {
      if (key.is_string() && key.text().starts_with("_"))
        fail("namespaces can't store attributes that begin with an underscore: '", key.text(), "'");
    }
    Value v;
    v.kind = Kind::kNamespace;
    v.object = std::move(object);
    return v;
  });
  add("joiner", [](Interpreter& in, Arguments& a) {
    a.check(1, {"sep"}, "joiner");
    const Value* given = a.find(0, "sep");
    const Value separator = given ? *given : in.text(", ");
    auto used = std::make_shared<bool>(false);
    return make_function(
        "joiner", [separator, used](Interpreter&, Arguments&) { return std::exchange(*used, true) ? separator : Value::string(""); });
  });
}

}  // namespace r1::text::jinja
