// Anthropic's Messages API: POST /v1/messages, whole and as a stream, and /v1/messages/count_tokens. Text, tools and thinking, and
// system messages wherever clients put them. What its newer parts would need that is not here (images, documents but plain text, tools that
// run at Anthropic) is refused by name where the answer would suffer, and otherwise left out and told in the header x-r1-ignored. A thought's
// signature is an opaque word: what comes back with it is read whatever it is.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "r1/api/body.h"
#include "r1/api/generation.h"
#include "r1/http/message.h"

namespace r1::api {

struct AnthropicMessage {
  std::string role;
  Json content;
  void visit(Body& v);
};

struct AnthropicTool {
  std::string name, description, type;
  Json input_schema;
  void visit(Body& v);
};

struct AnthropicToolChoice {
  std::string type, name;
  bool disable_parallel_tool_use = false;
  void visit(Body& v);
};

struct AnthropicThinking {
  std::string type, display;
  std::optional<int64_t> budget_tokens;
  void visit(Body& v);
};

struct AnthropicFormat {
  std::string type;
  Json schema;
  void visit(Body& v);
};

struct AnthropicOutput {
  std::string effort;
  std::optional<AnthropicFormat> format;
  void visit(Body& v);
};

struct AnthropicMetadata {
  std::string user_id;
  void visit(Body& v);
};

// What makes the prompt: the body of count_tokens.
struct AnthropicCountBody {
  std::string model;
  std::vector<AnthropicMessage> messages;
  Json system;
  std::vector<AnthropicTool> tools;
  std::optional<AnthropicToolChoice> tool_choice;
  std::optional<AnthropicThinking> thinking;
  std::optional<AnthropicOutput> output_config;
  std::optional<AnthropicFormat> output_format;
  void visit(Body& v);
};

struct AnthropicBody : AnthropicCountBody {
  int64_t max_tokens = 0;
  std::vector<std::string> stop_sequences;
  std::optional<double> temperature, top_p;
  std::optional<int64_t> top_k;
  std::optional<AnthropicMetadata> metadata;
  bool stream = false;
  void visit(Body& v);
};

// ApiError 400 as OpenAI's routes throw it; anthropic_error() gives it Anthropic's shape.
Generation read_anthropic(const std::string& body, const http::ResponderPtr& responder);
GenerationRequest read_anthropic_count(const std::string& body);
Json anthropic_count(int64_t prompt_tokens);

// {"type": "error", "error": {"type", "message"}}, for with_error_shape().
http::Response anthropic_error(const std::exception& error);

}  // namespace r1::api
