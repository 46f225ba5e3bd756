#include "r1/api/openapi.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "r1/base/error.h"

namespace r1::api {
namespace {

TEST(Openapi, Operations) {
  const Json json = openapi_json({{.method = "GET", .pattern = "/v1/models/{id...}", .summary = "one", .tag = "A"},
                                  {.method = "DELETE",
                                   .pattern = "/v1/models/{id...}",
                                   .summary = "none",
                                   .tag = "A",
                                   .parameters = {{.name = "id", .help = "which", .schema = {{"type", "integer"}}},
                                                  {.name = "force", .in = "query", .help = "", .schema = {{"type", "boolean"}}}},
                                   .statuses = {409}},
                                  {.method = "POST",
                                   .pattern = "/go",
                                   .summary = "go",
                                   .tag = "B",
                                   .request = {{"type", "object"}},
                                   .response = {{"type", "string"}},
                                   .streams = true,
                                   .open = true}},
                                 "1.2.3");
  EXPECT_EQ(json["openapi"], "3.1.0");
  EXPECT_EQ(json["info"]["version"], "1.2.3");
  EXPECT_EQ(json["tags"], Json::parse(R"([{"name": "A"}, {"name": "B"}])"));
  const Json& get = json["paths"]["/v1/models/{id}"]["get"];
  EXPECT_EQ(get["operationId"], "get_v1_models_id");
  EXPECT_EQ(get["parameters"], Json::parse(R"([{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}])"));
  EXPECT_TRUE(get["responses"].contains("404"));
  EXPECT_TRUE(get["responses"].contains("401"));
  EXPECT_FALSE(get.contains("requestBody"));
  EXPECT_EQ(get["responses"]["400"]["content"]["application/json"]["schema"]["$ref"], "#/components/schemas/Error");
  const Json& del = json["paths"]["/v1/models/{id}"]["delete"];
  EXPECT_EQ(del["parameters"],
            Json::parse(R"([{"name": "id", "in": "path", "required": true, "schema": {"type": "integer"}, "description": "which"},
    {"name": "force", "in": "query", "required": false, "schema": {"type": "boolean"}}])"));
  EXPECT_TRUE(del["responses"].contains("409"));
  const Json& go = json["paths"]["/go"]["post"];
  EXPECT_EQ(go["requestBody"], Json::parse(R"({"required": true, "content": {"application/json": {"schema": {"type": "object"}}}})"));
  EXPECT_EQ(go["responses"]["200"]["content"]["application/json"]["schema"]["type"], "string");
  EXPECT_TRUE(go["responses"]["200"]["content"].contains("text/event-stream"));
  EXPECT_EQ(go["security"], Json::array());
  EXPECT_FALSE(go["responses"].contains("401"));
  EXPECT_FALSE(go["responses"].contains("404"));
  EXPECT_THROW(openapi_json({{.method = "GET", .pattern = "/a", .summary = "", .tag = "A"},
                             {.method = "GET", .pattern = "/a", .summary = "", .tag = "A"}},
                            "1"),
               Error);
}

// What a JSON schema may look like, as far as ours go.
void check_schema(const Json& schema, const std::string& path) {
  static const std::set<std::string> kTypes = {"object", "array", "string", "integer", "number", "boolean", "null"};
  static const std::set<std::string> kKeys = {
      "type",      "properties",    "required",     "items", "minItems", "maxItems",    "minimum", "maximum",
      "maxLength", "minLength",     "enum",         "anyOf", "allOf",    "description", "pattern", "additionalProperties",
      "$ref",      "minProperties", "maxProperties"};
  ASSERT_TRUE(schema.is_object()) << path << ": " << schema;
  for (const auto& [key, value] : schema.items()) {
    EXPECT_TRUE(kKeys.contains(key)) << path << ": " << key;
    if (key == "type" && value.is_string()) {
      EXPECT_TRUE(kTypes.contains(value)) << path;
    }
    if (key == "type" && value.is_array())
      for (const Json& one : value) EXPECT_TRUE(one.is_string() && kTypes.contains(one)) << path << schema;
    if (key == "required") {
      ASSERT_TRUE(value.is_array()) << path << schema;
      for (const Json& one : value) {
        ASSERT_TRUE(one.is_string()) << path << schema;
        if (schema.contains("properties")) {
          EXPECT_TRUE(schema["properties"].contains(one.get<std::string>())) << path << one;
        }
      }
    }
    if (key == "enum") {
      EXPECT_TRUE(value.is_array() && !value.empty()) << path << schema;
    }
    if (key == "properties") {
      ASSERT_TRUE(value.is_object()) << path << schema;
      for (const auto& [name, inner] : value.items()) check_schema(inner, path + "." + name);
    }
    if (key == "items" || key == "additionalProperties") check_schema(value, path + "[]");
    if (key == "anyOf" || key == "allOf") {
      ASSERT_TRUE(value.is_array() && !value.empty()) << path << schema;
      for (const Json& one : value) check_schema(one, path + "/" + key);
    }
    for (const char* number : {"minItems", "maxItems", "minLength", "maxLength", "minimum", "maximum"})
      if (key == number) {
        EXPECT_TRUE(value.is_number()) << path << schema;
      }
  }
}

TEST(Openapi, OurSchemasAreSchemas) {
  const auto operations = openai_operations();
  ASSERT_GE(operations.size(), 8u);
  for (const Operation& operation : operations) {
    if (!operation.request.is_null()) check_schema(operation.request, operation.pattern);
    check_schema(operation.response, operation.pattern + " answer");
    if (operation.method == "POST") {
      EXPECT_TRUE(operation.request.is_object()) << operation.pattern;
    }
  }
  check_schema(error_schema(), "error");
  const Json json = openapi_json(operations, "1");
  const Json& chat = json["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"];
  EXPECT_EQ(chat["required"], Json::array({"messages"}));
  EXPECT_EQ(chat["properties"]["n"],
            Json::parse(R"({"type": ["integer", "null"], "minimum": 1, "maximum": 128, "description": "answers"})"));
  // Each number of a request has both its ends.
  std::function<void(const Json&, const std::string&)> bounded = [&](const Json& schema, const std::string& path) {
    if (!schema.is_structured()) return;
    const Json type = schema.is_object() ? schema.value("type", Json()) : Json();
    const auto is = [&](const char* name) { return type == name || (type.is_array() && std::ranges::find(type, name) != type.end()); };
    if (is("integer") || is("number")) {
      EXPECT_TRUE(schema.contains("minimum") && schema.contains("maximum")) << path << schema;
    }
    for (const auto& [key, inner] : schema.items()) bounded(inner, path + "/" + key);
  };
  for (const Operation& operation : operations) bounded(operation.request, operation.pattern);
}

}  // namespace
}  // namespace r1::api
