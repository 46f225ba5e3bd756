#include "r1/engine/request.h"

#include <cmath>

#include "r1/base/error.h"

namespace r1::engine {

namespace {

template <class T>
void in_range(const char* name, T value, T lo, T hi) {
  // Written so that NaN is refused too.
  if (!(value >= lo && value <= hi)) fail_usage("[sampling] expected ", name, " in [", lo, ", ", hi, "], got ", value);
}

}  // namespace

void check_sampling(const SamplingParams& p) {
  in_range("temperature", p.temperature, 0.0, 100.0);
  in_range<int64_t>("top_k", p.top_k, 0, int64_t{1} << 31);
  in_range("top_p", p.top_p, 0.0, 1.0);
  if (p.top_p == 0.0) fail_usage("[sampling] expected top_p in (0, 1], got 0; for greedy decoding set temperature to 0");
  in_range("min_p", p.min_p, 0.0, 1.0);
  in_range("repetition_penalty", p.repetition_penalty, 1e-3, 1e3);
  in_range("presence_penalty", p.presence_penalty, -100.0, 100.0);
  in_range("frequency_penalty", p.frequency_penalty, -100.0, 100.0);
  in_range<int64_t>("max_new_tokens", p.max_new_tokens, 1, int64_t{1} << 40);
  in_range<int64_t>("min_new_tokens", p.min_new_tokens, 0, p.max_new_tokens);
  in_range("top_logprobs", p.top_logprobs, 0, 20);
}

const char* finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kFailed:
      return "failed";
    case FinishReason::kNone:
      break;
  }
  return "none";
}

}  // namespace r1::engine
