// What the bodies of /v1/chat/completions and /v1/completions have in common, each group of fields with what it comes down to. The names are
// OpenAI's, vLLM's and llama.cpp's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "r1/api/body.h"
#include "r1/api/generation.h"

namespace r1::api {

inline constexpr double kMaxTokensLimit = 2147483647;
inline constexpr int64_t kMaxSamples = 128, kMaxTopLogprobs = 20;
inline constexpr size_t kMaxStops = 16, kMaxStopLength = 1024, kMaxStopIds = 128, kMaxShortText = 512, kMaxPattern = 64 << 10;

struct SamplingFields {
  std::optional<double> temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
  std::optional<int64_t> top_k, seed, max_tokens, min_tokens, n;
  Json stop, logit_bias;
  std::vector<int64_t> stop_token_ids;
  bool ignore_eos = false, use_beam_search = false, include_stop_str_in_output = false;

  void visit(Body& v);
  void apply(GenerationRequest& request) const;
};

struct StructuredOutputs {  // vLLM's structured_outputs
  Json json;
  std::string regex, grammar;
  std::vector<std::string> choice;
  bool json_object = false;
  void visit(Body& v);
};

// The answer's shape: one of these at most.
struct FormatFields {
  Json response_format, guided_json, json_schema;
  std::string guided_regex, guided_grammar, grammar;
  std::vector<std::string> guided_choice;
  std::optional<StructuredOutputs> structured_outputs;

  void visit(Body& v);
  AnswerFormat format() const;
};

struct StreamOptions {
  bool include_usage = false;
  void visit(Body& v);
};

// How it is run and sent.
struct DeliveryFields {
  std::string model, user, cache_salt;
  bool stream = false, truncate_prompt = false, return_token_ids = false;
  std::optional<StreamOptions> stream_options;
  std::optional<int64_t> truncate_prompt_tokens, priority;

  void visit(Body& v);
  void apply(GenerationRequest& request) const;
};

// {"type": "text" | "json_object" | "json_schema" | "regex" | "grammar", ..}
AnswerFormat read_response_format(const Json& format, const std::string& path);

// 400: `name` was given and there is nothing like it here.
[[noreturn]] void refuse_field(const std::string& name, const std::string& why);

}  // namespace r1::api
