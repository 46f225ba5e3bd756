// Where generate and chat take the sampling options from that nobody gave: the model's generation_config.json, or the program's own.
#pragma once

#include "r1/engine/sampling_options.h"
#include "r1/model/generation_config.h"

namespace r1::app {

// Fills what is kNotGiven in `sampling` from the model's file, else from its fallback, and says on stderr what came from the file.
void fill_sampling(engine::SamplingOptions& sampling, const model::GenerationConfig& model);

}  // namespace r1::app
