// Where a model's weights stand and how they are stored: what weights_io's loading and saving share. Not for other folders.
#pragma once

#include <cstdint>
#include <string>

#include "r1/base/file.h"
#include "r1/model/weights_io.h"

namespace r1::model {

inline constexpr const char* kConfigFile = "config.json";

// The file or folder that holds the weights at `path`, GGUF or safetensors; pickles are refused.
fs::path weights_at(const fs::path& path);
bool is_gguf(const fs::path& path);

// Elements that the files hold, by their directories.
int64_t stored_elements(const fs::path& path);
// Whether the files have the weights of multi-token prediction that the config speaks of.
bool stores_mtp(const fs::path& path, int64_t layers);

// A run's folder holds the final model once it is done; until then its newest checkpoint is what there is. Any other path as it is.
fs::path model_of_run(const fs::path& path);

// The second tensor of a weight that is stored in 8 bits (tensor/fp8_block).
inline std::string scale_name(const std::string& hf_name) {
  return hf_name + "_scale_inv";
}

// Row r of one of our q or k matrices is row rope_order()(r) of a llama GGUF file.
std::function<int64_t(int64_t)> rope_order(int64_t head_dim);

// Counts bytes that are done and tells the caller.
class ProgressCounter {
 public:
  ProgressCounter(const WeightProgress& progress, int64_t total) : progress_(progress), total_(total) {}
  void operator()(int64_t bytes) {
    done_ += bytes;
    if (progress_) progress_(done_, total_);
  }

 private:
  const WeightProgress& progress_;
  int64_t done_ = 0, total_;
};

}  // namespace r1::model
