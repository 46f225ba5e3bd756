// The parts that OpenAI's answers are put together from.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "r1/api/generation.h"

namespace r1::api {

// {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details": {"cached_tokens"},
//  "completion_tokens_details": {"reasoning_tokens"}}
Json usage_json(const Usage& usage);
// llama.cpp's: prompt_n, prompt_ms, prompt_per_second, predicted_n, predicted_ms, .., and cache_n.
Json timings_json(const Usage& usage, const Timings& timings);

// A token's bytes as JSON text: as they are, or, where they are only a part of a character, as "bytes:\xe2\x82".
std::string token_text(std::string_view bytes);
// {"token", "logprob", "bytes", "top_logprobs": [..]} of each.
Json logprobs_content(const std::vector<TokenInfo>& tokens);
Json token_ids(const std::vector<TokenInfo>& tokens);
// As JSON has it: what is no number (a token that can't be) becomes -9999.
double finite_logprob(float logprob);

// "stop", "length" or "tool_calls".
std::string openai_finish(const std::string& reason);
// vLLM's stop_reason: the string or the token's id that ended the answer, else null.
Json stop_reason(const AnswerWriter::Finish& finish);
std::string system_fingerprint(int64_t model_version);
// Which weights made an answer, for every protocol: x-r1-weights-version.
std::pair<std::string, std::string> weights_header(int64_t model_version);

// The headers of a stream of events: nobody between keeps it.
std::vector<std::pair<std::string, std::string>> event_headers();

}  // namespace r1::api
