// The loop that pretraining and fine-tuning share: rows from a loader, cross entropy, metrics, checkpoints, held-out loss.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "r1/data/loader.h"
#include "r1/stages/run.h"

namespace r1::stages {

// What a micro-batch is made of, for the stages that train on a loader's rows.
struct BatchArgs {
  int64_t max_tokens_per_batch = 0;
  bool group_by_length = false;

  void visit(Fields& v);
};
// Usage error for what does not go together.
void check_batches(const BatchArgs& args, int64_t max_length, const std::string& packing_strategy);

struct SupervisedData {
  const data::DocumentSource* train = nullptr;
  data::LoaderOptions loader;  // rows_per_batch and parts are set from the run's batch sizes, the rest of a batch's form from `batches`
  BatchArgs batches;
  std::vector<data::Batch> eval_rows;  // may be empty
  int64_t eval_steps = 0;
  bool looked_at = false;         // what is lost of the documents has been said (first_look.h)
  std::vector<std::string> next;  // what one does with the model: commands
  // What is learned, and from which rows: distillation has its own. Null: cross entropy; empty: the loader's rows.
  const train::LossSpec* loss = nullptr;
  // Changes the rows that the step after `step` learns from; a function of them, the step and the weights. `stop`: asked now and then; true
  // gives it up, and false comes back.
  std::function<bool(std::vector<data::Batch>& rows, int64_t step, const std::function<bool()>& stop)> rewrite;
};

// Steps of the run: max_steps, or the loader's own count over num_train_epochs.
int64_t supervised_steps(const RunArgs& args, SupervisedData& data);

// "12 steps of up to 8 rows of 1024 tokens".
std::string steps_in_words(int64_t steps, const RunArgs& args, const SupervisedData& data);

// Mean negative log-likelihood of the learned tokens; 0 if there are none. `stop`: asked before each row; true gives it up with nothing.
// The group's ranks take a row each in turn; the result is the same bits on any number of them.
std::optional<double> held_out_loss(train::Trainer& trainer, const std::vector<data::Batch>& rows, const std::function<bool()>& stop = {},
                                    dist::Group* group = nullptr);

// Usage error if the held-out rows (of eval_files) hold nothing to learn: their loss would be no number.
void check_eval_rows(const std::vector<data::Batch>& rows, int64_t max_length);

Json train_supervised(Run& run, const RunArgs& args, train::Trainer& trainer, const text::Tokenizer& tokenizer, const SupervisedData& data);

}  // namespace r1::stages
