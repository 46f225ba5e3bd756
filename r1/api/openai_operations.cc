// The rows of /openapi.json for OpenAI's routes: what they take is their bodies' own list of fields, what they give is written down here.
#include <algorithm>

#include "r1/api/openai_chat.h"
#include "r1/api/openai_completions.h"
#include "r1/api/openai_other.h"
#include "r1/api/openapi.h"

namespace r1::api {
namespace {

Json text() {
  return {{"type", "string"}};
}
Json number() {
  return {{"type", "number"}};
}
Json integer() {
  return {{"type", "integer"}};
}
Json word(const char* value) {
  return {{"type", "string"}, {"enum", Json::array({value})}};
}
Json list(Json items) {
  return {{"type", "array"}, {"items", std::move(items)}};
}
Json or_null(Json schema) {
  return {{"anyOf", Json::array({std::move(schema), Json{{"type", "null"}}})}};
}

// An object all of whose listed members are there, but those of `optional`.
Json object(Json members, const Json& optional = Json::object()) {
  Json required = Json::array();
  for (const auto& item : members.items()) required.push_back(item.key());
  members.update(optional);
  return {{"type", "object"}, {"properties", std::move(members)}, {"required", std::move(required)}};
}

Json usage_schema() {
  return object({{"prompt_tokens", integer()},
                 {"completion_tokens", integer()},
                 {"total_tokens", integer()},
                 {"prompt_tokens_details", object({{"cached_tokens", integer()}})},
                 {"completion_tokens_details", object({{"reasoning_tokens", integer()}})}});
}

Json answer(const char* object_name, Json choice) {
  return object({{"id", text()},
                 {"object", word(object_name)},
                 {"created", integer()},
                 {"model", text()},
                 {"system_fingerprint", text()},
                 {"choices", list(std::move(choice))},
                 {"usage", usage_schema()},
                 {"timings", {{"type", "object"}, {"additionalProperties", number()}}}},
                {{"truncated", {{"type", "boolean"}}}});
}

Json finish_schema(const Json& reasons) {
  return {{"type", "string"}, {"enum", reasons}};
}
Json stop_reason_schema() {
  return {{"type", Json::array({"string", "integer", "null"})}};
}

Json chat_answer() {
  const Json token = {{"token", text()}, {"logprob", number()}, {"bytes", list(integer())}};
  Json with_top = token;
  with_top["top_logprobs"] = list(object(token));
  const Json call = object({{"id", text()}, {"type", word("function")}, {"function", object({{"name", text()}, {"arguments", text()}})}});
  const Json message = object({{"role", word("assistant")},
                               {"content", or_null(text())},
                               {"refusal", or_null(text())},
                               {"reasoning_content", or_null(text())},
                               {"reasoning", or_null(text())}},
                              {{"tool_calls", list(call)}});
  const Json logprobs = object({{"content", list(object(with_top))}, {"refusal", {{"type", "null"}}}});
  return answer("chat.completion", object({{"index", integer()},
                                           {"message", message},
                                           {"logprobs", or_null(logprobs)},
                                           {"finish_reason", finish_schema({"stop", "length", "tool_calls"})},
                                           {"stop_reason", stop_reason_schema()}},
                                          {{"token_ids", list(integer())}, {"thought_cut", {{"type", "boolean"}}}}));
}

Json completion_answer() {
  const Json top = or_null({{"type", "object"}, {"additionalProperties", number()}});
  const Json logprobs = object({{"tokens", list(text())},
                                {"token_logprobs", list(or_null(number()))},
                                {"top_logprobs", list(top)},
                                {"text_offset", list(integer())}});
  return answer("text_completion", object({{"index", integer()},
                                           {"text", text()},
                                           {"logprobs", or_null(logprobs)},
                                           {"finish_reason", finish_schema({"stop", "length"})},
                                           {"stop_reason", stop_reason_schema()}},
                                          {{"token_ids", list(integer())}}));
}

Json embeddings_answer() {
  const Json vector = {{"anyOf", Json::array({list(number()), text()})}};
  return object({{"object", word("list")},
                 {"data", list(object({{"object", word("embedding")}, {"index", integer()}, {"embedding", vector}}))},
                 {"model", text()},
                 {"usage", object({{"prompt_tokens", integer()}, {"total_tokens", integer()}})}});
}

Json tokenize_answer() {
  const Json piece = {{"anyOf", Json::array({text(), list(integer())})}};
  const Json token = {{"anyOf", Json::array({integer(), object({{"id", integer()}, {"piece", piece}})})}};
  return object({{"tokens", list(token)}, {"count", integer()}, {"max_model_len", integer()}}, {{"token_strs", list(text())}});
}

Json model_answer() {
  return object({{"id", text()},
                 {"object", word("model")},
                 {"created", integer()},
                 {"owned_by", text()},
                 {"root", text()},
                 {"parent", or_null(text())},
                 {"max_model_len", integer()},
                 {"meta", {{"type", "object"}, {"additionalProperties", integer()}}}});
}

}  // namespace

std::vector<Operation> openai_operations() {
  std::vector<Operation> out = {
      {.method = "POST",
       .pattern = "/v1/chat/completions",
       .summary = "An answer to a conversation",
       .tag = "OpenAI",
       .request = body_schema<ChatBody>(),
       .response = chat_answer(),
       .streams = true,
       .statuses = {404}},
      {.method = "POST",
       .pattern = "/v1/completions",
       .summary = "What follows on a text",
       .tag = "OpenAI",
       .request = body_schema<CompletionBody>(),
       .response = completion_answer(),
       .streams = true,
       .statuses = {404}},
      {.method = "POST",
       .pattern = "/v1/embeddings",
       .summary = "Texts as vectors: the mean of the model's last hidden states",
       .tag = "OpenAI",
       .request = body_schema<EmbeddingsBody>(),
       .response = embeddings_answer(),
       .statuses = {404}},
      {.method = "GET",
       .pattern = "/v1/models",
       .summary = "The models that are served",
       .tag = "OpenAI",
       .response = object({{"object", word("list")}, {"data", list(model_answer())}})},
      {.method = "GET", .pattern = "/v1/models/{id}", .summary = "One of them", .tag = "OpenAI", .response = model_answer()},
      {.method = "POST",
       .pattern = "/tokenize",
       .summary = "A text or a conversation as tokens",
       .tag = "Tokens",
       .request = body_schema<TokenizeBody>(),
       .response = tokenize_answer(),
       .statuses = {404}},
      {.method = "POST",
       .pattern = "/detokenize",
       .summary = "Tokens as text",
       .tag = "Tokens",
       .request = body_schema<DetokenizeBody>(),
       .response = object({{"content", text()}, {"prompt", text()}}),
       .statuses = {404}},
      {.method = "POST",
       .pattern = "/apply-template",
       .summary = "A conversation as the prompt that the model is given",
       .tag = "Tokens",
       .request = body_schema<ApplyTemplateBody>(),
       .response = object({{"prompt", text()}}),
       .statuses = {404}},
  };
  // DeepSeek's addresses have no /v1.
  for (const char* path : {"/v1/chat/completions", "/v1/models"}) {
    Operation same = *std::ranges::find(out, path, &Operation::pattern);
    same.pattern.erase(0, 3);
    out.push_back(std::move(same));
  }
  return out;
}

}  // namespace r1::api
