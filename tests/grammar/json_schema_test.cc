// Schemas against a validator of this test's own, over random schemas, valid and broken instances, and answers drawn under the masks.
#include <algorithm>
#include <cmath>

#include "r1/grammar/json_schema.h"
#include "tests/grammar/support.h"

namespace r1::grammar {

namespace {

// The meaning of the keywords that random_schema() uses, told a second time.
bool valid(const Json& schema, const Json& v, const Json& root) {
  if (schema.is_boolean()) return schema.get<bool>();
  const auto has = [&](const char* key) { return schema.contains(key); };
  if (has("$ref")) {
    const std::string ref = schema["$ref"];
    if (!valid(ref == "#" ? root : root["$defs"][ref.substr(8)], v, root)) return false;
  }
  if (has("type")) {
    const auto is = [&](const std::string& t) {
      return t == "integer"  ? v.is_number_integer() || (v.is_number_float() && v.get<double>() == std::floor(v.get<double>()))
             : t == "number" ? v.is_number()
                             : t == v.type_name();
    };
    const Json& t = schema["type"];
    if (t.is_string() ? !is(t) : std::none_of(t.begin(), t.end(), is)) return false;
  }
  if (has("enum") && std::find(schema["enum"].begin(), schema["enum"].end(), v) == schema["enum"].end()) return false;
  if (has("const") && schema["const"] != v) return false;
  if (v.is_number()) {
    if (has("minimum") && v < schema["minimum"]) return false;
    if (has("maximum") && v > schema["maximum"]) return false;
    if (has("exclusiveMinimum") && v <= schema["exclusiveMinimum"]) return false;
    if (has("exclusiveMaximum") && v >= schema["exclusiveMaximum"]) return false;
  }
  if (v.is_string()) {
    int64_t length = 0;
    for (char c : v.get<std::string>()) length += (uint8_t(c) & 0xC0) != 0x80;
    if (has("minLength") && length < schema["minLength"].get<int64_t>()) return false;
    if (has("maxLength") && length > schema["maxLength"].get<int64_t>()) return false;
  }
  if (v.is_array()) {
    if (has("minItems") && v.size() < schema["minItems"].get<size_t>()) return false;
    if (has("maxItems") && v.size() > schema["maxItems"].get<size_t>()) return false;
    const size_t prefix = has("prefixItems") ? schema["prefixItems"].size() : 0;
    for (size_t i = 0; i < v.size(); ++i) {
      if (i < prefix && !valid(schema["prefixItems"][i], v[i], root)) return false;
      if (i >= prefix && has("items") && !valid(schema["items"], v[i], root)) return false;
    }
  }
  if (v.is_object()) {
    if (has("required"))
      for (const Json& name : schema["required"])
        if (!v.contains(name.get<std::string>())) return false;
    for (const auto& item : v.items()) {
      const bool named = has("properties") && schema["properties"].contains(item.key());
      if (named && !valid(schema["properties"][item.key()], item.value(), root)) return false;
      if (!named && has("additionalProperties") && !valid(schema["additionalProperties"], item.value(), root)) return false;
    }
  }
  if (has("allOf"))
    for (const Json& s : schema["allOf"])
      if (!valid(s, v, root)) return false;
  for (const char* any : {"anyOf", "oneOf"}) {
    if (!has(any)) continue;
    int64_t matching = 0;
    for (const Json& s : schema[any]) matching += valid(s, v, root);
    if (any[0] == 'a' ? matching == 0 : matching != 1) return false;
  }
  return true;
}

Json random_schema(Rng& rng, int depth, bool recursive) {
  static const char* const kNames[] = {"a", "b", "name", "né", "q\"", "a1"};
  const uint64_t kind = rng.below(depth == 0 ? 7 : 13);
  const auto below = [&] { return random_schema(rng, depth - 1, recursive); };
  switch (kind) {
    case 0:
      return {{"type", "string"}, {"minLength", rng.between(0, 2)}, {"maxLength", rng.between(2, 6)}};
    case 1: {
      const int64_t low = rng.between(-150, 40);
      return {{"type", "integer"}, {rng.below(2) ? "minimum" : "exclusiveMinimum", low}, {"maximum", low + 1 + rng.between(0, 1200)}};
    }
    case 2: {
      const double low = double(rng.between(-300, 300)) / 8;
      return {
          {"type", "number"}, {"minimum", low}, {rng.below(2) ? "maximum" : "exclusiveMaximum", low + double(rng.between(1, 3000)) / 16}};
    }
    case 3:
      return {{"enum", Json::array({1, "x", nullptr, "né", 2.5, Json::array({1, Json::object()})})}};
    case 4:
      return {{"type", Json::array({"boolean", "null", "integer"})}};
    case 5:
      return {{"const", Json{{"k", Json::array({1, "v"})}}}};
    case 6:
      return recursive ? Json{{"$ref", "#/$defs/node"}} : Json{{"type", "string"}};
    case 7: {
      Json s = {{"type", "array"}, {"items", below()}};
      if (rng.below(2)) s["minItems"] = rng.between(0, 3);
      if (rng.below(2)) s["maxItems"] = rng.between(3, 7);
      return s;
    }
    case 8:
      return {{"type", "array"},
              {"prefixItems", Json::array({below(), below()})},
              {"items", rng.below(2) ? Json(false) : below()},
              {"minItems", rng.between(0, 2)}};
    case 9:
      return {{"anyOf", Json::array({below(), below()})}};
    case 10: {
      Json s = {{"oneOf", Json::array()}};
      for (int i = 0; i < 2; ++i)
        s["oneOf"].push_back({{"type", "object"}, {"properties", {{"kind", {{"const", i}}}, {"v", below()}}}, {"required", {"kind", "v"}}});
      return s;
    }
    case 11: {
      const auto part = [&](int i) { return Json{{"type", "object"}, {"properties", {{kNames[i], below()}}}, {"required", {kNames[i]}}}; };
      return {{"allOf", Json::array({part(0), part(1)})}};
    }
    default: {
      Json s = {{"type", "object"}, {"properties", Json::object()}, {"required", Json::array()}};
      for (const char* name : kNames) {
        if (rng.below(2)) continue;
        s["properties"][name] = below();
        if (rng.below(2)) s["required"].push_back(name);
      }
      if (rng.below(3) == 0) s["additionalProperties"] = rng.below(2) ? Json(false) : below();
      return s;
    }
  }
}

Json whole_schema(Rng& rng) {
  const bool recursive = rng.below(3) == 0;
  Json schema = random_schema(rng, 3, recursive);
  if (recursive)
    schema["$defs"] = {
        {"node",
         {{"type", "object"},
          {"properties",
           {{"v", random_schema(rng, 0, false)}, {"next", {{"anyOf", Json::array({{{"$ref", "#/$defs/node"}}, {{"type", "null"}}})}}}}},
          {"required", {"next"}}}}};
  return schema;
}

Json random_value(Rng& rng, int depth) {
  switch (rng.below(depth == 0 ? 5 : 7)) {
    case 0:
      return nullptr;
    case 1:
      return rng.below(2) == 0;
    case 2:
      return rng.between(-200, 200);
    case 3:
      return double(rng.between(-900, 900)) / 16;
    case 4:
      return std::string("né\"x\\\n").substr(0, rng.below(2) ? 3 : 0);
    case 5: {
      Json a = Json::array();
      for (uint64_t n = rng.below(4); n > 0; --n) a.push_back(random_value(rng, depth - 1));
      return a;
    }
    default: {
      Json o = Json::object();
      for (const char* name : {"a", "b", "name", "kind", "v"})
        if (rng.below(3) == 0) o[name] = random_value(rng, depth - 1);
      return o;
    }
  }
}

// One place of a value changed.
Json broken(Rng& rng, Json v) {
  Json* at = &v;
  while (at->is_structured() && !at->empty() && rng.below(4) != 0) {
    auto it = at->begin();
    std::advance(it, int64_t(rng.below(at->size())));
    at = &*it;
  }
  if (at->is_object() && !at->empty() && rng.below(2)) {
    at->erase(at->begin().key());
    return v;
  }
  if (at->is_array() && rng.below(2)) {
    at->push_back(random_value(rng, 1));
    return v;
  }
  *at = random_value(rng, 2);
  return v;
}

// As the grammar writes it: properties in the schema's order are the generator's, so a value that came out of it is dumped as it is.
std::string spaced(const Json& v) {
  if (!v.is_structured()) return dump_json(v);
  std::string out(1, v.is_object() ? '{' : '[');
  bool first = true;
  for (const auto& item : v.items()) {
    if (!first) out += ", ";
    first = false;
    if (v.is_object()) out += dump_json(item.key()) + ": ";
    out += spaced(item.value());
  }
  return out + (v.is_object() ? '}' : ']');
}

}  // namespace

// Whatever comes out under the masks is JSON and valid; changed in one place, it is accepted only if it still is.
TEST(JsonSchema, RandomSchemasAndAnswers) {
  const Vocabulary& v = json_vocabulary();
  Rng rng(20);
  int answers = 0, still_valid = 0, refused = 0, schemas = 0;
  while (answers < 10'000) {
    const Json schema = whole_schema(rng);
    Grammar grammar;
    try {
      grammar = compile_json_schema(schema);
    } catch (const Error& e) {
      // Two alternatives of one kind, or nothing satisfies it.
      const std::string what = e.what();
      ASSERT_TRUE(what.find("no text") != what.npos || what.find("may match both") != what.npos) << what << "\n" << dump_json(schema);
      continue;
    }
    ++schemas;
    const auto matcher = matcher_of(grammar);
    for (int i = 0; i < 40; ++i) {
      GrammarConstraint c(matcher, {v.stop});
      const std::string text = random_answer(c, v, rng, int(rng.below(60)));
      ++answers;
      const Json value = parse_json(text, "answer");
      ASSERT_TRUE(valid(schema, value, schema)) << dump_json(schema) << "\n" << text;
      for (const std::string& again : {dump_json(value), spaced(value)})
        if (again.find('e') == again.npos && again.find("-0") == again.npos) {  // doubles are written anew
          EXPECT_EQ(fit(matcher, again), Fit::kWhole) << dump_json(schema) << "\n" << again;
        }
      const Json other = broken(rng, value);
      const bool ok = valid(schema, other, schema);
      const Fit taken = fit(matcher, dump_json(other));
      if (!ok) {
        ASSERT_NE(taken, Fit::kWhole) << dump_json(schema) << "\n" << dump_json(other);
      }
      (ok ? still_valid : refused) += 1;
    }
  }
  EXPECT_GT(refused, 3'000);
  EXPECT_GT(still_valid, 300);
  EXPECT_GT(schemas, 200);
}

TEST(JsonSchema, AnyObjectIsWhatParsersTake) {
  const Vocabulary& v = json_vocabulary();
  const auto matcher = matcher_of(compile_json_object());
  Rng rng(4);
  for (int i = 0; i < 1'000; ++i) {
    GrammarConstraint c(matcher, {v.stop});
    const std::string text = random_answer(c, v, rng, 60);
    EXPECT_TRUE(parse_json(text, "answer").is_object()) << text;
  }
  for (int i = 0; i < 2'000; ++i) {
    const Json value = random_value(rng, 3);
    if (dump_json(value).find('e') != std::string::npos && value.is_number()) continue;
    EXPECT_EQ(fit(matcher, dump_json(value)) == Fit::kWhole, value.is_object()) << dump_json(value);
    if (value.is_object()) {
      EXPECT_EQ(fit(matcher, spaced(value)), Fit::kWhole);
      EXPECT_EQ(fit(matcher, value.dump(2)), Fit::kWhole) << value.dump(2);
    }
  }
  for (const char* bad : {"[]",
                          "{'a'",
                          "{a",
                          "{\"a\":01",
                          "{\"a\":+1",
                          "{\"a\":.5",
                          "{\"a\":1.}",
                          "{\"a\":NaN",
                          "{\"a\",",
                          "{,",
                          "{\"a\":1,}",
                          "{\"a\":\"\n",
                          "{\"a\":\"\\x",
                          "{\"a\":\"\\ud800\"",
                          "{\"a\":\"\\udc00",
                          "{\"a\":\"\xC0\x80",
                          "{\"a\":\"\xED\xA0\x80",
                          "{\"a\":\"\xF5",
                          "{\"a\":1e400",
                          "{\"a\":1 1",
                          " {",
                          "{}}",
                          "{\"a\":tru e"})
    EXPECT_EQ(fit(matcher, bad), Fit::kNo) << bad;
  EXPECT_EQ(fit(matcher, "{\"a\":\"\\ud83d\\ude00\\u00e9\\\"\"}"), Fit::kWhole);
}

// Blanks can't go on for ever, nor can digits; nesting ends.
TEST(JsonSchema, NothingGoesOnForEver) {
  const auto matcher = matcher_of(compile_json_object());
  EXPECT_EQ(fit(matcher, "{" + std::string(2, ' ')), Fit::kNo);
  EXPECT_EQ(fit(matcher, "{\n" + std::string(40, ' ')), Fit::kPrefix);
  EXPECT_EQ(fit(matcher, "{\n" + std::string(41, ' ')), Fit::kNo);
  EXPECT_EQ(fit(matcher, "{\n\n"), Fit::kNo);
  EXPECT_EQ(fit(matcher, "{} "), Fit::kNo);
  EXPECT_EQ(fit(matcher, "{\"a\":" + std::string(19, '1')), Fit::kNo);
  std::string deep = "{\"a\":";
  int depth = 1;
  for (; fit(matcher, deep + "[") != Fit::kNo && depth < 1'000; ++depth) deep += "[";
  EXPECT_GT(depth, 60);
  EXPECT_LT(depth, kMaxJsonDepth);
  EXPECT_EQ(fit(matcher, deep + "1"), Fit::kPrefix);  // and no dead end there
  std::string objects = "{";
  for (depth = 1; fit(matcher, objects + "\"a\":{") != Fit::kNo && depth < 1'000; ++depth) objects += "\"a\":{";
  EXPECT_LT(depth, kMaxJsonDepth);
  EXPECT_EQ(fit(matcher, objects + "\"a\":1"), Fit::kPrefix);
}

struct Case {
  const char* schema;
  std::vector<const char*> yes, no;
};

TEST(JsonSchema, Keywords) {
  const Case kCases[] = {
      // Order is the schema's; optional ones may be left out; nothing else comes unless it is said.
      {R"({"properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}, "c": {"type": "null"}}, "required": ["b"]})",
       {R"({"b":true})", R"({"a":1,"b":true})", R"({"b": false, "c": null})", "{\n  \"a\": 1,\n  \"b\": true\n}"},
       {"{}", R"({"a":1})", R"({"b":true,"a":1})", R"({"b":true,"x":1})", R"({"b":true,"b":true})", R"({"b":true,})"}},
      {R"({"properties": {"a": {}, "b": {}}})", {"{}", R"({"a":[{}]})", R"({"b":1})", R"({"a":1,"b":2})"}, {R"({"b":1,"a":1})", "1"}},
      {R"({"type": "object", "properties": {}})", {"{}", "{ }"}, {R"({"a":1})"}},
      {R"({"type": "object"})", {"{}", R"({"a":1})"}, {"[]"}},
      {R"({"properties": {"age": {"type": "integer"}}, "additionalProperties": {"type": "string"}})",
       {R"({"age":1,"x":"y"})", R"({"x":"y","z":""})", R"({"ag":"","agea":""})"},
       {R"({"age":"1"})", R"({"x":1})", R"({"\u0061ge":"1"})", R"({"x":"","age":"1"})"}},
      {R"({"required": ["zz"], "additionalProperties": true})", {R"({"zz":1})", R"({"zz":1,"b":2})"}, {"{}", R"({"b":2})"}},
      {R"({"type": "object", "minProperties": 1})", {R"({"a":1})"}, {"{}"}},
      {R"({"properties": {"a": {}}, "minProperties": 1})", {R"({"a":1})"}, {"{}"}},
      {R"({"type": "object", "maxProperties": 0})", {"{}"}, {R"({"a":1})"}},
      {R"({"properties": {"a": false, "b": true}})", {"{}", R"({"b":1})"}, {R"({"a":1})"}},
      {R"({"type": "array", "maxItems": 0})", {"[]"}, {"[1]"}},
      {R"({"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3})",
       {"[1,2]", "[1, 2, 3]"},
       {"[]", "[1]", "[1,2,3,4]", "[1,]", "[1,\"\"]"}},
      {R"({"type": "array", "items": {"const": 1}, "minItems": 40, "maxItems": 41})", {}, {"[1]"}},
      {R"({"prefixItems": [{"const": 1}, {"const": "b"}]})", {"[]", "[1]", "[1,\"b\"]"}, {"[\"b\"]", "[1,\"b\",1]"}},
      {R"({"prefixItems": [{"const": 1}], "items": {"const": 2}, "minItems": 2})", {"[1,2]", "[1,2,2,2]"}, {"[1]", "[1,1]", "[2,2]"}},
      {R"({"items": [{"const": 1}], "additionalItems": {"const": 2}})", {"[]", "[1,2,2]"}, {"[2]", "[1,1]"}},
      {R"({"prefixItems": [{"const": 1}, {"const": 2}], "maxItems": 1})", {"[1]"}, {"[1,2]"}},
      {R"({"type": "string", "minLength": 2, "maxLength": 3})",
       {R"("né")", R"("日本語")", R"("\u00e9\ud83d\ude00")", R"("\n\"")"},
       {R"("é")", R"("abcd")", R"("\u00e9")"}},
      {R"({"type": "string", "maxLength": 100000})", {R"("abc")"}, {"1"}},
      {R"({"type": "string", "pattern": "^[a-z]+\\d?$"})", {R"("ab")", R"("ab1")"}, {R"("")", R"("1")", R"("ab11")"}},
      {R"({"type": "string", "pattern": "b"})", {R"("b")", R"("\"b\n")", R"("éb\\")"}, {R"("aa")", R"("")"}},
      {R"({"type": "string", "pattern": "^\\S+$", "minLength": 2, "maxLength": 3})",
       {R"("éé")", R"("a\"b")", R"("\\\\")"},
       {R"("a")", R"("a b")", R"("abcd")", "\"a\nb\""}},
      {R"({"type": "string", "pattern": "^(a|\\n|\"|\\x01)*$"})", {R"("a\n\"\u0001")"}, {"\"a\n\"", R"("\t")"}},
      {R"({"format": "date"})",
       {R"("2024-02-28")", R"("1999-12-31")"},
       {R"("2023-02-30")", R"("2024-13-01")", R"("24-01-01")", R"("2024-04-31")"}},
      {R"({"type": "string", "format": "date-time"})",
       {R"("2024-02-28T23:59:59Z")", R"("2024-02-28T00:00:00.123+02:00")"},
       {R"("2024-02-28")", R"("2024-02-28T24:00:00Z")"}},
      {R"({"type": "string", "format": "time"})", {R"("23:59:59Z")"}, {R"("23:59")"}},
      {R"({"type": "string", "format": "uuid"})", {R"("123e4567-e89b-12d3-a456-426614174000")"}, {R"("123e4567")"}},
      {R"({"type": "string", "format": "email"})", {R"("a.b+c@x-y.org")"}, {R"("a@b")", R"("@x.org")", R"("a b@x.org")"}},
      {R"({"type": "string", "format": "ipv4"})", {R"("255.0.10.199")"}, {R"("256.0.0.1")", R"("1.2.3")", R"("01.2.3.4")"}},
      {R"({"type": "string", "format": "my-own"})", {R"("anything")"}, {"1"}},
      {R"({"type": "integer"})", {"0", "-1", "123456789012345678"}, {"-0", "01", "1.0", "1e5", "-", "1234567890123456789", "\"1\""}},
      {R"({"type": "number"})", {"0", "-0.5", "1.25e-10", "1E5"}, {".5", "1.", "1e", "1e400", "+1", "00"}},
      {R"({"type": "integer", "minimum": -12, "maximum": 105})",
       {"-12", "-1", "0", "9", "99", "105", "100"},
       {"-13", "106", "110", "200", "1000", "-20"}},
      {R"({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 3})", {"1", "2"}, {"0", "3", "-1"}},
      {R"({"type": "integer", "minimum": 0.5})", {"1", "99"}, {"0", "-1"}},
      {R"({"type": "integer", "minimum": 100000000000000000000})",
       {"100000000000000000000", "100000000000000000001"},
       {"99999999999999999999", "1"}},
      {R"({"type": "number", "minimum": 0, "maximum": 1})", {"0", "1", "0.5", "1.0", "0.0", "1.00"}, {"1.01", "2", "-0.1", "1e0"}},
      {R"({"type": "number", "exclusiveMinimum": -1.5, "maximum": 2.25})",
       {"-1.4999", "-1", "0", "2.25", "2.250", "2.2"},
       {"-1.5", "-1.50", "2.26", "2.2501", "3", "-2"}},
      {R"({"type": "number", "minimum": 10.05})", {"10.05", "10.050", "10.1", "11", "100"}, {"10", "10.04", "9", "-11", "10.0"}},
      {R"({"minimum": 5})", {"5", "7.5"}, {"4", "\"a\""}},
      {R"({"type": "integer", "multipleOf": 1})", {"5"}, {"5.5"}},
      {R"({"type": "number", "multipleOf": 1})", {"5"}, {"5.5"}},
      {R"({"enum": ["a", 1, null, true, {"x": [1, 2]}, "né\"\n"]})",
       {"\"a\"", "1", "null", "true", R"({"x":[1,2]})", R"({ "x": [1, 2] })", R"("né\"\n")"},
       {"\"b\"", "11", "{}", "false"}},
      {R"({"enum": ["a", 1, 2.5, "long"], "type": "string", "maxLength": 2})", {"\"a\""}, {"1", "\"long\""}},
      {R"({"enum": [1, 5, 9], "maximum": 5})", {"1", "5"}, {"9"}},
      {R"({"const": {"a": 1}})", {R"({"a":1})", "{\n \"a\": 1\n}"}, {"{}"}},
      {R"({"type": ["string", "null"]})", {"\"\"", "null"}, {"1"}},
      {R"({"type": "string", "nullable": true})", {"\"\"", "null"}, {"1"}},
      {R"({"anyOf": [{"type": "string", "maxLength": 1}, {"type": "integer"}, {"type": "object", "properties": {"a": {}}}]})",
       {"\"a\"", "12", "{}"},
       {"\"ab\"", "[]", "1.5"}},
      {R"({"oneOf": [{"type": "string"}, {"type": "number"}]})", {"\"a\"", "1.5"}, {"null"}},
      {R"({"oneOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}, "required": ["b"]}]})",
       {R"({"a":1})", R"({"b":1})"},
       {"{}", R"({"a":1,"b":1})"}},
      {R"({"oneOf": [{"minimum": 10}, {"exclusiveMaximum": 10}]})", {"10", "9.5"}, {"\"\""}},
      {R"({"oneOf": [{"enum": [1, 2]}, {"const": 3}]})", {"1", "3"}, {"4"}},
      {R"({"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"a": {"minimum": 3}, "b": {"type": "null"}}}]})",
       {R"({"a":3})", R"({"a":4,"b":null})"},
       {R"({"a":2})", "{}"}},
      {R"({"allOf": [{"type": "string"}, {"maxLength": 2}], "minLength": 1})", {"\"a\""}, {"\"\"", "\"abc\""}},
      {R"({"type": "object", "properties": {"k": {"type": "string"}}, "anyOf": [{"required": ["k"]}, {"properties": {"m": {"const": 1}}, "required": ["m"]}]})",
       {R"({"k":""})", R"({"m":1})", R"({"k":"","m":1})"},
       {"{}", R"({"m":2})"}},
      {R"({"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": {"const": 7}}})", {"7"}, {"8"}},
      {R"({"$id": "http://x/y", "$ref": "http://x/y#/definitions/d", "definitions": {"d": {"type": "null"}}})", {"null"}, {"1"}},
      {R"({"$ref": "#/x-list/1", "x-list": [{"type": "null"}, {"const": 2, "type": "integer"}]})", {"2"}, {"null"}},
      {R"({"properties": {"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#"}}}, "required": ["value"]})",
       {R"({"value":1,"children":[{"value":2},{"value":3,"children":[]}]})"},
       {R"({"value":1,"children":[{}]})"}},
      {R"({"title": "t", "description": "d", "default": 1, "examples": [1], "$schema": "x", "deprecated": true, "x-own": 5, "type": "null", "strict": true})",
       {"null"},
       {"1"}},
      {R"({"type": "null", "not-a-keyword": {"not": {}}, "uniqueItems": false, "patternProperties": {}, "propertyNames": {"type": "string"}})",
       {"null"},
       {"1"}},
      {"true", {"1", "[{\"a\":\"\"}]"}, {"[1"}},
      {"{}", {"1", "null"}, {"nul"}},
  };
  for (const Case& c : kCases) {
    const std::string message = refusal([&] {
      const auto matcher = matcher_of(schema(c.schema));
      for (const char* text : c.yes) EXPECT_EQ(fit(matcher, text), Fit::kWhole) << c.schema << "\n" << text;
      for (const char* text : c.no) EXPECT_NE(fit(matcher, text), Fit::kWhole) << c.schema << "\n" << text;
    });
    EXPECT_EQ(message, "") << c.schema;
  }
}

TEST(JsonSchema, RefusesWithKeywordAndPath) {
  const std::pair<const char*, std::vector<const char*>> kCases[] = {
      {R"({"properties": {"a": {"not": {}}}})", {"'not'", "#/properties/a/not"}},
      {R"({"type": "array", "uniqueItems": true})", {"'uniqueItems'", "#/uniqueItems"}},
      {R"({"type": "array", "contains": {}})", {"'contains'"}},
      {R"({"if": {}, "then": {}})", {"'if'"}},
      {R"({"patternProperties": {"a": {}}})", {"'patternProperties'"}},
      {R"({"propertyNames": {"maxLength": 1}})", {"'propertyNames'"}},
      {R"({"dependentRequired": {"a": ["b"]}})", {"'dependentRequired'"}},
      {R"({"unevaluatedProperties": false})", {"'unevaluatedProperties'"}},
      {R"({"type": "integer", "multipleOf": 5})", {"'multipleOf'", "#/multipleOf"}},
      {R"({"properties": {"a": {}, "b": {}}, "maxProperties": 1})", {"'maxProperties'", "#/maxProperties"}},
      {R"({"properties": {"a": {}, "b": {}, "c": {}}, "minProperties": 2})", {"'minProperties'"}},
      {R"({"type": "string", "format": "regex"})", {"'regex'", "#/format"}},
      {R"x({"properties": {"a": {"pattern": "a(?=b)"}}})x", {"lookaround", "#/properties/a/pattern"}},
      {R"({"type": "strin"})", {"strin", "#/type"}},
      {R"({"type": []})", {"#/type"}},
      {R"({"type": 3})", {"#/type"}},
      {R"({"enum": []})", {"#/enum"}},
      {R"({"properties": []})", {"#/properties"}},
      {R"({"properties": {"a/b": 5}})", {"#/properties/a~1b"}},
      {R"({"required": "a"})", {"#/required"}},
      {R"({"required": [1]})", {"#/required"}},
      {R"({"anyOf": {}})", {"#/anyOf"}},
      {R"({"anyOf": []})", {"#/anyOf"}},
      {R"({"anyOf": [1]})", {"#/anyOf/0"}},
      {R"({"minLength": -1})", {"#/minLength"}},
      {R"({"minLength": 1.5})", {"#/minLength"}},
      {R"({"minItems": "1"})", {"#/minItems"}},
      {R"({"minimum": "1"})", {"#/minimum"}},
      {R"({"exclusiveMinimum": true, "minimum": 1})", {"#/exclusiveMinimum"}},
      {R"({"minimum": 1e300})", {"bound"}},
      {R"({"$ref": "http://other/x"})", {"#/$ref", "inside"}},
      {R"({"$ref": "#/$defs/x"})", {"#/$ref", "nothing at"}},
      {R"({"$ref": 5})", {"#/$ref"}},
      {R"({"$ref": "#"})", {"itself"}},
      {R"({"anyOf": [{"$ref": "#"}, {"type": "null"}]})", {"itself"}},
      {R"({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}}})", {"itself"}},
      {R"({"properties": {"a": {"$ref": "#"}}, "required": ["a"]})", {"no text"}},
      {R"({"type": "string", "minLength": 3, "maxLength": 2})", {"no text"}},
      {R"({"type": "integer", "minimum": 3, "maximum": 2})", {"no text"}},
      {R"({"enum": ["a"], "type": "integer"})", {"no text"}},
      {R"({"allOf": [{"type": "string"}, {"type": "null"}]})", {"no text"}},
      {"false", {"no text"}},
      {"[]", {"expected an object"}},
      {R"({"oneOf": [{"type": "string"}, {"maxLength": 4}]})", {"'oneOf'", "alternative 0 and 1", "#/oneOf"}},
      {R"({"oneOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"a": {}, "b": {}}, "required": ["a"]}]})", {"'oneOf'"}},
      {R"({"dependencies": {"a": ["b"]}})", {"'dependencies'"}},
      {R"({"$dynamicRef": "#a"})", {"'$dynamicRef'"}},
  };
  for (const auto& [text, parts] : kCases) {
    const std::string message = refusal([&, t = text] { schema(t); });
    for (const char* part : parts) EXPECT_NE(message.find(part), std::string::npos) << text << ": " << message;
  }
}

TEST(JsonSchema, ToolCalls) {
  const std::vector<ToolSignature> tools = {
      {"get_weather",
       json(R"({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]})")},
      {"now", nullptr},
      {"any", json(R"({"type": "object"})")},
  };
  const std::string weather = "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Bern\"}}\n</tool_call>";
  const std::string now = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";
  const Grammar several = compile_tool_calls(tools);
  EXPECT_TRUE(matches(several, weather));
  EXPECT_TRUE(matches(several, weather + "\n" + now + "\n" + weather));
  EXPECT_FALSE(matches(several, weather + now));
  EXPECT_FALSE(matches(several, "<tool_call>\n{\"name\": \"now\", \"arguments\": {\"city\": \"Bern\"}}\n</tool_call>"));
  EXPECT_FALSE(matches(several, "<tool_call>\n{\"name\": \"other\", \"arguments\": {}}\n</tool_call>"));
  EXPECT_TRUE(matches(several, "<tool_call>\n{\"name\": \"any\", \"arguments\": {\"x\": [1]}}\n</tool_call>"));
  const Grammar one = compile_tool_calls(tools, {.parallel = false});
  EXPECT_TRUE(matches(one, now));
  EXPECT_FALSE(matches(one, now + "\n" + now));
  EXPECT_EQ(fit(matcher_of(one), now + "\n"), Fit::kNo);
  const Grammar opened = compile_tool_calls(tools, {.opened = true});
  EXPECT_TRUE(matches(opened, now.substr(11) + "\n" + now));
  EXPECT_TRUE(matches(compile_tool_arguments(tools[0]), "{\"city\": \"Bern\", \"days\": 3}"));
  EXPECT_TRUE(matches(compile_tool_arguments(tools[1]), "{}"));
  EXPECT_NE(refusal([&] { compile_tool_calls({{"bad", json(R"({"not": {}})")}}); }).find("[tool bad]"), std::string::npos);
  EXPECT_NE(refusal([&] { compile_tool_calls({}); }), "");
  // A bound on how many.
  const Grammar few = compile_tool_calls({tools[1]}, {.most_calls = 2});
  EXPECT_TRUE(matches(few, now + "\n" + now));
  EXPECT_FALSE(matches(few, now + "\n" + now + "\n" + now));
}

}  // namespace r1::grammar
