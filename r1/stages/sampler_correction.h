// Sampler and trainer compute the same numbers on a CPU in fp32. Where they round differently (16 bits, packed weights, an 8 bit cache), this
// makes up for it: the trainer's own log-probabilities, from before the first update, take the place of the sampler's in the ratio, and the
// policy's term of each token is multiplied by c = pi_trainer / pi_sampler, bounded from above (and below) (Yao et al., "Your efficient RL
// framework secretly brings you off-policy RL training", 2025). Names are TRL's without "vllm_":
//   token_truncate     c of the token, cut to the bounds          sequence_truncate   the product over the completion, cut
//   token_mask         0 where it is outside of them              sequence_mask       0 for all of the completion
// It costs a forward pass over each rollout.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "r1/base/config.h"
#include "r1/base/json.h"
#include "r1/data/batch.h"

namespace r1::stages {

// Log-probabilities of the targets of a rollout's samples, each computed once however many passes there are over the rollout.
class SampleLogprobs {
 public:
  void clear() { known_.clear(); }
  // Of every token of the batch: as they were, if every sample of it is known; else `compute`d.
  std::vector<float> of(const data::Batch& batch, const std::function<std::vector<float>()>& compute);

 private:
  std::map<int32_t, std::vector<float>> known_;  // by number in the rollout
};

struct SamplerCorrectionArgs {
  std::string importance_sampling_correction = "none";
  double importance_sampling_clip_max = 3, importance_sampling_clip_min = 0;

  void visit(Fields& v);
};

// Usage error for bounds that leave nothing between them.
void check_correction(const SamplerCorrectionArgs& args);

// What the factors were, over the learned tokens (sequence modes: over completions) that were corrected since the last clear().
struct CorrectionStatistics {
  double tokens = 0, difference = 0, difference_max = 0;                    // of |log pi_trainer - log pi_sampler|
  double factors = 0, factor = 0, factor_min = 0, factor_max = 0, cut = 0;  // of c as it is used; how many were cut or masked
  // sampling/sampling_logp_difference/mean and max, sampling/importance_sampling_ratio/mean, min, max, sampling/corrected_ratio.
  Json metrics() const;
};

// Puts `trainer_T`, the trainer's log-probabilities, in the place of batch.old_logprob, and the factors into batch.advantage. (Every policy term
// is proportional to the advantage, and c is never negative.)
void correct_batch(const SamplerCorrectionArgs& args, const std::vector<float>& trainer_T, data::Batch& batch,
                   CorrectionStatistics& statistics);

}  // namespace r1::stages
