// Models on disk: HF folders (config.json, model.safetensors or shards with index) read and written, GGUF files read. Every size is checked against the file
// before anything is allocated; a broken file gives one error naming the file and the tensor.
#pragma once

#include <filesystem>
#include <memory>

#include "r1/model/transformer.h"

namespace r1::model {

// The config of a HF folder or a .gguf file.
ModelConfig read_model_config(const std::filesystem::path& path);

// Fills the table's tensors (any stored dtype, converted to the model's). Missing, surplus and misshaped tensors are errors that list them.
void load_weights(Transformer& model, const std::filesystem::path& path);

// read_model_config + allocate + load.
std::unique_ptr<Transformer> load_model(const std::filesystem::path& path, tensor::Device device, tensor::DType dtype);

// config.json, generation_config.json, model.safetensors (sharded with index above max_shard_bytes); files are fsynced. Tokenizer files are the caller's.
void save_model(const Transformer& model, const std::filesystem::path& folder, tensor::DType dtype, int64_t max_shard_bytes = int64_t{5} << 30);

}  // namespace r1::model
