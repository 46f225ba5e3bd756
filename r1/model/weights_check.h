// Whether stored weights are those of a model: every tensor there, of its shape, none that is not known. Not for other folders.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "r1/base/gguf_file.h"
#include "r1/base/safetensors_file.h"
#include "r1/model/transformer.h"

namespace r1::model {

struct Stored {
  const SafetensorsFile* file = nullptr;
  const SafeTensor* tensor = nullptr;
};

// All safetensors files of a model.
class SafetensorsModel {
 public:
  explicit SafetensorsModel(const fs::path& path) : files_(open_safetensors_model(path)) {}

  Stored find(const std::string& name) const;
  const std::vector<SafetensorsFile>& files() const { return files_; }

 private:
  std::vector<SafetensorsFile> files_;
};

bool is_fp8(const SafeTensor& tensor);

// Fail with one error that lists all that is missing, misshaped or not known; what is left out or stored twice gets a word.
void check_weights(Transformer& model, const SafetensorsModel& stored, const fs::path& path);
void check_weights(Transformer& model, const GgufFile& file);

}  // namespace r1::model
