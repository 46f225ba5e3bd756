// Where generate and chat take the sampling options from that nobody gave: the model's generation_config.json, or the program's own.
#pragma once

#include "r1/engine/request.h"
#include "r1/model/generation_config.h"

namespace r1::app {

// What an option holds that was not given on the command line, in a recipe or in the environment.
inline constexpr int kNotGiven = -1;

// Fills what is kNotGiven in `sampling` from the model's file, else from `own`, and says on stderr what came from the file.
void fill_sampling(engine::SamplingParams& sampling, const model::GenerationConfig& model, const engine::SamplingParams& own);

}  // namespace r1::app
