// What a run writes of one shard, in each of its formats and for each part of the split (without one in the format's folder itself):
//   data/train/00012.jsonl.zst          documents, as document.h has them
//   tokens/train/tokens-00012.bin       token ids (r1/data/token_shards.h), and tokens-00012.index.jsonl.zst, which says whose they are
//   webdataset/train/00012.tar          of each document "00012-000034.txt" and "00012-000034.json", what is known of it
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "r1/corpus/document.h"
#include "r1/corpus/pipeline_config.h"
#include "r1/text/tokenizer.h"

namespace r1::corpus {

class Outputs {
 public:
  Outputs(const PipelineConfig& config, const text::Tokenizer* tokenizer, int64_t shard);
  ~Outputs();
  // `ids`: of the document, if there is a tokenizer.
  void add(const Document& document, const std::vector<int32_t>& ids);
  void commit();

 private:
  struct Part;
  std::map<std::string, std::unique_ptr<Part>> parts_;
};

// "tokens/train/manifest.json" and its like, of all shards, so that a training run can open the folder.
void write_token_manifests(const PipelineConfig& config, const text::Tokenizer* tokenizer, int64_t shards);

}  // namespace r1::corpus
