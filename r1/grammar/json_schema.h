// JSON and JSON Schema to expressions. The schema's meaning is that of draft 2020-12 (older forms of items, definitions, nullable too); the
// grammar is a subset of what it accepts, never more:
//   - properties come in the schema's order; others only where additionalProperties says so (or nothing is said of any property);
//   - a schema that names no type has that of its keywords (properties: an object);
//   - blanks are one space, or one line end with up to 40 blanks behind it, or none, and only behind { [ , : and before } ];
//   - numbers have up to 18 digits before and behind the point and two of exponent; integers have no point;
//   - strings that match a pattern or format write no character as \u that can stand for itself, and with a maxLength have up to 500;
//   - behind prefixItems of which nothing more is said come no other items.
// What constrains and is not supported is refused (kUsage) with keyword and path: not, if, uniqueItems, contains, multipleOf other than 1,
// patternProperties, propertyNames, dependent*, unevaluated*, references out of the document; oneOf whose alternatives may both match.
#pragma once

#include "r1/base/json.h"
#include "r1/grammar/expression.h"

namespace r1::grammar {

// Each returns a rule's number.
int32_t json_schema_rule(Expressions& x, const Json& schema);
int32_t json_object_rule(Expressions& x);

// What generic JSON is made of; one for an Expressions.
class JsonRules {
 public:
  explicit JsonRules(Expressions& x) : x_(x) {}
  Node blanks();
  Node string();          // any
  int32_t string_char();  // one character or escape of it
  Node integer();
  Node number();
  Node any_value();
  Node any_object();
  Node any_array();
  Node literal(const Json& value);
  // "key", a colon, a value
  Node member(Node key, Node value);

 private:
  int32_t shared(int32_t& rule, const char* name, Node (JsonRules::*make)());
  Node make_blanks();
  Node make_string();
  Node make_char();
  Node make_integer();
  Node make_number();
  Node make_value();
  Node make_object();
  Node make_array();

  Expressions& x_;
  int32_t blanks_ = -1, string_ = -1, char_ = -1, integer_ = -1, number_ = -1, value_ = -1, object_ = -1, array_ = -1;
};

}  // namespace r1::grammar
