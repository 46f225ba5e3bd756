// How the matrices of a HF folder are quantized, as its quantization_config says it (config.json; of old GPTQ folders a file of its own,
// quantize_config.json). Read here: DeepSeek's fp8 blocks, GPTQ (AutoGPTQ, GPTQModel; both formats), AWQ (AutoAWQ's gemm), compressed-tensors
// in int8 and packed integers. What cannot be read is refused by name, with a way out; keys that change nothing here get a word.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "r1/base/json.h"

namespace r1::model {

struct Quantization {
  enum class Layout { kFp8Block, kGptq, kAwq, kInt8, kPackedIntegers } layout = Layout::kGptq;
  int bits = 4;
  int64_t group = 128;         // columns; -1: a whole row
  bool second_format = false;  // GPTQ: zero points as they are ("gptq_v2")
  bool symmetric = true, activation_order = false;
  enum class Inputs { kAsTheyAre, kPerToken, kPerTensor } inputs = Inputs::kAsTheyAre;  // kInt8
  double damping = 0.01;                                                                // said in files that are written
};

// Of a quantization_config. `where` names the file in errors.
Quantization parse_quantization(const Json& config, const std::string& where);
// The same of a folder, or of the folder that a weight file stands in; none if nothing is quantized.
std::optional<Quantization> quantization_of(const std::filesystem::path& path);
Json quantization_to_json(const Quantization& q);
// "model.layers.0.mlp.up_proj" of its weight's name: what such files call a matrix's other tensors by.
std::string module_of(const std::string& weight_name);

}  // namespace r1::model
