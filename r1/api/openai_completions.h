// POST /v1/completions: prompts as they are, one or many, as texts or token ids, and the answers as text: with echo and logprobs what lm-eval's
// local-completions scores with. Fill-in-the-middle by suffix.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "r1/api/body.h"
#include "r1/api/generation.h"
#include "r1/api/openai_fields.h"
#include "r1/http/message.h"

namespace r1::api {

inline constexpr size_t kMaxPrompts = 1024, kMaxPromptTokens = 4 << 20, kMaxChoices = 4096;

struct CompletionBody {
  Json prompt, prompt_embeds;
  std::string suffix;
  SamplingFields sampling;
  FormatFields format;
  DeliveryFields delivery;
  bool echo = false;
  std::optional<int64_t> logprobs, best_of;

  void visit(Body& v);
  GenerationRequest request() const;
};

// A text, a list of texts, token ids, or a list of lists of token ids, from 1 to `most`.
std::vector<GenerationRequest::Prompt> read_prompts(const Json& prompt, const std::string& path, size_t most = kMaxPrompts);
Json prompts_schema(size_t most = kMaxPrompts);

Generation completion_generation(std::string_view body, http::ResponderPtr responder);

struct CompletionAnswerOptions {
  bool stream = false, include_usage = false, logprobs = false, return_token_ids = false;
  int64_t top_logprobs = 0;
};
std::unique_ptr<AnswerWriter> completion_writer(const CompletionAnswerOptions& options, http::ResponderPtr responder);

}  // namespace r1::api
