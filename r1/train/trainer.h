// One training step, for every stage: micro-batches forward and backward, clip, update. The stage gives the batches and the loss; this file
// owns gradient accumulation, mixed precision, the finite check and the order of sums, and is bitwise reproducible on CPU.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "r1/data/batch.h"
#include "r1/dist/gradients.h"
#include "r1/dist/shares.h"
#include "r1/model/transformer.h"
#include "r1/model/weights_io.h"
#include "r1/ops/logprob.h"

namespace r1::train {

// Keys spelled like HF TrainingArguments where those exist. The defaults are for a new model; stages that start from pretrained weights
// have their own learning rate.
struct TrainerConfig {
  double learning_rate = 3e-4, weight_decay = 0.0, adam_beta1 = 0.9, adam_beta2 = 0.95, adam_epsilon = 1e-8, max_grad_norm = 1.0;
  std::string optim = "adamw";  // adamw | muon (matrices by Muon, the rest by AdamW)
  double muon_learning_rate = 0.02, muon_momentum = 0.95;
  std::string lr_scheduler_type = "cosine";  // cosine | linear | constant | wsd
  int64_t warmup_steps = 0;
  double warmup_ratio = 0, min_lr_ratio = 0.1, wsd_decay_ratio = 0.2;
  double dropout = 0;
  bool bf16 = false, gradient_checkpointing = false, keep_zeros = false;
  int64_t max_consecutive_skips = 5;  // steps with NaN/Inf in a row before training stops
  // none | int8 | int4 | fp8: what the weights are rounded to while they are trained, by who gives the trainer a WeightRounding (r1/quant).
  std::string quantize_training = "none";
  int64_t quantize_group_size = 128;  // int4: columns that share a scale

  void visit(Fields& v);
};

// A batch on the model's device with its forward done.
struct ForwardResult {
  const data::Batch* batch;
  Tensor logprob_T;      // of batch->targets, with graph
  Tensor entropy_T;      // no graph; undefined unless asked for
  Tensor loss_weight_T;  // fp32 on the device
  // -sum of loss_weight_T times logprob_T, with graph (ops::linear_nll): where it was asked for and x is on a device, else undefined.
  Tensor nll;

  // Multi-token prediction, module by module: log-probability (with graph) of the token `depth` places after the target, 0 where the
  // document ends before, and that token's weight.
  struct Further {
    Tensor logprob_T, loss_weight_T;
  };
  std::vector<Further> further;

  // Where the loss makes of the states what it needs (LossSpec::states), and logprob_T is not made: after the final norm, with graph.
  struct States {
    Tensor x_TD, targets_T;
    Tensor rows_R;               // int64, those that are learned from; undefined: all are to be taken
    std::vector<Tensor> layers;  // after the embedding [0] and each block, if LossSpec::layers
  } states;
};

// What a loss says besides its value, over the micro-batches and ranks of a step.
struct LossMetrics {
  std::map<std::string, double> sums;    // added up, divided by nothing
  std::map<std::string, double> maxima;  // the largest
  std::map<std::string, double> terms;   // what the loss is the sum of, so that a loss that is not finite can be traced: added up
  void raise(const std::string& name, double value) {
    const auto [it, fresh] = maxima.emplace(name, value);
    if (!fresh && value > it->second) it->second = value;
  }

  // Numbers that a device is still computing (double, 1-dim): `use` gets them at the end of the step, when all is read in one copy, so that
  // nobody waits before the update is under way. Numbers on the CPU are given to it at once.
  using Use = std::function<void(const double* values, LossMetrics& metrics)>;
  void later(const Tensor& values, Use use);
  struct Waiting {
    Tensor values;
    Use use;
  };
  std::vector<Waiting> waiting;
};

// Sum (not mean) of the micro-batch's loss times weights, divided by `denominator`, which the trainer computes once over all micro-batches
// of the step: so the result does not depend on how a step is cut into micro-batches.
struct LossSpec {
  // Scalar loss with graph.
  std::function<Tensor(const ForwardResult&, double denominator, LossMetrics& metrics)> loss;
  // What a batch contributes to the denominator; default: sum of loss_weight.
  std::function<double(const data::Batch&)> weight;
  double temperature = 1.0;
  bool want_entropy = false;
  bool nll = false;  // the loss takes ForwardResult::nll where that is defined, and needs no graph of the log-probabilities then
  bool states = false, layers = false;  // it takes ForwardResult::states, the layers' too, and no log-probabilities
  // Adds mtp_loss_weight times the mean cross entropy of multi-token prediction, if the model has it (metric mtp_loss).
  bool mtp = false;
};
LossSpec cross_entropy_loss();

struct StepResult {
  double loss = 0, grad_norm = 0, learning_rate = 0;
  int64_t tokens = 0;
  bool skipped = false;
  std::string
      skip_reason;  // "NaN in gradient of layers.2.mlp.gate (first layer: 2)", "Inf in the loss's kl term; ..", "no token to learn from (...)"
  bool empty = false;    // skipped, as no token had a loss weight: there is no loss and no gradient
  bool stopped = false;  // given up between two micro-batches (Trainer::step's `stop`): as if the call had not been
  LossMetrics metrics;
  std::map<std::string, double> layers;  // what the layers say of themselves, ready for the log (train/layer_metrics)
};

// Weights that the model computes with rounded, while what is trained is their masters: fp32 tensors of the optimizer. `round` turns what
// stands in a row's tensor (the master, in the model's dtype) into what it is rounded to, in place; a function of these values alone. A
// gradient of the rounded weight is taken for the master's, as if nothing had been rounded (straight through).
struct WeightRounding {
  std::function<bool(const model::WeightRow&)> applies;
  std::function<void(const model::WeightRow&)> round;
};

// The ranks that share each step, and how they add up their gradients. With many, step() is given this rank's micro-batches: the i-th here is
// number i * size + rank of the step, and a rank may have none. Loss, gradients, metrics and counters are those of one process with all of
// them, up to the order of sums; a stop that one rank was asked for, all take.
// Beside these there may be ranks that share the model's layers (Transformer::ranks): they are given the same micro-batches.
//
// What is whole on every rank, and what each has its own N-th of (ZeRO, arXiv 1910.02054), of P parameters with AdamW, bytes a rank:
//            weights   gradients     moments (and masters, bf16)     sent in a step: gradients, weights
//   zero 0   4 P       4 P           8 P                             2 (N - 1) / N of 4 P
//   zero 1   4 P       4 P           8 P / N                         (N - 1) / N of 4 P, the same again
//   zero 2   4 P       4 P / N       8 P / N                         (N - 1) / N of 4 P for each micro-batch, the same again once
// bf16: weights 2 P, masters 4 P beside the moments, and weights are sent in 2 P.
struct Sharing {
  dist::Group* group = nullptr;  // null: alone
  std::string gradients = "plain";
  int64_t zero = 0;  // not with gradients=sign, weights that are rounded, or rows beside the model
};

// A tensor of the optimizer's state, and which part of it is here.
struct StateSlot {
  std::string name;            // "<HF name>.exp_avg"
  Tensor part;                 // shared storage, not a copy; flat where ranks share the state
  std::vector<int64_t> shape;  // of the whole
  dist::Range own;             // of the whole, flat: what `part` is
  const model::WeightRow* row;
  // Where ranks share the layers and the row is split, so that `part` is no range of the whole: takes the part out of the whole, and brings
  // the whole together (on the first of them, inside Trainer::with_whole_rows). Else empty.
  std::function<void(const Tensor& whole)> keep;
  std::function<Tensor()> whole;
};
using StateReader = std::function<void(const std::vector<StateSlot>&)>;

class Trainer {
 public:
  // `more`: what is learned beside the model, by the loss's own use of it; fp32 tensors of the caller, who also saves them. `rounding`: there
  // exactly if config.quantize_training names one; from now on the model's weights are the rounded ones.
  Trainer(model::Transformer& model, const TrainerConfig& config, int64_t total_steps, uint64_t seed,
          const model::WeightTable* more = nullptr, WeightRounding rounding = {}, Sharing sharing = {});
  ~Trainer();

  // One optimizer step over the micro-batches; advances global_step by one, a skipped step too: schedule and data order depend on the step
  // alone. NaN/Inf: weights untouched, counted; throws after max_consecutive_skips in a row. No learned token in any micro-batch: likewise
  // untouched and counted, and an ordinary event of a long run that never ends it.
  // CUDA: the update is enqueued before the host knows of loss and norm; a bad step's changes nothing there either. Out of memory: the step
  // is done again, once, with every micro-batch cut in two between documents (the same sums, another order); then it stops with a plan that
  // would fit.
  // `stop` is asked before each micro-batch: true gives the step up, with weights, counters and global_step as they were before the call.
  StepResult step(std::span<const data::Batch> micro_batches, const LossSpec& loss, const std::function<bool()>& stop = {});
  // Forward only, no graph: log-probabilities [T] of one batch (reference model, scoring, evaluation loss).
  std::vector<float> logprobs(const data::Batch& batch, double temperature = 1.0);

  // Told of each part of a step as it begins on the host: "forward" and "backward" of every micro-batch, "update", "read" (waits for the
  // device), "done". For measurements.
  void on_phase(std::function<void(const char* phase)> told);

  int64_t global_step() const;
  int64_t total_steps() const;
  model::Transformer& model();
  // The ranks that share each step, or a group of one.
  dist::Group& group();
  // Whether any of the ranks that share the model's layers was asked (to stop): what one takes as asked, all do.
  bool any_asked(bool asked) const;

  // Steps skipped since the run began: for NaN/Inf, and for want of a token to learn from.
  int64_t skipped_steps() const;
  int64_t empty_steps() const;
  // Does `work` with the masters, in the model's dtype, in the place of rounded weights: for who saves the model.
  void with_masters(const std::function<void()>& work);

  // Where ranks share the layers, the first of them does `work`, which saves this trainer, and the others hand over their parts of rows meanwhile;
  // all call it, also those that share the batch, and these do nothing. Without such ranks: work().
  void with_whole_rows(const std::function<void()>& work);
  // The model as it is trained (the masters), whole; returns the names of the weight files.
  std::vector<std::string> save_model(const std::filesystem::path& folder, int64_t max_shard_bytes);
  // For who saves the model himself.
  model::FetchRow fetch_row();

  // The first weight or optimizer tensor that is not finite, or "": asked before a checkpoint is written, so that no poisoned one ever is.
  std::string state_fault();

  // Optimizer moments, master weights, counters, as named tensors and JSON: what checkpoint.h writes. load_state checks names and shapes, and
  // takes whole tensors. Where ranks share the state, the tensors are this rank's parts.
  std::vector<std::pair<std::string, Tensor>> state_tensors();
  std::vector<StateSlot> state_slots();
  bool shares_state() const;  // whether ranks do
  Json state_json() const;
  void load_state(const std::vector<std::pair<std::string, Tensor>>& tensors, const Json& json);
  // The same from where they lie in parts: `fill` writes every slot.
  void restore(const StateReader& fill, const Json& json);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Forward-only log-probabilities of any model (it has no optimizer state): the reference model of GRPO, `r1 score`.
std::vector<float> batch_logprobs(model::Transformer& model, const data::Batch& batch, double temperature = 1.0);

}  // namespace r1::train
