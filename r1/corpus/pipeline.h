// The data road as a whole: raw files in, counted documents out. docs/data.md, "From raw files".
//
// The input is cut into shards (plan.h). The stages are cut into passes: each stage that compares documents with each other begins one. In a pass
// every shard goes through all its stages at once and is written whole, with its counts beside it; the counts' file is written last and says
// that the shard is done. A run that was killed, at any moment, goes on after the shards that are done, and its output is the same to the byte as
// that of one which was not. So it is for any number of threads, and for workers that share the first pass (worker, of) before one process does the rest.
//
//   OUT/config.json, plan.json     what is asked for, and the shards; a folder of another run is refused
//   OUT/0-read/00012.jsonl.zst     documents between passes (removed after the next pass, but for keep_passes), 00012.counts.json
//   OUT/1-exact/...                the comparison's files, its documents and counts
//   OUT/data, tokens, webdataset   the output (outputs.h)
//   OUT/machine.json               what the output does not depend on, for the merge
//   OUT/made_of.json               hashes of the tokenizer, models and tables that options name
//   OUT/counts.json, survey.json, examples.json    written at the end
//   OUT/decontaminate.jsonl, decontaminate_items.jsonl    which documents share text with which evaluation items, and the other way round
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "r1/corpus/document.h"
#include "r1/corpus/pipeline_config.h"
#include "r1/corpus/survey.h"

namespace r1::corpus {

struct RunCounts {
  std::vector<std::pair<std::string, Counts>> stages;  // "read" and then the config's
  Survey survey;
  Json examples = Json::array();     // of duplicates: {"stage", "document", "text", "stays", "stays_text"}
  Json items_found = Json::array();  // of evaluation data: {"item", "count", "documents": [{"document", "text"}]}; the stage decontaminate
  // kFailed if a stage's sum does not add up or a stage got other than the one before it gave.
  void check() const;
  Json to_json() const;
};

// False if other workers' shards are still missing, which r1 data merge goes on from. Ctrl-C ends it (ErrorKind::kInterrupted), the next call goes on.
// `open_model`: for score.model.
bool run_pipeline(PipelineConfig config, OpenModel open_model = {});
// What workers have begun: everything over all shards. kUsage that names those missing.
void merge_pipeline(const std::string& output, OpenModel open_model = {});
// Of a run that is done.
RunCounts read_counts(const std::string& output);
Json read_run_config(const std::string& output);

}  // namespace r1::corpus
