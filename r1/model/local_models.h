// The models that are on this machine: what has a name in $R1_MODELS (default: ~/.cache/r1/models, or models/ in $R1_DEPS) and in the
// local Hugging Face cache ($HF_HUB_CACHE, $HF_HOME/hub, default ~/.cache/huggingface/hub). find_model (weights_io.h) looks here for what is
// no path. Nothing is downloaded.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace r1::model {

struct LocalModel {
  std::string name;            // what commands take: "smollm2-135m-instruct-q4_1", "Qwen/Qwen2.5-0.5B", "org/name/q4.gguf" of several
  std::filesystem::path path;  // a .gguf file, a HF folder or a snapshot of one
  std::string format;          // "gguf", "safetensors", "tokenizer" (no weights here)
  uint64_t bytes = 0;          // of its weights; of the tokenizer where there are none
  bool in_hub_cache = false;
};

std::filesystem::path models_folder();
std::filesystem::path hub_cache();

// By name, those of $R1_MODELS first. Folders that cannot be read are left out.
std::vector<LocalModel> local_models();

// Where a tokenizer is: a path as it is, else what the name stands for here. kUsage error as find_model's.
std::filesystem::path find_tokenizer(const std::filesystem::path& name);

// Whether what a model computes hangs on a file of its folder: weights, config, tokenizer, template.
bool is_file_of_model(const std::filesystem::path& file);

}  // namespace r1::model
