// Published shapes by name, and tiny ones for tests and the demo: `r1 pretrain --model.preset tiny-1m`, `r1 plan --model.preset
// qwen2.5-7b`. Written down from knowledge of the published models, not read from their config.json. Checked: parameter counts, against
// remembered published ones (they say nothing of rope_theta, eps, context or ids), and smollm2-135m and r1-distill-qwen-7b in part against
// real GGUF files. Compare with the model's config.json before relying on the rest.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "r1/model/config.h"

namespace r1::model {

// The config of that name, finished; kUsage with the nearest name if there is none. Tiny presets have a vocabulary of 512 that callers
// replace by their tokenizer's.
ModelConfig preset(std::string_view name);
bool is_preset(std::string_view name);
std::vector<std::string> preset_names();

}  // namespace r1::model
