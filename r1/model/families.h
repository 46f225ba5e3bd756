// The published families whose config differs from llama's in more than numbers: how their config.json (transformers 4 and 5) and GGUF
// headers map to ModelConfig. One file each: config_gpt2.cc, config_gemma3.cc. For model/config and its neighbours.
#pragma once

#include <string>

#include "r1/base/gguf_file.h"
#include "r1/model/config.h"

namespace r1::model {

struct HfReader;  // config_hf.h

// What every network of the family has, whatever its size: norms, MLP, positions, biases. Leaves the sizes alone; hidden_size must be set.
// For families without such a file only `family` is set.
void set_family(ModelConfig& config, const std::string& family);

void set_gpt2(ModelConfig& config);
ModelConfig gpt2_from_hf(const HfReader& r);
Json gpt2_to_hf(const ModelConfig& config);
// Reads what is GPT-2's own; sizes that all architectures spell alike are read already.
void gpt2_from_gguf(const GgufFile& file, ModelConfig& config);

void set_gemma3(ModelConfig& config);
ModelConfig gemma3_from_hf(const HfReader& r);
Json gemma3_to_hf(const ModelConfig& config);
void gemma3_from_gguf(const GgufFile& file, ModelConfig& config);

}  // namespace r1::model
