#include "r1/stages/sampler_correction.h"

#include <algorithm>
#include <cmath>

#include "r1/base/error.h"

namespace r1::stages {
namespace {

bool whole_completions(const SamplerCorrectionArgs& args) {
  return args.importance_sampling_correction.starts_with("sequence");
}

// The factor as it is used.
double bounded(const SamplerCorrectionArgs& args, double c, CorrectionStatistics& s) {
  const double low = args.importance_sampling_clip_min, high = args.importance_sampling_clip_max;
  const bool masks = args.importance_sampling_correction.ends_with("mask");
  const bool outside = c < low || c > high;
  if (outside) c = masks ? 0 : std::clamp(c, low, high);
  s.factor_min = s.factors == 0 ? c : std::min(s.factor_min, c);
  s.factor_max = s.factors == 0 ? c : std::max(s.factor_max, c);
  s.cut += outside;
  s.factor += c;
  ++s.factors;
  return c;
}

}  // namespace

std::vector<float> SampleLogprobs::of(const data::Batch& batch, const std::function<std::vector<float>()>& compute) {
  std::vector<float> all;
  for (const int32_t sample : batch.document) {
    const auto it = known_.find(sample);
    if (it == known_.end()) break;
    all.insert(all.end(), it->second.begin(), it->second.end());
  }
  if (int64_t(all.size()) == batch.tokens()) return all;
  all = compute();
  for (int64_t d = 0; d < batch.documents(); ++d)
    known_[batch.document[size_t(d)]].assign(all.begin() + batch.cu_seqlens[size_t(d)], all.begin() + batch.cu_seqlens[size_t(d) + 1]);
  return all;
}

void correct_batch(const SamplerCorrectionArgs& args, const std::vector<float>& trainer_T, data::Batch& batch,
                   CorrectionStatistics& statistics) {
  check(trainer_T.size() == size_t(batch.tokens()), "[grpo] expected the trainer's log-probability of each of the ", batch.tokens(),
        " tokens, got ", trainer_T.size());
  for (int64_t d = 0; d < batch.documents(); ++d) {
    const int32_t begin = batch.cu_seqlens[size_t(d)], end = batch.cu_seqlens[size_t(d) + 1];
    double sum = 0;
    bool learned = false;
    for (int32_t t = begin; t < end; ++t) {
      if (batch.loss_weight[size_t(t)] == 0) continue;
      learned = true;
      const double difference = double(trainer_T[size_t(t)]) - batch.old_logprob[size_t(t)];
      sum += difference;
      ++statistics.tokens;
      statistics.difference += std::abs(difference);
      statistics.difference_max = std::max(statistics.difference_max, std::abs(difference));
      batch.old_logprob[size_t(t)] = trainer_T[size_t(t)];
      if (!whole_completions(args)) batch.advantage[size_t(t)] *= float(bounded(args, std::exp(difference), statistics));
    }
    if (!learned || !whole_completions(args)) continue;
    const auto c = float(bounded(args, std::exp(sum), statistics));
    for (int32_t t = begin; t < end; ++t) batch.advantage[size_t(t)] *= c;
  }
}

void check_correction(const SamplerCorrectionArgs& args) {
  if (args.importance_sampling_correction != "none" && args.importance_sampling_clip_min > args.importance_sampling_clip_max)
    fail_usage("importance_sampling_clip_min (", args.importance_sampling_clip_min, ") is above importance_sampling_clip_max (",
               args.importance_sampling_clip_max, ")");
}

Json CorrectionStatistics::metrics() const {
  if (tokens == 0 || factors == 0) return Json::object();
  return {{"sampling/sampling_logp_difference/mean", difference / tokens}, {"sampling/sampling_logp_difference/max", difference_max},
          {"sampling/importance_sampling_ratio/mean", factor / factors},   {"sampling/importance_sampling_ratio/min", factor_min},
          {"sampling/importance_sampling_ratio/max", factor_max},          {"sampling/corrected_ratio", cut / factors}};
}

void SamplerCorrectionArgs::visit(Fields& v) {
  v("importance_sampling_correction", importance_sampling_correction,
    "where the sampler's log-probabilities are not quite the trainer's: recompute them before the update, and multiply each token's (or "
    "completion's) policy term by their ratio, cut to its bounds or 0 outside of them",
    OneOf{"none", "token_truncate", "token_mask", "sequence_truncate", "sequence_mask"});
  v("importance_sampling_clip_max", importance_sampling_clip_max, "upper bound of that ratio", Range{0, 1e6});
  v("importance_sampling_clip_min", importance_sampling_clip_min, "lower bound of it", Range{0, 1e6});
}

}  // namespace r1::stages
