#include "r1/engine/sampling_options.h"

namespace r1::engine {

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
  v("temperature", temperature, "0: greedy", Range{0, 100});
  v.alias("temp", "temperature");
  v("top_k", top_k, "sample from the k likeliest tokens; 0: all", Range{0, 1e9});
  v("top_p", top_p, "sample from the likeliest tokens that hold this much probability (log-probabilities are those before any cut)",
    Range{0, 1});
  v("min_p", min_p, "leave out tokens less likely than this part of the likeliest", Range{0, 1});
  v("repetition_penalty", repetition_penalty, "divides the logits of tokens seen (1: off)", Range{1e-3, 1e3});
  v("presence_penalty", presence_penalty, "taken from the logits of tokens in the answer", Range{-100, 100});
  v("frequency_penalty", frequency_penalty, "taken once for each time a token is in the answer", Range{-100, 100});
  v("min_new_tokens", min_new_tokens, "nothing ends an answer among this many first tokens", Range{0, 1e9});
  v("stop", stop, "strings that end an answer");
}

}  // namespace r1::engine
