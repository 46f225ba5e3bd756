// OpenAI's Responses API: POST /v1/responses, whole and as typed events. Nothing is stored: every request brings its whole conversation, so
// previous_response_id, conversation, background and item references are refused with that word. Tools that OpenAI runs itself (web_search,
// ..) are left out and told in the header x-r1-ignored, as agents list them with every request.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "r1/api/body.h"
#include "r1/api/generation.h"
#include "r1/http/message.h"

namespace r1::api {

struct ResponsesReasoning {
  std::string effort, summary, generate_summary;
  void visit(Body& v);
};

struct ResponsesFormat {
  std::string type, name, description;
  Json schema;
  std::optional<bool> strict;
  void visit(Body& v);
};

struct ResponsesText {
  std::optional<ResponsesFormat> format;
  std::string verbosity;
  void visit(Body& v);
};

struct ResponsesTool {
  std::string type, name, description;
  Json parameters;
  std::optional<bool> strict;
  void visit(Body& v);
};

struct ResponsesBody {
  std::string model, instructions, truncation, previous_response_id, user, cache_salt;
  Json input, tool_choice, conversation, prompt, metadata, chat_template_kwargs;
  std::vector<ResponsesTool> tools;
  std::vector<std::string> include;
  std::optional<ResponsesReasoning> reasoning;
  std::optional<ResponsesText> text;
  std::optional<int64_t> max_output_tokens, top_k, seed;
  std::optional<double> temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
  std::optional<bool> store;
  int64_t top_logprobs = 0, priority = 0;
  bool parallel_tool_calls = true, background = false, stream = false;
  void visit(Body& v);
};

Generation read_responses(const std::string& body, const http::ResponderPtr& responder);

}  // namespace r1::api
