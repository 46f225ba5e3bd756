#include "r1/api/protocol_operations.h"

#include "r1/api/anthropic.h"
#include "r1/api/kserve.h"
#include "r1/api/ollama.h"
#include "r1/api/responses.h"

namespace r1::api {
namespace {

Json object_of(Json properties) {
  Json required = Json::array();
  for (const auto& [name, schema] : properties.items()) required.push_back(name);
  return {{"type", "object"}, {"properties", std::move(properties)}, {"required", std::move(required)}};
}

Json type(const char* name) {
  return {{"type", name}};
}

Json plain_error_schema() {
  return object_of({{"error", type("string")}});
}

Json anthropic_error_schema() {
  const Json error = object_of({{"type", type("string")}, {"message", type("string")}});
  return object_of({{"type", {{"type", "string"}, {"enum", {"error"}}}}, {"error", error}});
}

void add_anthropic(std::vector<Operation>& out) {
  const Json message = object_of({{"id", type("string")},
                                  {"type", type("string")},
                                  {"role", type("string")},
                                  {"content", {{"type", "array"}, {"items", type("object")}}},
                                  {"model", type("string")},
                                  {"stop_reason", type("string")},
                                  {"usage", type("object")}});
  out.push_back({.method = "POST",
                 .pattern = "/v1/messages",
                 .summary = "An answer, whole or as events",
                 .tag = "Anthropic",
                 .request = body_schema<AnthropicBody>(),
                 .response = message,
                 .streams = true,
                 .statuses = {404},
                 .error = anthropic_error_schema()});
  out.push_back({.method = "POST",
                 .pattern = "/v1/messages/count_tokens",
                 .summary = "How many tokens the prompt has",
                 .tag = "Anthropic",
                 .request = body_schema<AnthropicCountBody>(),
                 .response = object_of({{"input_tokens", type("integer")}}),
                 .statuses = {404},
                 .error = anthropic_error_schema()});
}

void add_ollama(std::vector<Operation>& out) {
  const auto post = [&](const char* path, const char* summary, Json request, Json response, const char* content_type = "application/json") {
    out.push_back({.method = "POST",
                   .pattern = path,
                   .summary = summary,
                   .tag = "Ollama",
                   .request = std::move(request),
                   .response = std::move(response),
                   .content_type = content_type,
                   .statuses = {404},
                   .error = plain_error_schema()});
  };
  const Json line = {{"type", "object"},
                     {"properties", {{"model", type("string")}, {"created_at", type("string")}, {"done", type("boolean")}}}};
  const char lines[] = "application/x-ndjson";  // of one line, as application/json, where the body says stream: false
  post("/api/chat", "An answer to a conversation, a line of JSON a piece", body_schema<OllamaChatBody>(), line, lines);
  post("/api/generate", "An answer to a prompt, a line of JSON a piece", body_schema<OllamaGenerateBody>(), line, lines);
  post("/api/embed", "Embeddings of texts, of length one", body_schema<OllamaEmbedBody>(), object_of({{"embeddings", type("array")}}));
  post("/api/embeddings", "The embedding of a text", body_schema<OllamaEmbedBody>(), object_of({{"embedding", type("array")}}));
  post("/api/show", "What the served model is", body_schema<OllamaShowBody>(),
       object_of({{"details", type("object")}, {"model_info", type("object")}}));
  const auto get = [&](const char* path, const char* summary, Json response) {
    out.push_back({.method = "GET",
                   .pattern = path,
                   .summary = summary,
                   .tag = "Ollama",
                   .response = std::move(response),
                   .error = plain_error_schema()});
  };
  get("/api/tags", "The models, which is one", object_of({{"models", type("array")}}));
  get("/api/ps", "The models that are loaded, the same one", object_of({{"models", type("array")}}));
  get("/api/version", "The level of the protocol", object_of({{"version", type("string")}}));
}

void add_kserve(std::vector<Operation>& out) {
  const auto add = [&](const char* method, const std::string& path, const char* summary, Json request, Json response,
                       const char* content_type = "application/json", bool open = false) {
    out.push_back({.method = method,
                   .pattern = path,
                   .summary = summary,
                   .tag = "KServe",
                   .request = std::move(request),
                   .response = std::move(response),
                   .content_type = content_type,
                   .open = open,
                   .error = plain_error_schema()});
  };
  add("GET", "/v2", "The server and its extensions", {},
      object_of({{"name", type("string")}, {"version", type("string")}, {"extensions", type("array")}}));
  for (const char* path : {"/v2/health/live", "/v2/health/ready"}) add("GET", path, "200 if it is", {}, {}, "application/json", true);
  add("POST", "/v2/repository/index", "The models, which is one", {}, type("array"));
  const Json text = object_of({{"model_name", type("string")}, {"model_version", type("string")}, {"text_output", type("string")}});
  for (const std::string at : {"/v2/models/{model}", "/v2/models/{model}/versions/{version}"}) {
    add("GET", at, "Inputs and outputs", {}, object_of({{"name", type("string")}, {"inputs", type("array")}, {"outputs", type("array")}}));
    add("GET", at + "/config", "The same as Triton's configuration", {},
        object_of({{"name", type("string")}, {"input", type("array")}, {"output", type("array")}}));
    add("GET", at + "/ready", "200 if it is", {}, {});
    add("POST", at + "/infer", "input_ids to logits, or text_input to text_output", body_schema<KserveInferBody>(),
        object_of({{"model_name", type("string")}, {"model_version", type("string")}, {"outputs", type("array")}}));
    add("POST", at + "/generate", "text_input to text_output", body_schema<KserveGenerateBody>(), text);
    add("POST", at + "/generate_stream", "The same as server-sent events", body_schema<KserveGenerateBody>(), {}, "text/event-stream");
  }
}

}  // namespace

std::vector<Operation> protocol_operations() {
  std::vector<Operation> out;
  const Json response =
      object_of({{"id", type("string")}, {"object", type("string")}, {"status", type("string")}, {"output", type("array")}});
  out.push_back({.method = "POST",
                 .pattern = "/v1/responses",
                 .summary = "An answer as items, whole or as typed events",
                 .tag = "OpenAI",
                 .request = body_schema<ResponsesBody>(),
                 .response = response,
                 .streams = true,
                 .statuses = {404}});
  add_anthropic(out);
  add_ollama(out);
  add_kserve(out);
  return out;
}

}  // namespace r1::api
