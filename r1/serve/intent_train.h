// Training of an intent model (intent_model.h) on labelled messages.
//
// 1. N-grams and their linear classifier, on all messages.
// 2. With a language model: on `folds` folds, n-grams and encoder each learn from the other folds and say what they think of the messages that they
//    have not seen. From this comes how the two are blended, and soft targets: a label that both doubt weighs less, and a second reading
//    of an ambiguous message is allowed for (published intent data has many wrong labels: Ying & Thomas, "Label Errors in BANKING77", 2022).
// 3. The encoder, on all messages: cross entropy with label smoothing, mixed with the soft targets.
// One seed gives one model on the CPU; nothing of the messages to test on is looked at.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "r1/api/intent_data.h"
#include "r1/base/config.h"
#include "r1/serve/intent_model.h"

namespace r1::serve {

struct IntentTrainConfig {
  std::string model_name_or_path;  // "": n-grams alone
  int64_t layers = 12, max_tokens = 64, batch_size = 64, folds = 5, seed = 1;
  double epochs = 8, fold_epochs = 6;
  double learning_rate = 2e-4, head_learning_rate = 1e-3, warmup_ratio = 0.06, weight_decay = 0.01, max_grad_norm = 1;
  double dropout = 0.1, label_smoothing = 0.1, soft_target_share = 0.5;
  api::NgramOptions ngrams;
  api::LinearOptions linear;

  void visit(Fields& v);
};

struct IntentTrainEvent {
  std::string what;  // "ngrams", "fold 2 of 5", "encoder"
  int64_t step = 0, steps = 0;
  double loss = 0;
};
using IntentTrainProgress = std::function<void(const IntentTrainEvent&)>;

std::unique_ptr<IntentModel> train_intents(const IntentTrainConfig& config, const api::IntentExamples& examples, tensor::Device device,
                                           const IntentTrainProgress& told = {});

}  // namespace r1::serve
