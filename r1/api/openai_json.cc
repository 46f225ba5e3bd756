#include "r1/api/openai_json.h"

#include <cmath>

#include "r1/api/characters.h"
#include "r1/base/build_info.h"
#include "r1/base/error.h"

namespace r1::api {
namespace {

double per_second(int64_t n, double seconds) {
  return seconds > 0 ? double(n) / seconds : 0;
}

Json alternative_json(const Alternative& token) {
  Json bytes = Json::array();
  for (const char c : token.bytes) bytes.push_back(unsigned(static_cast<unsigned char>(c)));
  return {{"token", token_text(token.bytes)}, {"logprob", finite_logprob(token.logprob)}, {"bytes", std::move(bytes)}};
}

}  // namespace

Json usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}}};
}

Json timings_json(const Usage& usage, const Timings& timings) {
  const int64_t prompt = usage.prompt_tokens - usage.cached_tokens, made = usage.completion_tokens;
  const double making = std::max(0.0, timings.total - timings.first_token);
  const auto per_token_ms = [](int64_t n, double seconds) { return n > 0 ? seconds * 1e3 / double(n) : 0; };
  return {{"cache_n", usage.cached_tokens},
          {"prompt_n", prompt},
          {"prompt_ms", timings.prompt * 1e3},
          {"prompt_per_token_ms", per_token_ms(prompt, timings.prompt)},
          {"prompt_per_second", per_second(prompt, timings.prompt)},
          {"predicted_n", made},
          {"predicted_ms", making * 1e3},
          {"predicted_per_token_ms", per_token_ms(made, making)},
          {"predicted_per_second", per_second(made, making)},
          {"queued_ms", timings.queued * 1e3},
          {"first_token_ms", timings.first_token * 1e3}};
}

std::string token_text(std::string_view bytes) {
  if (is_utf8(bytes)) return std::string(bytes);
  std::string out = "bytes:";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += "\\x";
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

double finite_logprob(float logprob) {
  return std::isfinite(logprob) ? double(logprob) : -9999.0;
}

Json logprobs_content(const std::vector<TokenInfo>& tokens) {
  Json content = Json::array();
  for (const TokenInfo& token : tokens) {
    Json entry = alternative_json(token);
    Json top = Json::array();
    for (const Alternative& other : token.top) top.push_back(alternative_json(other));
    entry["top_logprobs"] = std::move(top);
    content.push_back(std::move(entry));
  }
  return content;
}

Json token_ids(const std::vector<TokenInfo>& tokens) {
  Json ids = Json::array();
  for (const TokenInfo& token : tokens) ids.push_back(token.id);
  return ids;
}

std::string openai_finish(const std::string& reason) {
  // Clients know no other words; an answer that was cut off is not complete, as one that is too long.
  return reason == "stop" || reason == "tool_calls" ? reason : "length";
}

Json stop_reason(const AnswerWriter::Finish& finish) {
  if (!finish.stop_string.empty()) return finish.stop_string;
  return finish.stop_id >= 0 ? Json(finish.stop_id) : Json();
}

std::string system_fingerprint(int64_t model_version) {
  return str("fp_r1_", build_info().version, "_", model_version);
}

std::pair<std::string, std::string> weights_header(int64_t model_version) {
  return {"x-r1-weights-version", std::to_string(model_version)};
}

std::vector<std::pair<std::string, std::string>> event_headers() {
  return {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
}

}  // namespace r1::api
