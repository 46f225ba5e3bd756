#include "r1/app/sampling_defaults.h"

#include "r1/base/error.h"
#include "r1/base/log.h"

namespace r1::app {

void fill_sampling(engine::SamplingOptions& sampling, const model::GenerationConfig& model) {
  const engine::SamplingOptions& own = *sampling.fallback;
  std::string taken;
  const auto fill = [&](const char* key, auto& field, const auto& models, auto fallback) {
    if (field != engine::kNotGiven) return;
    field = fallback;
    if (!models) return;
    field = *models;
    taken += str(taken.empty() ? "" : ", ", key, " ", *models);
  };
  fill("temperature", sampling.temperature, model.temperature, own.temperature);
  fill("top_p", sampling.top_p, model.top_p, own.top_p);
  fill("top_k", sampling.top_k, model.top_k, own.top_k);
  fill("min_p", sampling.min_p, model.min_p, own.min_p);
  fill("repetition_penalty", sampling.repetition_penalty, model.repetition_penalty, own.repetition_penalty);
  if (!taken.empty()) log_info("sampling of ", model.where, ": ", taken, " (options win: --temperature ...)");
}

}  // namespace r1::app
