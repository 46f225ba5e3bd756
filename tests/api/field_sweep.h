// Every field of a request body with every kind of value that clients, their bugs and attackers send, and bodies with bytes changed at random.
// A reader either takes a body or throws ApiError with a 4xx status; a value of a type or in a range that the published schema excludes is
// refused, with the field's path.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "r1/base/json.h"
#include "r1/http/error.h"

namespace r1::api {

using ReadBody = std::function<void(const std::string& body)>;

struct Sweep {
  int cases = 0, refused = 0;
};

// "" if the reader took it, else the path that it refused; a failure of the test if it threw anything else.
inline std::string refused_param(const ReadBody& read, const std::string& body, bool* refused) {
  *refused = false;
  try {
    read(body);
    return "";
  } catch (const http::ApiError& error) {
    *refused = true;
    EXPECT_GE(error.status, 400) << error.what();
    EXPECT_LT(error.status, 500) << error.what() << "\n" << body.substr(0, 300);
    EXPECT_GT(std::string(error.what()).size(), 0U);
    return error.param;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "no ApiError: " << error.what() << "\n" << body.substr(0, 300);
    return "";
  }
}

namespace sweep_detail {

struct Value {
  std::string text;
  const char* type;  // of JSON; "" if the text is no JSON at all
};

inline const std::vector<Value>& values() {
  static const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  static const std::vector<Value> all = {
      {"null", "null"},
      {"true", "boolean"},
      {"0", "integer"},
      {"-1", "integer"},
      {"1.5", "number"},
      {"1e308", "number"},
      {"9223372036854775808", "integer"},
      {"-9223372036854775809", "number"},
      {"18446744073709551616", "number"},
      {"\"\"", "string"},
      {"\"x\"", "string"},
      {"\"\\u0000\\u001b[31m\"", "string"},
      {"\"" + std::string(1 << 20, 'a') + "a\"", "string"},
      {"[]", "array"},
      {"[null]", "array"},
      {"[[[[]]]]", "array"},
      {"[{\"type\":\"text\"}]", "array"},
      {"{}", "object"},
      {"{\"type\":1}", "object"},
      {"{\"\":{\"\":null}}", "object"},
      {"NaN", ""},
      {"Infinity", ""},
      {"1e400", ""},
      {"\"\\ud800\"", ""},
      {"\"\xff\xfe\"", ""},
      {deep, ""},
  };
  return all;
}

// What types a schema takes; none: any.
inline std::vector<std::string> types_of(const Json& schema) {
  if (!schema.contains("type")) return {};
  const Json& type = schema["type"];
  if (type.is_string()) return {type.get<std::string>()};
  return type.get<std::vector<std::string>>();
}

inline bool takes(const std::vector<std::string>& types, const std::string& type) {
  if (types.empty()) return true;
  const auto has = [&](const char* name) { return std::ranges::find(types, name) != types.end(); };
  if (type == "null") return true;  // counts as absent
  if (type == "integer" || type == "number") return has("number") || has("integer");
  return has(type.c_str());
}

inline std::string with(Json body, const Json::json_pointer& place, const std::string& text) {
  body[place] = "@value@";
  std::string out = body.dump();
  const size_t at = out.find("\"@value@\"");
  return out.replace(at, 9, text);
}

inline void visit(const Json& schema, Json body, const Json::json_pointer& place, const std::string& path, const ReadBody& read,
                  Sweep& out) {
  const std::vector<std::string> types = types_of(schema);
  // Another spelling counts where the field itself is absent.
  const std::string other = "another name of ", help = schema.value("description", "");
  if (help.starts_with(other)) body[place.parent_pointer()].erase(help.substr(other.size()));
  const auto expect = [&](const std::string& text, bool must) {
    bool refused = false;
    const std::string param = refused_param(read, with(body, place, text), &refused);
    ++out.cases;
    out.refused += refused;
    if (!must) return;
    EXPECT_TRUE(refused) << path << " = " << text.substr(0, 100);
    EXPECT_EQ(param, path) << path << " = " << text.substr(0, 100);
  };
  for (const Value& value : values()) {
    const bool json = *value.type != 0;
    // The big ones only where they could be taken, or once an object.
    if (value.text.size() > 100'000 && !(json ? !types.empty() && takes(types, value.type) : path.find('.') == path.npos)) continue;
    expect(value.text, json && !takes(types, value.type));
  }
  const auto bound = [&](const char* name, double step) {
    if (!schema.contains(name)) return;
    const Json& at = schema[name];
    const double edge = at.get<double>();
    if (std::abs(edge) > 9e15) return;
    expect(Json(edge).dump(), false);
    expect(at.is_number_integer() ? std::to_string(int64_t(edge) + int64_t(step)) : Json(edge + step).dump(), true);
  };
  bound("minimum", -1);
  bound("maximum", 1);
  if (schema.contains("enum")) expect("\"no such word\"", true);
  if (schema.contains("properties"))
    for (const auto& [name, inner] : schema["properties"].items())
      visit(inner, body, place / name, path.empty() ? name : path + "." + name, read, out);
  if (schema.contains("items") && body.contains(place) && body[place].is_array() && !body[place].empty())
    visit(schema["items"], body, place / 0, path + "[0]", read, out);
}

}  // namespace sweep_detail

// `valid` is a body that the reader takes, with every list of objects of one item at least.
inline Sweep sweep_fields(const Json& schema, const Json& valid, const ReadBody& read) {
  Sweep out;
  bool refused = false;
  EXPECT_EQ(refused_param(read, valid.dump(), &refused), "");
  EXPECT_FALSE(refused);
  for (const auto& [name, inner] : schema["properties"].items())
    sweep_detail::visit(inner, valid, Json::json_pointer("/" + name), name, read, out);
  for (const auto& field : schema.value("required", Json::array())) {
    Json without = valid;
    without.erase(field.get<std::string>());
    EXPECT_EQ(refused_param(read, without.dump(), &refused), field.get<std::string>());
    EXPECT_TRUE(refused) << field;
  }
  return out;
}

// Bodies with bytes changed, dropped, doubled, and cut off.
inline std::string mutated(std::string text, std::mt19937& random) {
  const auto below = [&](size_t n) { return size_t(random() % std::max<size_t>(n, 1)); };
  for (size_t changes = 1 + below(4); changes > 0 && !text.empty(); --changes) {
    const size_t at = below(text.size());
    switch (below(6)) {
      case 0:
        text[at] = char(below(256));
        break;
      case 1:
        text.erase(at, 1 + below(8));
        break;
      case 2:
        text.insert(at, text.substr(below(text.size()), below(24)));
        break;
      case 3:
        text.resize(at);
        break;
      case 4:
        text[at] = "{}[]\":,0-9eE.\\ntf"[below(17)];
        break;
      default:
        text.insert(at, std::to_string(int64_t(random()) << below(40)));
        break;
    }
  }
  return text;
}

inline Sweep mutate_bodies(const std::vector<std::string>& bodies, int times, const ReadBody& read) {
  std::mt19937 random(17);
  Sweep out;
  for (int i = 0; i < times; ++i) {
    bool refused = false;
    refused_param(read, mutated(bodies[size_t(i) % bodies.size()], random), &refused);
    ++out.cases;
    out.refused += refused;
  }
  return out;
}

}  // namespace r1::api
