#include "r1/engine/sampling_options.h"

#include "r1/base/error.h"

namespace r1::engine {

SamplingOptions SamplingOptions::of_model(const SamplingOptions& fallback) {
  SamplingOptions out{
      .temperature = kNotGiven, .top_k = kNotGiven, .top_p = kNotGiven, .min_p = kNotGiven, .repetition_penalty = kNotGiven};
  out.fallback = &fallback;
  return out;
}

SamplingParams SamplingOptions::params(int64_t max_new_tokens) const {
  const SamplingParams out{.temperature = temperature,
                           .top_k = top_k,
                           .top_p = top_p,
                           .min_p = min_p,
                           .repetition_penalty = repetition_penalty,
                           .presence_penalty = presence_penalty,
                           .frequency_penalty = frequency_penalty,
                           .max_new_tokens = max_new_tokens,
                           .min_new_tokens = min_new_tokens};
  check_sampling(out);
  return out;
}

void SamplingOptions::visit(Fields& v) {
  const auto option = [&](const char* key, auto SamplingOptions::*field, const char* help, Range range) {
    if (!fallback) return v(key, this->*field, help, range);
    range.lo = kNotGiven;
    v(key, this->*field, str(help, "; -1: as generation_config.json says, else ", fallback->*field).c_str(), range);
  };
  option("temperature", &SamplingOptions::temperature, "0: greedy", {0, 100});
  v.alias("temp", "temperature");
  option("top_k", &SamplingOptions::top_k, "sample from the k likeliest tokens; 0: all", {0, 1e9});
  option("top_p", &SamplingOptions::top_p,
         "sample from the likeliest tokens that hold this much probability (log-probabilities are those before any cut)", {0, 1});
  option("min_p", &SamplingOptions::min_p, "leave out tokens less likely than this part of the likeliest", {0, 1});
  option("repetition_penalty", &SamplingOptions::repetition_penalty, "divides the logits of tokens seen (1: off)", {1e-3, 1e3});
  v("presence_penalty", presence_penalty, "taken from the logits of tokens in the answer", Range{-100, 100});
  v("frequency_penalty", frequency_penalty, "taken once for each time a token is in the answer", Range{-100, 100});
  v("min_new_tokens", min_new_tokens, "nothing ends an answer among this many first tokens", Range{0, 1e9});
  v("stop", stop, "strings that end an answer");
}

}  // namespace r1::engine
