// What a teacher thinks of every learned token of a data set, made once and read by any number of runs: its K likeliest next tokens and the
// mass of all others. A folder of shards of some hundred documents each, and manifest.json, written last: without it the folder is one that
// is being made, and the next run goes on after its last whole shard. A token takes 8 K + 8 bytes.
#pragma once

#include <filesystem>
#include <vector>

#include "r1/base/json.h"
#include "r1/base/safetensors_file.h"
#include "r1/data/packing.h"
#include "r1/data/source.h"
#include "r1/model/transformer.h"
#include "r1/ops/divergence.h"

namespace r1::stages {

struct TeacherLogitsSpec {
  std::filesystem::path folder;
  Json key;  // all that the numbers hang on: teacher, texts, tokenizer; top_k, temperature and vocab are added
  int64_t top_k = 0, vocab = 0, max_length = 0;
  double temperature = 1;
};

class TeacherLogits {
 public:
  // True if the folder has them. Usage error if it has those of another key, with what differs.
  static bool are_there(const TeacherLogitsSpec& spec);
  // Makes what is not there yet. Ctrl-C ends it between two shards.
  static void make(const TeacherLogitsSpec& spec, const data::DocumentSource& documents, model::Transformer& teacher);
  explicit TeacherLogits(const TeacherLogitsSpec& spec);

  // Of the learned tokens of a batch of those documents (each cut at its end alone), in order.
  ops::TeacherTop rows(const data::Batch& batch, tensor::Device device) const;

 private:
  struct Shard {
    SafetensorsFile file;
    std::span<const int64_t> first;  // [documents + 1] of the rows
    std::span<const int32_t> position, ids;
    std::span<const float> logprob;
  };
  int64_t top_k_;
  std::vector<Shard> shards_;
};

}  // namespace r1::stages
