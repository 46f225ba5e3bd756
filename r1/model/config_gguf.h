// The config of a network from the metadata of a GGUF file, of the architectures that the families name (families.h). What the metadata
// leave out is taken from the tensors: the size of the vocabulary, biases, tied heads, and llama3 rope scaling, of which only its effect
// (rope_freqs.weight) is stored.
#pragma once

#include <vector>

#include "r1/base/gguf_file.h"
#include "r1/base/gguf_write.h"
#include "r1/model/config.h"

namespace r1::model {

// Errors name the file and the key. Options that no layer here computes (sliding windows, yarn) are refused by name.
ModelConfig config_from_gguf(const GgufFile& file);

// The other way round: general.architecture and "<architecture>." keys that config_from_gguf, and llama.cpp, read. Usage errors name what
// GGUF has no form for.
void config_to_gguf(const ModelConfig& config, GgufMetadata& metadata);
// rope_freqs.weight of a config with llama3 scaling, [head_dim / 2]; empty for others.
std::vector<float> gguf_rope_factors(const ModelConfig& config);

// True if the file's output.weight is the embedding once more, byte for byte; such a head is one tensor here.
bool gguf_head_is_embedding(const GgufFile& file);

}  // namespace r1::model
