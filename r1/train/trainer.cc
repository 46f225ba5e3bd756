#include "r1/train/trainer.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "r1/base/error.h"
#include "r1/base/log.h"
#include "r1/base/memory.h"
#include "r1/base/rng.h"
#include "r1/ops/optimizer_step.h"
#include "r1/tensor/aten.h"
#include "r1/train/doctor.h"
#include "r1/train/forward.h"
#include "r1/train/layer_metrics.h"
#include "r1/train/optimizer.h"
#include "r1/train/schedule.h"

namespace r1::train {
namespace {

constexpr uint64_t kDropoutStream = 0x64726F70;  // "drop"

// The one place where data-parallel ranks will meet: the step's scalars (denominator, loss, metrics) and its fp32 gradients are summed over
// ranks. With a single rank there is nothing to add.
void sum_over_ranks(std::span<double>) {}
void sum_over_ranks(std::span<Tensor>) {}
void max_over_ranks(std::span<double>) {}

double default_weight(const data::Batch& batch) {
  double sum = 0;
  for (float w : batch.loss_weight) sum += w;
  return sum;
}

int64_t learned_tokens(const data::Batch& batch) {
  return std::count_if(batch.loss_weight.begin(), batch.loss_weight.end(), [](float w) { return w != 0; });
}

// The 1st, 10th, 100th ..: a long run with many of them is not a page of warnings.
bool worth_a_line(int64_t count) {
  while (count % 10 == 0 && count > 0) count /= 10;
  return count == 1;
}

struct Norm {
  double value;
  bool finite;
};

// Over all gradients: each tensor's sum of squares in fp64 and fixed order, then the tensors in table order; one wait for the device.
Norm global_norm(std::span<const Tensor> gradients) {
  std::vector<Tensor> sums;
  for (const Tensor& g : gradients) {
    if (g.defined()) sums.push_back(ops::squared_sum(g));
  }
  if (sums.empty()) return {0, true};
  const Tensor all = aten::stack(sums).to(at::kCPU);
  double total = 0;
  for (int64_t i = 0; i < all.numel(); ++i) total += all.data_ptr<double>()[i];
  return {std::sqrt(total), std::isfinite(total)};
}

}  // namespace

struct Trainer::Impl {
  Impl(model::Transformer& m, const TrainerConfig& c, int64_t steps, uint64_t s)
      : model(m),
        config(c),
        total_steps(steps),
        seed(s),
        optimizer(m, c),
        gradients(optimizer.rows().size()),
        bad_steps(c.max_consecutive_skips) {
    if (c.gradient_checkpointing && m.device().is_cpu()) large_blocks_go_back.emplace();
  }

  model::Transformer& model;
  TrainerConfig config;
  int64_t total_steps, global_step = 0;
  uint64_t seed;
  Optimizer optimizer;
  std::vector<Tensor> gradients;  // fp32, a row each, live during a step
  BadSteps bad_steps;
  int64_t empty_steps = 0;
  nn::ForwardRecord record;  // of the step under way
  // glibc keeps freed blocks of up to 32 MB in its heap, which costs a checkpointed run more than half of what recomputing saves. Who asks
  // for checkpointing wants memory (bench: 2.4 times less, a tenth to a third more time where tensors are that large).
  std::optional<LargeBlocksGoBack> large_blocks_go_back;

  static double weight_of(const LossSpec& spec, const data::Batch& batch) {
    return spec.weight ? spec.weight(batch) : default_weight(batch);
  }

  ForwardArgs forward_args(const LossSpec& spec, size_t micro) {
    ForwardArgs args{.temperature = spec.temperature, .want_entropy = spec.want_entropy, .only_weighted = true, .dropout = config.dropout};
    // Named by (seed, step, micro-batch): the same after a resume.
    args.dropout_seed = random_bits(seed, kDropoutStream, uint64_t(global_step) << 20 | micro);
    args.model.activation_checkpointing = config.gradient_checkpointing;
    args.record = &record;
    args.mtp = spec.mtp && model.mtp_depth() > 0 && model.config().mtp_loss_weight > 0;
    return args;
  }

  // Adds the micro-batch's gradients to the fp32 sums. An fp32 model's own .grad is the sum; bf16 gradients are folded and dropped.
  void fold_gradients() {
    at::NoGradGuard no_grad;
    for (size_t i = 0; i < gradients.size(); ++i) {
      Tensor& grad = optimizer.rows()[i].weight->tensor->mutable_grad();
      if (!grad.defined()) continue;
      if (grad.scalar_type() == at::kFloat) {
        gradients[i] = grad.contiguous();
      } else {
        gradients[i] = gradients[i].defined() ? gradients[i].add_(grad) : grad.to(at::kFloat);
        grad.reset();
      }
    }
  }

  void drop_gradients() {
    for (size_t i = 0; i < gradients.size(); ++i) {
      gradients[i].reset();
      optimizer.rows()[i].weight->tensor->mutable_grad().reset();
    }
  }

  // lambda / depth * sum over modules of the mean cross entropy (DeepSeek-V3, eq. 24 and 25). The step's loss is reported without it.
  Tensor mtp_loss(const ForwardResult& forward_result, double denominator, LossMetrics& metrics) const {
    Tensor sum = aten::zeros({}, at::TensorOptions().dtype(at::kFloat).device(model.device()));
    for (const ForwardResult::Further& f : forward_result.further) sum = sum - (f.logprob_T * f.loss_weight_T).sum();
    const Tensor mean = sum / (denominator * double(forward_result.further.size()));
    metrics.sums["mtp_loss"] += mean.item<double>();
    return mean * model.config().mtp_loss_weight;
  }

  // Forward and backward of all micro-batches; fills the step's loss, or says that it was stopped.
  void accumulate(std::span<const data::Batch> micro_batches, const LossSpec& spec, double denominator, const std::function<bool()>& stop,
                  StepResult& result) {
    at::AutoGradMode grad_mode(true);
    Tensor total = aten::zeros({}, at::TensorOptions().dtype(at::kDouble).device(model.device()));
    for (size_t i = 0; i < micro_batches.size(); ++i) {
      if (stop && stop()) {
        result.stopped = true;
        return;
      }
      ForwardArgs args = forward_args(spec, i);
      args.aux_scale = weight_of(spec, micro_batches[i]) / denominator;
      const ForwardResult forward_result = forward(model, micro_batches[i], args);
      Tensor loss = spec.loss(forward_result, denominator, result.metrics);
      check(loss.dim() == 0, "[trainer] expected a scalar loss, got shape ", loss.sizes());
      total += loss.detach().to(at::kDouble);
      if (args.mtp) loss = loss + mtp_loss(forward_result, denominator, result.metrics);
      loss.backward();
      fold_gradients();
      result.tokens += micro_batches[i].tokens();
    }
    result.loss = total.item<double>();
  }

  void sum_step_over_ranks(StepResult& result) {
    std::vector<double> sums{result.loss};
    for (const auto& [name, value] : result.metrics.sums) sums.push_back(value);
    sum_over_ranks(sums);
    sum_over_ranks(gradients);
    std::vector<Tensor> said;
    for (const auto& [name, value] : record.sums) said.push_back(value);
    sum_over_ranks(said);
    result.loss = sums[0];
    size_t i = 1;
    for (auto& [name, value] : result.metrics.sums) value = sums[i++];
    std::vector<double> maxima;
    for (const auto& [name, value] : result.metrics.maxima) maxima.push_back(value);
    max_over_ranks(maxima);
    i = 0;
    for (auto& [name, value] : result.metrics.maxima) value = maxima[i++];
  }

  // "" if loss and gradients are finite, else what is wrong and where.
  std::string fault(const StepResult& result, const Norm& norm, std::span<const data::Batch> micro_batches) {
    if (!std::isfinite(result.loss)) return diagnose_loss(model, micro_batches, result.metrics.terms);
    if (!norm.finite) return diagnose_gradients(optimizer.rows(), gradients);
    return "";
  }

  void update(double norm) {
    const double scale = config.max_grad_norm > 0 && norm > config.max_grad_norm ? config.max_grad_norm / norm : 1.0;
    optimizer.update(gradients, scale, schedule_factor(config, global_step, total_steps));
    model.after_step(record);
    model.bump_version();
  }

  // A batch of answers that were all cut off, rows cut before the answer: nothing to learn, nothing wrong.
  void skip_empty(StepResult& result) {
    result.skipped = result.empty = true;
    result.skip_reason = "no token to learn from (all loss weights are 0)";
    ++global_step;
    if (worth_a_line(++empty_steps))
      log_warning("step ", global_step, " is skipped: ", result.skip_reason, "; such steps so far: ", empty_steps);
  }

  StepResult step(std::span<const data::Batch> micro_batches, const LossSpec& spec, const std::function<bool()>& stop) {
    check(!micro_batches.empty(), "[trainer] expected at least one micro-batch");
    StepResult result;
    result.learning_rate = config.learning_rate * schedule_factor(config, global_step, total_steps);
    double sums[2] = {0, 0};  // denominator, learned tokens
    for (const data::Batch& batch : micro_batches) sums[0] += weight_of(spec, batch), sums[1] += double(learned_tokens(batch));
    sum_over_ranks(sums);
    const double denominator = sums[0];
    if (sums[1] == 0) {
      skip_empty(result);
      return result;
    }
    check(denominator > 0, "[trainer] step ", global_step, ": the loss weights add up to ", denominator, ", expected more than 0");
    drop_gradients();
    record.sums.clear();
    accumulate(micro_batches, spec, denominator, stop, result);
    if (result.stopped) {
      drop_gradients();
      return result;
    }
    sum_step_over_ranks(result);
    const Norm norm = global_norm(gradients);
    result.grad_norm = norm.value;
    result.skip_reason = fault(result, norm, micro_batches);
    result.skipped = !result.skip_reason.empty();
    if (!result.skipped) update(norm.value), bad_steps.good();
    result.layers = layer_metrics(record, model.weights());
    drop_gradients();
    ++global_step;
    if (result.skipped) bad_steps.bad(global_step, result.skip_reason);
    return result;
  }
};

Trainer::Trainer(model::Transformer& model, const TrainerConfig& config, int64_t total_steps, uint64_t seed) {
  check(config.bf16 == (model.dtype() == at::kBFloat16), "[trainer] expected a model in ", config.bf16 ? "bfloat16" : "float32",
        " (bf16=", config.bf16 ? "true" : "false", "), got ", model.dtype());
  check(total_steps > 0, "[trainer] expected at least one step, got ", total_steps);
  model.set_requires_grad(true);
  impl_ = std::make_unique<Impl>(model, config, total_steps, seed);
}
Trainer::~Trainer() = default;

StepResult Trainer::step(std::span<const data::Batch> micro_batches, const LossSpec& loss, const std::function<bool()>& stop) {
  return impl_->step(micro_batches, loss, stop);
}
std::vector<float> Trainer::logprobs(const data::Batch& batch, double temperature) {
  return batch_logprobs(impl_->model, batch, temperature);
}

int64_t Trainer::global_step() const {
  return impl_->global_step;
}
int64_t Trainer::total_steps() const {
  return impl_->total_steps;
}
int64_t Trainer::skipped_steps() const {
  return impl_->bad_steps.total();
}
int64_t Trainer::empty_steps() const {
  return impl_->empty_steps;
}
std::string Trainer::state_fault() const {
  return diagnose_state(impl_->optimizer);
}
model::Transformer& Trainer::model() {
  return impl_->model;
}

std::vector<std::pair<std::string, Tensor>> Trainer::state_tensors() {
  return impl_->optimizer.state_tensors();
}

Json Trainer::state_json() const {
  return {{"global_step", impl_->global_step},         {"total_steps", impl_->total_steps},
          {"updates", impl_->optimizer.updates()},     {"optim", impl_->config.optim},
          {"skipped_steps", impl_->bad_steps.total()}, {"skipped_in_a_row", impl_->bad_steps.in_a_row()},
          {"empty_steps", impl_->empty_steps},         {"seed", impl_->seed}};
}

void Trainer::load_state(const std::vector<std::pair<std::string, Tensor>>& tensors, const Json& json) {
  constexpr const char* where = "trainer state";
  const auto optim = json_get<std::string>(json, "optim", where);
  check(optim == impl_->config.optim, "[trainer] state was written with optim=", optim, ", this run has optim=", impl_->config.optim);
  impl_->optimizer.load_state(tensors);
  impl_->optimizer.set_updates(json_get<int64_t>(json, "updates", where));
  impl_->global_step = json_get<int64_t>(json, "global_step", where);
  impl_->seed = json_get<uint64_t>(json, "seed", where);
  impl_->bad_steps.restore(json_get<int64_t>(json, "skipped_in_a_row", where), json_get<int64_t>(json, "skipped_steps", where));
  impl_->empty_steps = json_get_or<int64_t>(json, "empty_steps", 0, where);  // older checkpoints have none
  impl_->model.bump_version();
}

void TrainerConfig::visit(Fields& v) {
  v("learning_rate", learning_rate, "peak learning rate", Range{0, 10});
  v.alias("lr", "learning_rate");
  v("weight_decay", weight_decay, "AdamW weight decay on matrices (not on norms, biases, embeddings)", Range{0, 10});
  v("adam_beta1", adam_beta1, "AdamW beta1", Range{0, 1});
  v("adam_beta2", adam_beta2, "AdamW beta2", Range{0, 1});
  v("adam_epsilon", adam_epsilon, "AdamW epsilon", Range{0, 1});
  v("max_grad_norm", max_grad_norm, "clip the global gradient norm; 0: never", Range{0, 1e9});
  v("optim", optim, "optimizer", OneOf{"adamw", "muon"});
  v("muon_learning_rate", muon_learning_rate, "learning rate of the matrices under muon", Range{0, 10});
  v("muon_momentum", muon_momentum, "momentum of muon", Range{0, 1});
  v("lr_scheduler_type", lr_scheduler_type, "shape of the schedule", OneOf{"cosine", "linear", "constant", "wsd"});
  v("warmup_steps", warmup_steps, "linear warm-up", Range{0, 1e9});
  v("warmup_ratio", warmup_ratio, "linear warm-up as a share of all steps", Range{0, 1});
  v("min_lr_ratio", min_lr_ratio, "the schedule ends at this share of the peak", Range{0, 1});
  v("wsd_decay_ratio", wsd_decay_ratio, "wsd: share of the steps that decay", Range{0, 1});
  v("dropout", dropout, "dropout on attention and MLP outputs", Range{0, 0.99});
  v("bf16", bf16, "weights and activations in bfloat16, fp32 master weights");
  v("gradient_checkpointing", gradient_checkpointing, "recompute each block in the backward pass");
  v("max_consecutive_skips", max_consecutive_skips, "stop after this many steps with NaN/Inf in a row", Range{1, 1e6});
}

}  // namespace r1::train
