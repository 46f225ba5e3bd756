// What a run of the data road does, as users write it: r1 data run --config recipes/data_debian.yaml.
#pragma once

#include <string>
#include <vector>

#include "r1/base/config.h"
#include "r1/base/json.h"
#include "r1/corpus/augment.h"
#include "r1/corpus/decontaminate.h"
#include "r1/corpus/exact_dedup.h"
#include "r1/corpus/html.h"
#include "r1/corpus/language.h"
#include "r1/corpus/length.h"
#include "r1/corpus/minhash.h"
#include "r1/corpus/quality_model.h"
#include "r1/corpus/reader.h"
#include "r1/corpus/split.h"
#include "r1/corpus/substring_dedup.h"

namespace r1::corpus {

// The stages in the order in which a run has them if it does not say; a run names those that it wants in its own order. `compares` documents with each
// other: it needs all of them and parts the run in passes.
struct StageKind {
  std::string name, what;
  bool compares = false;
};
const std::vector<StageKind>& stage_kinds();

struct PipelineConfig {
  std::vector<std::string> input;
  bool optional_input = false;
  std::string output;
  std::vector<std::string> stages;
  std::string kind = "auto", text_column = "auto";
  bool mail_quotes = true;
  int64_t shard_bytes = int64_t{64} << 20;
  std::string tokenizer;
  std::vector<std::string> formats = {"jsonl"};
  bool keep_passes = false;
  int64_t worker = 0, of = 1;

  std::vector<std::string> not_prose = {"code", "chat", "problems"};
  struct Html {
    bool tables = true, code = true, lists = true, links = false, comments = false;
    void visit(Fields& v);
  } html;
  struct Clean {
    bool unicode = true, lines = true, blanks = true;
    void visit(Fields& v);
  } clean;
  struct Pii {
    std::string kinds = "mail,phone,ip,card,iban";
    bool private_addresses = false;
    void visit(Fields& v);
  } pii;
  LanguageConfig language;
  QualityConfig quality;
  ScoreConfig score;
  LengthConfig length;
  ExactOptions exact, lines = {.level = "line"};
  MinhashOptions near;
  SubstringOptions substring;
  int64_t window = 100;
  DecontaminateOptions decontaminate;
  SplitOptions split;
  AugmentOptions augment;

  void visit(Fields& v);

  // Of this machine's view: files are looked for, defaults are filled in. kUsage for what does not go together.
  void resolve();
  // What the output depends on, by which a folder's run is known again.
  Json identity() const;
  // What it does not depend on, but a merge should do as the workers did: memory, and what is kept.
  Json machine() const;
  // What the files hold that options name (tokenizer, models, evaluation data, tables): a hash of each. Not the input, and not score.model.
  Json contents(const text::Tokenizer* tokenizer) const;
  ReadOptions read_options() const;
};

}  // namespace r1::corpus
