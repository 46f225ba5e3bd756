// The student's own answers, in place of those of the data: on-policy distillation.
#pragma once

#include <functional>
#include <vector>

#include "r1/data/batch.h"
#include "r1/engine/engine.h"
#include "r1/stages/rollout.h"

namespace r1::stages {

class StudentAnswers {
 public:
  struct Options {
    double share = 1;  // of the documents
    int64_t max_length = 0;
    SamplingArgs sampling;
    std::vector<text::TokenId> stop_ids;
    uint64_t seed = 0;
  };
  // `engine` holds the student that is trained.
  StudentAnswers(engine::Engine& engine, const text::Tokenizer& tokenizer, Options options);

  // Of each document that is drawn (by seed, step and its place) the last answer is sampled anew: a prompt is all that stands before its last
  // learned tokens; of a plain text that is its first token. Rows keep their documents, not their lengths. False: given up, as `stop` said so; the rows are as they were.
  bool rewrite(std::vector<data::Batch>& rows, int64_t step, const std::function<bool()>& stop);

 private:
  engine::Engine& engine_;
  const text::Tokenizer& tokenizer_;
  Options o_;
};

}  // namespace r1::stages
