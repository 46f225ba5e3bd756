// POST /v1/chat/completions: the body as a request for an answer, and the answer in OpenAI's shape, whole or as server-sent events. Beside
// OpenAI's fields it knows vLLM's and llama.cpp's; what would change the answer and is not to be had here (audio, logit_bias, a chat template in
// the request) is refused by name.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "r1/api/body.h"
#include "r1/api/generation.h"
#include "r1/api/openai_fields.h"
#include "r1/http/message.h"

namespace r1::api {

struct ThinkingField {  // Anthropic's and DeepSeek's
  std::string type;
  std::optional<int64_t> budget_tokens;
  void visit(Body& v);
};

struct ReasoningField {  // OpenRouter's
  std::string effort;
  std::optional<bool> enabled;
  std::optional<int64_t> max_tokens;
  bool exclude = false;
  void visit(Body& v);
};

// The conversation, its tools and how it is put into the template: what /tokenize and /apply-template take of a chat request too.
struct ConversationFields {
  Json messages, tools, tool_choice, chat_template_kwargs, documents, functions, function_call, chat_template;
  std::optional<bool> add_generation_prompt;
  bool continue_final_message = false, parallel_tool_calls = true;
  std::string reasoning_effort;
  std::optional<ReasoningField> reasoning;
  std::optional<ThinkingField> thinking;
  std::optional<bool> enable_thinking;
  std::optional<int64_t> thinking_token_budget;

  void visit(Body& v, bool messages_needed);
  void apply(GenerationRequest& request) const;

 private:
  void apply_tools(GenerationRequest& request) const;
  void apply_thinking(GenerationRequest& request) const;
};

struct ChatBody {
  ConversationFields conversation;
  SamplingFields sampling;
  FormatFields format;
  DeliveryFields delivery;
  bool logprobs = false, echo = false, include_reasoning = true;
  std::optional<int64_t> top_logprobs, best_of;
  Json modalities, audio, web_search_options;

  void visit(Body& v);
  GenerationRequest request() const;
};

Generation chat_generation(std::string_view body, http::ResponderPtr responder);

// What is told of an answer beside its parts.
struct ChatAnswerOptions {
  bool stream = false, include_usage = false, logprobs = false, return_token_ids = false;
  bool reasoning = true;            // thoughts are shown
  bool parallel_tool_calls = true;  // else the first call only
  std::string prefix = {};          // what the answer goes on from, to be shown before it
};
std::unique_ptr<AnswerWriter> chat_writer(const ChatAnswerOptions& options, http::ResponderPtr responder);

}  // namespace r1::api
