// The input as shards, the pieces that work is given out in: some files, or a stretch of a large one. A shard depends on the files and on shard_bytes
// alone, so every worker cuts the same ones.
//
// Cut are: JSON lines at line ends; CSV and TSV between records, which the whole file is read for once; both of them too where they are packed in several
// gzip members or Zstandard frames, which is found by looking through the file and then costs unpacking it once; WARC, plain or in gzip members of a
// record each (as crawls are), where a record begins; Parquet, between row groups, and Arrow files, between record batches. Anything else is one shard: it
// has no places that can be told from outside (a file packed as one stream, XML, text whose documents are cut by what came before).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "r1/base/json.h"
#include "r1/corpus/reader.h"

namespace r1::corpus {

struct InputShard {
  std::vector<std::string> files;
  // How the only file was cut: "lines", "csv", "tsv", WARC's "records" and "members", Parquet's and Arrow's "rows"; "": the files as a whole.
  std::string cut = {};
  int64_t begin = 0, end = 0;  // bytes of the only file as stored, of "lines", "csv" and "tsv" unpacked; of "rows" their numbers
  int64_t bytes = 0;           // of all of it, as stored
  // Of packed lines, CSV and TSV: where the member that holds `begin` begins, as stored, and how far inside of it `begin` is. -1: not packed.
  int64_t member = -1, skip = 0;
  std::string head = {};  // of CSV and TSV: the header, but for the first part
};

// Files in their order; small ones together up to `shard_bytes`, larger ones cut about there where they can be. `kind`: ReadOptions::kind.
std::vector<InputShard> plan_shards(const std::vector<std::string>& files, int64_t shard_bytes, const std::string& kind = "auto");
Json to_json(const std::vector<InputShard>& shards);
// Of plan.json: which files, not how they are cut; enough to know how many there are. `where` names it in errors.
std::vector<InputShard> shards_from_json(const Json& plan, const std::string& where);
// A number that is another one when a file of the shard was written to: of the times of change, which are this machine's.
uint64_t change_of(const InputShard& shard);

// Documents of a stretch have the places that they have in the whole file.
std::unique_ptr<Reader> open_shard(const InputShard& shard, const ReadOptions& options);

}  // namespace r1::corpus
