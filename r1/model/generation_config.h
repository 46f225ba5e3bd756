// generation_config.json beside a model: the ids that end an answer, and how its authors sample. Published instruct models name their
// end-of-turn token here and often nowhere else.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace r1::model {

struct GenerationConfig {
  std::string where;  // the file; empty if there is none
  std::vector<int64_t> eos_token_ids;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;  // nullopt: not said, or said to be off (do_sample: false)
  std::optional<int64_t> top_k;
};

// Of a model's folder, or of the folder of a weight file; empty for a GGUF file and where there is no such file. Values of the wrong type
// or out of range are errors that name file and key.
GenerationConfig read_generation_config(const std::filesystem::path& model);

}  // namespace r1::model
