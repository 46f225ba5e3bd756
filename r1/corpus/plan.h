// The input as shards, the pieces that work is given out in: some files, or a stretch of a large one. A shard depends on the files and on shard_bytes
// alone, so every worker cuts the same ones.
//
// Cut are: JSON lines that are not packed, at line ends; WARC, plain or in gzip members of a record each (as crawls are), where a record begins;
// Parquet, between row groups. Anything else is one shard: it has no places that can be told from outside (a file packed as one stream, XML, text
// whose documents are cut by what came before).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "r1/base/json.h"
#include "r1/corpus/reader.h"

namespace r1::corpus {

struct InputShard {
  std::vector<std::string> files;
  std::string cut = {};        // how the only file was cut: "lines", "records", "members", "rows"; "": the files as a whole
  int64_t begin = 0, end = 0;  // bytes of the only file as stored; of "rows" their numbers
  int64_t bytes = 0;           // of all of it, as stored
};

// Files in their order; small ones together up to `shard_bytes`, larger ones cut about there where they can be. `kind`: ReadOptions::kind.
std::vector<InputShard> plan_shards(const std::vector<std::string>& files, int64_t shard_bytes, const std::string& kind = "auto");
Json to_json(const std::vector<InputShard>& shards);

// Documents of a stretch have the places that they have in the whole file.
std::unique_ptr<Reader> open_shard(const InputShard& shard, const ReadOptions& options);

}  // namespace r1::corpus
