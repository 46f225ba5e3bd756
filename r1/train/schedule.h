// The learning rate as a share of its peak, a pure function of the step.
//
//   warm-up   (step+1)/(warmup+1) for step < warmup     (HF starts at 0 and wastes the first step; the rest is HF's shape)
//   cosine    min + (1-min) (1 + cos(pi p)) / 2          p = (step - warmup) / (total - warmup)
//   linear    min + (1-min) (1 - p)
//   constant  1
//   wsd       1, then linear to min over the last wsd_decay_ratio of all steps (MiniCPM, arXiv 2404.06395)
#pragma once

#include <cstdint>

#include "r1/train/trainer.h"

namespace r1::train {

// warmup_steps if given, else ceil(warmup_ratio * total_steps), as HF has it.
int64_t warmup_of(const TrainerConfig& config, int64_t total_steps);

// For step 0 .. total_steps-1; later steps stay at the end value.
double schedule_factor(const TrainerConfig& config, int64_t step, int64_t total_steps);

}  // namespace r1::train
