// Whether stored weights are those of a model: every tensor there, of its shape, none that is not known. Not for other folders.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "r1/base/gguf_file.h"
#include "r1/base/safetensors_file.h"
#include "r1/model/quantization.h"
#include "r1/model/transformer.h"

namespace r1::model {

struct Stored {
  const SafetensorsFile* file = nullptr;
  const SafeTensor* tensor = nullptr;
};

// All safetensors files of a model.
class SafetensorsModel {
 public:
  explicit SafetensorsModel(const fs::path& path) : files_(open_safetensors_model(path)), quantization_(quantization_of(path)) {}

  Stored find(const std::string& name) const;
  const std::vector<SafetensorsFile>& files() const { return files_; }
  // What config.json says of how matrices are stored; none: as they are, or in fp8 blocks where the tensors show it.
  const std::optional<Quantization>& quantization() const { return quantization_; }

 private:
  std::vector<SafetensorsFile> files_;
  std::optional<Quantization> quantization_;
};

bool is_fp8(const SafeTensor& tensor);

// Fail with one error that lists all that is missing, misshaped or not known; what is left out or stored twice gets a word.
void check_weights(Transformer& model, const SafetensorsModel& stored, const fs::path& path);
void check_weights(Transformer& model, const GgufFile& file);

}  // namespace r1::model
