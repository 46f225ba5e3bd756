#include "r1/train/schedule.h"

#include <algorithm>
#include <cmath>

namespace r1::train {

int64_t warmup_of(const TrainerConfig& config, int64_t total_steps) {
  if (config.warmup_steps > 0) return config.warmup_steps;
  return int64_t(std::ceil(config.warmup_ratio * double(total_steps)));
}

double schedule_factor(const TrainerConfig& config, int64_t step, int64_t total_steps) {
  const int64_t warmup = warmup_of(config, total_steps);
  if (step < warmup) return double(step + 1) / double(warmup + 1);
  const double low = config.min_lr_ratio;
  const double p = std::clamp(double(step - warmup) / double(std::max<int64_t>(1, total_steps - warmup)), 0.0, 1.0);
  if (config.lr_scheduler_type == "constant") return 1;
  if (config.lr_scheduler_type == "linear") return low + (1 - low) * (1 - p);
  if (config.lr_scheduler_type == "cosine") return low + (1 - low) * 0.5 * (1 + std::cos(M_PI * p));
  if (config.lr_scheduler_type == "wsd") {
    const int64_t decay = std::min(int64_t(std::llround(config.wsd_decay_ratio * double(total_steps))), total_steps - warmup);
    const int64_t into = step - (total_steps - decay);
    if (into < 0 || decay == 0) return 1;
    return low + (1 - low) * (1 - std::clamp(double(into) / double(decay), 0.0, 1.0));
  }
  fail_usage("lr_scheduler_type: expected cosine, linear, constant or wsd, got '", config.lr_scheduler_type, "'");
}

}  // namespace r1::train
