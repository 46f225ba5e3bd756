// Presets whose shapes do not fit a row of presets.cc: latent attention, experts. Not for other folders.
#pragma once

#include <vector>

#include "r1/model/config.h"

namespace r1::model {

struct MadePreset {
  const char* name;
  ModelConfig (*make)();  // finished
};
const std::vector<MadePreset>& made_presets();

}  // namespace r1::model
