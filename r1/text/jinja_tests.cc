// Tests of chat templates: what stands after `is`.
#include "r1/text/jinja_builtins.h"

#include <algorithm>
#include <cmath>

#include "r1/base/error.h"

namespace r1::text::jinja {
namespace {

using In = Interpreter;
using V = Value;
using Args = Arguments;

template <int kWhich>  // 0 <, 1 <=, 2 >, 3 >=
bool order_test(In&, const V& v, Args& a) {
  const V& other = a.need(0, "other", "test");
  return kWhich == 0 ? less(v, other) : kWhich == 1 ? !less(other, v) : kWhich == 2 ? less(other, v) : !less(v, other);
}

bool equal_test(In&, const V& v, Args& a) {
  return equal(v, a.need(0, "other", "equalto"));
}

bool unequal_test(In&, const V& v, Args& a) {
  return !equal(v, a.need(0, "other", "ne"));
}

bool iterable_test(In&, const V& v, Args&) {
  return v.is_string() || v.is_sequence() || v.is(Kind::kDict) || v.is(Kind::kUndefined) || v.is(Kind::kLoop);
}

bool divides(const V& v, int64_t by) {
  require_defined(v);
  if (!v.is_number()) type_error("expected a number");
  if (by == 0) fail("integer modulo by zero");
  return v.is_integral() ? (by == -1 || v.as_int() % by == 0) : std::fmod(v.d, double(by)) == 0;
}

}  // namespace

const TestTable& tests() {
  static const TestTable table = {
      {"defined", [](In&, const V& v, Args&) { return !v.is(Kind::kUndefined); }},
      {"undefined", [](In&, const V& v, Args&) { return v.is(Kind::kUndefined); }},
      {"none", [](In&, const V& v, Args&) { return v.is(Kind::kNone); }},
      {"string", [](In&, const V& v, Args&) { return v.is_string(); }},
      {"mapping", [](In&, const V& v, Args&) { return v.is(Kind::kDict); }},
      {"iterable", iterable_test},
      {"sequence", [](In&, const V& v, Args&) { return v.is_string() || v.is_sequence() || v.is(Kind::kDict) || v.is(Kind::kUndefined); }},
      {"number", [](In&, const V& v, Args&) { return v.is_number() || v.is(Kind::kBigInt); }},
      {"integer", [](In&, const V& v, Args&) { return v.is(Kind::kInt) || v.is(Kind::kBigInt); }},
      {"float", [](In&, const V& v, Args&) { return v.is(Kind::kFloat); }},
      {"boolean", [](In&, const V& v, Args&) { return v.is(Kind::kBool); }},
      {"true", [](In&, const V& v, Args&) { return v.is(Kind::kBool) && v.b; }},
      {"false", [](In&, const V& v, Args&) { return v.is(Kind::kBool) && !v.b; }},
      {"callable", [](In&, const V& v, Args&) { return v.is(Kind::kFunction) || v.is(Kind::kLoop) || v.is(Kind::kUndefined); }},
      {"odd", [](In&, const V& v, Args&) { return !divides(v, 2); }},
      {"even", [](In&, const V& v, Args&) { return divides(v, 2); }},
      {"divisibleby", [](In&, const V& v, Args& a) { return divides(v, int_of(a.need(0, "num", "divisibleby"), "num")); }},
      {"eq", equal_test},
      {"equalto", equal_test},
      {"==", equal_test},
      {"ne", unequal_test},
      {"!=", unequal_test},
      {"lt", order_test<0>},
      {"lessthan", order_test<0>},
      {"<", order_test<0>},
      {"le", order_test<1>},
      {"<=", order_test<1>},
      {"gt", order_test<2>},
      {"greaterthan", order_test<2>},
      {">", order_test<2>},
      {"ge", order_test<3>},
      {">=", order_test<3>},
      {"in", [](In& in, const V& v, Args& a) { return contains(in, a.need(0, "seq", "in"), v); }},
      {"lower", [](In&, const V& v, Args&) { return has_case<false>(to_text(v)); }},
      {"upper", [](In&, const V& v, Args&) { return has_case<true>(to_text(v)); }},
      {"sameas",
       [](In&, const V& v, Args& a) {
         const V& other = a.need(0, "other", "sameas");
         if (v.kind != other.kind) return false;
         return v.object || other.object ? v.object == other.object || (v.is_string() && v.text() == other.text()) : equal(v, other);
       }},
      {"escaped", [](In&, const V& v, Args&) { return v.markup(); }},
      {"filter", [](In&, const V& v, Args&) { return v.is_string() && find_filter(v.text()) != nullptr; }},
      {"test", [](In&, const V& v, Args&) { return v.is_string() && find_test(v.text()) != nullptr; }},
  };
  return table;
}

}  // namespace r1::text::jinja
