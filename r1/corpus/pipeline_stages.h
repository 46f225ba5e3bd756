// The stages of a run that look at one document at a time. Those that compare documents take part here too, with what their merge has decided.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "r1/corpus/document.h"
#include "r1/corpus/pipeline_config.h"
#include "r1/corpus/shards.h"

namespace r1::corpus {

// What became of a document: none, one or more that go on, and those dropped with their reasons.
struct Outcome {
  std::vector<Document> kept;
  std::vector<std::pair<Document, std::string>> dropped;
  Json found;  // what else is told of it, a row of OUT/<stage>.jsonl; null: nothing
};

class DocumentStage {
 public:
  virtual ~DocumentStage() = default;
  virtual std::string name() const = 0;
  // Calls from several threads at once.
  virtual Outcome apply(Place place, Document document) const = 0;
};

// One that compares nothing, by its name. The tokenizer must live on.
std::unique_ptr<DocumentStage> make_stage(const std::string& name, const PipelineConfig& config, const text::Tokenizer* tokenizer,
                                          const OpenModel& open_model);

// A stage that compares: each shard leaves a file, all of them are merged, then documents are asked for.
class Comparison {
 public:
  virtual ~Comparison() = default;
  virtual void add_shard(const fs::path& folder, int64_t shard, int64_t of, const fs::path& documents) const = 0;
  virtual bool merged(const fs::path& folder) const = 0;
  virtual void merge(const fs::path& folder, int64_t of) const = 0;
  // Some of the pairs that were found: what goes, what stays. None where parts of documents are compared.
  virtual std::vector<std::pair<Place, Place>> examples(const fs::path& folder, size_t most) const = 0;
  virtual std::unique_ptr<DocumentStage> decided(const fs::path& folder) const = 0;
};
std::unique_ptr<Comparison> make_comparison(const std::string& name, const PipelineConfig& config, const text::Tokenizer* tokenizer);

}  // namespace r1::corpus
