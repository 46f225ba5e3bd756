#include "r1/grammar/json_number.h"
#include "r1/grammar/json_schema.h"

namespace r1::grammar {

namespace {

// Never written out where they are used, but for the value: its objects and arrays end at the deepest level without a dead end.
bool keeps(const char* name) {
  return std::string_view(name) != "value";
}

}  // namespace

int32_t JsonRules::shared(int32_t& rule, const char* name, Node (JsonRules::*make)()) {
  if (rule >= 0) return rule;
  rule = x_.new_rule(name, keeps(name));
  x_.set_rule(rule, (this->*make)());
  return rule;
}

Node JsonRules::blanks() {
  return x_.rule(shared(blanks_, "blanks", &JsonRules::make_blanks));
}
Node JsonRules::string() {
  return x_.rule(shared(string_, "string", &JsonRules::make_string));
}
int32_t JsonRules::string_char() {
  return shared(char_, "character", &JsonRules::make_char);
}
Node JsonRules::integer() {
  return x_.rule(shared(integer_, "integer", &JsonRules::make_integer));
}
Node JsonRules::number() {
  return x_.rule(shared(number_, "number", &JsonRules::make_number));
}
Node JsonRules::any_value() {
  return x_.rule(shared(value_, "value", &JsonRules::make_value));
}
Node JsonRules::any_object() {
  return x_.rule(shared(object_, "object", &JsonRules::make_object));
}
Node JsonRules::any_array() {
  return x_.rule(shared(array_, "array", &JsonRules::make_array));
}

Node JsonRules::make_blanks() {
  const Node indent = x_.repeat(x_.bytes({{'\t', '\t'}, {' ', ' '}}), 0, 40);
  return x_.choice({x_.empty(), x_.literal(" "), x_.concat({x_.literal("\n"), indent})});
}

Node JsonRules::make_char() {
  const auto hex = [&] { return x_.bytes({{'0', '9'}, {'A', 'F'}, {'a', 'f'}}); };
  const auto d = [&] { return x_.bytes({{'D', 'D'}, {'d', 'd'}}); };
  const Node plain = x_.concat({x_.bytes({{'0', '9'}, {'A', 'C'}, {'E', 'F'}, {'a', 'c'}, {'e', 'f'}}), hex(), hex(), hex()});
  const Node below_surrogates = x_.concat({d(), x_.bytes({{'0', '7'}}), hex(), hex()});
  const Node pair = x_.concat({d(), x_.bytes({{'8', '9'}, {'A', 'B'}, {'a', 'b'}}), hex(), hex(), x_.literal("\\u"), d(),
                               x_.bytes({{'C', 'F'}, {'c', 'f'}}), hex(), hex()});
  const Node escape =
      x_.choice({x_.bytes({{'"', '"'}, {'/', '/'}, {'\\', '\\'}, {'b', 'b'}, {'f', 'f'}, {'n', 'n'}, {'r', 'r'}, {'t', 't'}}),
                 x_.concat({x_.literal("u"), x_.choice({plain, below_surrogates, pair})})});
  return x_.choice({x_.chars(text::complement({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}})), x_.concat({x_.literal("\\"), escape})});
}

Node JsonRules::make_string() {
  // Written out here: a loop inside one rule is one state for all of a mask.
  return x_.concat({x_.literal("\""), x_.star(make_char()), x_.literal("\"")});
}

Node JsonRules::make_integer() {
  return number_shape(x_, true, false);
}

Node JsonRules::make_number() {
  return number_shape(x_, false, true);
}

Node JsonRules::make_value() {
  return x_.choice({string(), number(), x_.literal("true"), x_.literal("false"), x_.literal("null"), any_object(), any_array()});
}

Node JsonRules::member(Node key, Node value) {
  return x_.concat({key, x_.literal(":"), blanks(), value});
}

Node JsonRules::make_object() {
  const Node separator = x_.concat({x_.literal(","), blanks()});
  const Node members = x_.members({}, {}, separator, member(string(), any_value()), false);
  return x_.concat({x_.literal("{"), blanks(), x_.optional(x_.concat({members, blanks()})), x_.literal("}")});
}

Node JsonRules::make_array() {
  const Node separator = x_.concat({x_.literal(","), blanks()});
  const Node items = x_.members({}, {}, separator, any_value(), false);
  return x_.concat({x_.literal("["), blanks(), x_.optional(x_.concat({items, blanks()})), x_.literal("]")});
}

Node JsonRules::literal(const Json& value) {
  x_.budget().spend_steps(10);
  if (!value.is_structured()) return x_.literal(dump_json(value));
  const bool object = value.is_object();
  std::vector<Node> parts{x_.literal(object ? "{" : "["), blanks()};
  bool first = true;
  for (const auto& item : value.items()) {
    if (!first) parts.insert(parts.end(), {x_.literal(","), blanks()});
    first = false;
    if (object) parts.insert(parts.end(), {x_.literal(dump_json(item.key())), x_.literal(":"), blanks()});
    parts.push_back(literal(item.value()));
  }
  if (!first) parts.push_back(blanks());
  parts.push_back(x_.literal(object ? "}" : "]"));
  return x_.concat(std::move(parts));
}

int32_t json_object_rule(Expressions& x) {
  JsonRules rules(x);
  return x[rules.any_object()].rule;
}

}  // namespace r1::grammar
