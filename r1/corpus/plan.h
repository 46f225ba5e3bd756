// The input as shards, the pieces that work is given out in: some files, or a stretch of a large file of JSON lines. A shard depends on the
// names and sizes of the files and on shard_bytes alone, so every worker cuts the same ones.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "r1/base/json.h"
#include "r1/corpus/reader.h"

namespace r1::corpus {

struct InputShard {
  std::vector<std::string> files;
  int64_t begin = 0, end = 0;  // bytes of the only file; end 0: the files as a whole
  int64_t bytes = 0;           // of all of it, as stored
};

// Files in their order; small ones together up to `shard_bytes`, JSON lines that are not packed cut at line ends, others whole.
std::vector<InputShard> plan_shards(const std::vector<std::string>& files, int64_t shard_bytes);
Json to_json(const std::vector<InputShard>& shards);

// Documents of a stretch of JSON lines have the places that they have in the whole file.
std::unique_ptr<Reader> open_shard(const InputShard& shard, const ReadOptions& options);

}  // namespace r1::corpus
