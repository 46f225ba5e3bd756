// Training data from raw files as a stage of a recipe: what `r1 data run` does by hand (docs/data.md).
// <output_dir>/ data, tokens, webdataset; counts.json, report.html. A run that was stopped goes on after its last whole shard; one that is
// done is not done again.
#pragma once

#include <string>

#include "r1/corpus/pipeline.h"
#include "r1/stages/preflight.h"

namespace r1::stages {

struct DataConfig {
  corpus::PipelineConfig pipeline;
  std::string device = "auto";  // of score.model

  void visit(Fields& v);
};

// Loads the language model of a quality score. One text at a time is asked: a forward uses all threads, or the GPU, by itself.
corpus::OpenModel model_opener(const std::string& device);

void check(const DataConfig& config, const Preflight& preflight);
// Results: documents_in, documents, bytes, tokens, and "documents/<part>" of each part of a split.
Json prepare_data(const DataConfig& config);

}  // namespace r1::stages
