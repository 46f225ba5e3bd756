// A model's config as plan/network.h has it. The network is made without memory (ATen's meta device) and its own weight table is walked; what
// is kept for the backward pass is train/plan's.
#pragma once

#include <string>

#include "r1/model/config.h"
#include "r1/plan/network.h"

namespace r1::train {

// `config`: finished. kUsage for attention that is not full (or through a window) or latent.
plan::Network plan_network(const model::ModelConfig& config, const std::string& name);

}  // namespace r1::train
