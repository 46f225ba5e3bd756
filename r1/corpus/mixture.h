// Documents of several sources as one stream in a given proportion, for training: r1 data mix.
//
// At each step the source that is furthest behind its share of the bytes gives its next document, so that any stretch of the output has the
// proportion of the whole. Source k's share is weights[k], or size^(1 / temperature) where none are given (Devlin et al., multilingual BERT, 2018;
// Conneau et al., "Unsupervised Cross-lingual Representation Learning at Scale", 2020, 3.1): 1 as they are, above 1 the small ones more often. A
// source that is used up begins again, its files in another order, at most max_epochs times (more than four add little: Muennighoff et al., "Scaling
// Data-Constrained Language Models", 2023); then the others go on by their shares. Inside of a source documents are shuffled in a window.
//
// With a curriculum (curriculum.h) the shares change with the bytes written. Then the next document comes from the source that is owed most: each document
// written credits every source with its share of the bytes at that moment. With order_by the documents of a source come in the order of their length or
// score, not shuffled but for those that are alike.
//
// The order depends on the sources, the options and the seed alone. Workers all read everything, and write the shards whose number is theirs.
#pragma once

#include <string>
#include <vector>

#include "r1/base/config.h"
#include "r1/base/json.h"

namespace r1::corpus {

struct MixConfig {
  std::vector<std::string> sources;
  std::vector<double> weights;
  std::string curriculum;         // a file
  std::string order_by = "none";  // "length", of the text in characters; "score", of the data road or the row
  bool descending = false;
  double temperature = 1, max_epochs = 4;
  int64_t bytes = 0, shard_bytes = int64_t{256} << 20, shuffle = 10'000;
  uint64_t seed = 0;
  std::string output;
  int64_t worker = 0, of = 1;
  void visit(Fields& v);
};

// {"documents", "bytes", "shards", "sources": [{"source", "documents", "bytes", "epochs", "share"}]}, with a
// curriculum also "stages": [{"until", "bytes", "shares"}]; written to OUTPUT/mixture.json too, by every worker.
// The bytes are those of the lines of JSON. A shard that is there already is not written again.
Json mix(const MixConfig& config);

}  // namespace r1::corpus
