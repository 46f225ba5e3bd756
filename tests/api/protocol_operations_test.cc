#include "r1/api/protocol_operations.h"

#include <gtest/gtest.h>

#include <set>

namespace r1::api {
namespace {

// References that lead nowhere, fields that are required and not described, enums without their type: what generators of clients stumble on.
void check_schema(const Json& schema, const std::string& where) {
  ASSERT_TRUE(schema.is_object()) << where;
  if (schema.contains("properties")) {
    for (const Json& name : schema.value("required", Json::array()))
      EXPECT_TRUE(schema["properties"].contains(name.get<std::string>())) << where;
    for (const auto& [name, inner] : schema["properties"].items()) check_schema(inner, where + "." + name);
  }
  if (schema.contains("items")) check_schema(schema["items"], where + "[]");
  for (const Json& inner : schema.value("anyOf", Json::array())) check_schema(inner, where + "|");
}

TEST(ProtocolOperations, EveryRouteOnceWithSoundSchemas) {
  std::set<std::pair<std::string, std::string>> seen;
  for (const Operation& operation : protocol_operations()) {
    EXPECT_TRUE(seen.emplace(operation.method, operation.pattern).second) << operation.pattern;
    EXPECT_FALSE(operation.summary.empty()) << operation.pattern;
    if (!operation.request.is_null()) check_schema(operation.request, operation.pattern);
    if (!operation.response.is_null()) check_schema(operation.response, operation.pattern);
  }
  for (const char* path : {"/v1/responses", "/v1/messages", "/v1/messages/count_tokens", "/api/chat", "/api/generate", "/api/embed",
                           "/api/show", "/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/generate_stream"})
    EXPECT_TRUE(seen.contains({"POST", path})) << path;
  // The protocol's own limits are in what is published.
  const std::vector<Operation> all = protocol_operations();
  const Json& responses = all.front().request["properties"];
  EXPECT_EQ(responses["top_logprobs"]["maximum"], 20);
  EXPECT_EQ(responses["truncation"]["enum"][0], "auto");
}

TEST(ProtocolOperations, StandInTheDocument) {
  const Json document = openapi_json(protocol_operations(), "1");
  EXPECT_EQ(document["paths"]["/v1/messages"]["post"]["requestBody"]["content"]["application/json"]["schema"]["required"],
            parse_json(R"(["messages", "max_tokens"])", "required"));
  EXPECT_TRUE(document["paths"]["/api/chat"]["post"]["responses"]["200"]["content"].contains("application/x-ndjson"));
}

}  // namespace
}  // namespace r1::api
