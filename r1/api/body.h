// The JSON body of a request, listed once: reading with every type and range checked, and the route's schema in /openapi.json.
//
//   struct TokenizeBody {
//     std::string content;
//     bool add_special = false;
//     void visit(Body& v) {
//       v("content", content, "text to encode", {.max_length = 1 << 20, .required = true});
//       v("add_special", add_special, "with the vocabulary's own first token");
//     }
//   };
//   TokenizeBody body;
//   read_body(request.body, body);         // http::ApiError 400 with the field's path as param
//   Json schema = body_schema<TokenizeBody>();
//
// Fields: bool, int64_t, uint64_t, double, std::string, std::optional and std::vector of these and of structs that have visit(), such structs
// themselves, std::map<std::string, double>, and Json for what has several shapes (`schema` then says which; the reader checks it). A null
// counts as absent. A field that no visit() lists is taken and ignored, as clients send all kinds, unless it is near in name to one that is
// listed (max_token): then it is refused. NaN, 1e400 and numbers with a fraction where an integer is due are refused.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "r1/base/json.h"
#include "r1/http/error.h"

namespace r1::api {

struct Limits {
  double min = -std::numeric_limits<double>::infinity(), max = std::numeric_limits<double>::infinity();  // numbers, and a list's items
  size_t max_length = 1 << 20;             // bytes of a text, and of a list's items
  size_t min_items = 0, max_items = 4096;  // of a list or map
  std::vector<std::string> one_of = {};
  bool required = false;
  Json schema = {};  // for Json fields: what stands in /openapi.json
};

class Body;
template <class T>
concept HasVisit = requires(T& t, Body& v) {
  t.visit(v);
};

class Body {
 public:
  // Reading `object`; `path` is in front of the names in errors ("messages[2].").
  Body(const Json& object, std::string path);
  // Collecting a schema.
  Body();

  template <class T>
  void operator()(const char* name, T& field, const char* help, const Limits& limits = {}) {
    if (const Json* value = begin(name, help, limits, [&] { return schema_of(static_cast<T*>(nullptr), limits); }))
      read(*value, field, path_ + used_, limits);
  }
  // Another spelling of a field that clients send (max_completion_tokens for max_tokens): read if the field itself is absent. Before the
  // field's own line.
  void alias(const char* name, const char* field);
  // Names that clients send, mean nothing here and are near to one that does.
  void ignore(std::initializer_list<const char*> names);

  // After visit(): refuses names that are near to a listed one.
  void finish();
  Json schema() const;  // {"type": "object", "properties": .., "required": ..}

  static void read(const Json& value, bool& field, const std::string& path, const Limits& limits);
  static void read(const Json& value, int64_t& field, const std::string& path, const Limits& limits);
  static void read(const Json& value, uint64_t& field, const std::string& path, const Limits& limits);
  static void read(const Json& value, double& field, const std::string& path, const Limits& limits);
  static void read(const Json& value, std::string& field, const std::string& path, const Limits& limits);
  static void read(const Json& value, Json& field, const std::string& path, const Limits& limits);
  static void read(const Json& value, std::map<std::string, double>& field, const std::string& path, const Limits& limits);
  template <class T>
  static void read(const Json& value, std::optional<T>& field, const std::string& path, const Limits& limits) {
    field.emplace();
    read(value, *field, path, limits);
  }
  template <class T>
  static void read(const Json& value, std::vector<T>& field, const std::string& path, const Limits& limits) {
    check_list(value, path, limits);
    field.clear();
    for (size_t i = 0; i < value.size(); ++i) {
      T item{};
      read(value[i], item, path + "[" + std::to_string(i) + "]", limits);
      field.push_back(std::move(item));
    }
  }
  template <HasVisit T>
  static void read(const Json& value, T& field, const std::string& path, const Limits&) {
    Body inner(value, path + ".");
    field.visit(inner);
    inner.finish();
  }

  static Json schema_of(const bool*, const Limits&);
  static Json schema_of(const int64_t*, const Limits&);
  static Json schema_of(const uint64_t*, const Limits&);
  static Json schema_of(const double*, const Limits&);
  static Json schema_of(const std::string*, const Limits&);
  static Json schema_of(const Json*, const Limits&);
  static Json schema_of(const std::map<std::string, double>*, const Limits&);
  template <class T>
  static Json schema_of(const std::optional<T>*, const Limits& limits) {
    return schema_of(static_cast<const T*>(nullptr), limits);
  }
  template <class T>
  static Json schema_of(const std::vector<T>*, const Limits& limits) {
    return list_schema(schema_of(static_cast<const T*>(nullptr), limits), limits);
  }
  template <HasVisit T>
  static Json schema_of(const T*, const Limits&) {
    T any{};
    Body inner;
    any.visit(inner);
    return inner.schema();
  }

 private:
  // Notes the field; the value to read, if there is one.
  template <class MakeSchema>
  const Json* begin(const char* name, const char* help, const Limits& limits, MakeSchema make) {
    if (object_) return find(name, limits);
    add_schema(name, help, limits, make());
    return nullptr;
  }
  const Json* find(const char* name, const Limits& limits);
  void add_schema(const char* name, const char* help, const Limits& limits, Json schema);
  static void check_list(const Json& value, const std::string& path, const Limits& limits);
  static Json list_schema(Json item, const Limits& limits);

  const Json* object_ = nullptr;
  std::string path_, used_;  // used_: how the field that was found is spelled
  std::vector<std::string> names_;
  std::vector<std::pair<std::string, std::string>> aliases_;  // field, other spelling
  Json properties_ = Json::object(), required_ = Json::array(), one_needed_ = Json::array();
};

// ApiError 400, "<path>: <what>".
[[noreturn]] void refuse(const std::string& path, const std::string& what, const char* code = "invalid_value");

// The body as a JSON object, or ApiError 400: not JSON, not an object, nested over 100 deep, invalid UTF-8.
Json parse_body(std::string_view text);

template <HasVisit T>
void read_body(const Json& json, T& body) {
  Body reader(json, "");
  body.visit(reader);
  reader.finish();
}
template <HasVisit T>
void read_body(const std::string& text, T& body) {
  const Json json = parse_body(text);
  read_body(json, body);
}
template <HasVisit T>
Json body_schema() {
  return Body::schema_of(static_cast<const T*>(nullptr), {});
}

}  // namespace r1::api
