#include "r1/train/trainer.h"

#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "r1/base/error.h"
#include "r1/base/log.h"
#include "r1/base/memory.h"
#include "r1/base/rng.h"
#include "r1/dist/shard_exchange.h"
#include "r1/model/shard.h"
#include "r1/ops/optimizer_step.h"
#include "r1/tensor/aten.h"
#include "r1/train/doctor.h"
#include "r1/train/forward.h"
#include "r1/train/gradient_shards.h"
#include "r1/train/layer_metrics.h"
#include "r1/train/memory_advice.h"
#include "r1/train/optimizer.h"
#include "r1/train/schedule.h"
#include "r1/train/step_numbers.h"
#include "r1/train/whole_rows.h"

namespace r1::train {
namespace {

constexpr uint64_t kDropoutStream = 0x64726F70;  // "drop"

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

}  // namespace

struct Trainer::Impl {
  Impl(model::Transformer& m, const TrainerConfig& c, int64_t steps, uint64_t s, const model::WeightTable* more, WeightRounding rounding,
       const Sharing& sharing)
      : model(m),
        config(c),
        total_steps(steps),
        seed(s),
        group(sharing.group ? *sharing.group : alone),
        optimizer(m, c, more, std::move(rounding), sharing.zero > 0 ? StateSharing{group.size(), group.rank()} : StateSharing()),
        gradients(optimizer.rows().size()),
        bad_steps(c.max_consecutive_skips),
        exchange(group, sharing.gradients),
        whole_rows(m.ranks()) {
    if (c.gradient_checkpointing && m.device().is_cpu()) large_blocks_go_back.emplace();
    if (optimizer.shares()) shard_exchange.emplace(group, *optimizer.shares(), sharing.gradients);
    if (shard_exchange && sharing.zero == 2) gradient_shards.emplace(*shard_exchange, slots());
  }

  std::vector<Tensor*> slots() const {
    std::vector<Tensor*> all;
    for (const Optimizer::Row& row : optimizer.rows()) all.push_back(row.weight->tensor);
    return all;
  }

  model::Transformer& model;
  TrainerConfig config;
  int64_t total_steps, global_step = 0;
  uint64_t seed;
  // The one place where data-parallel ranks meet: the step's numbers and its gradients are summed over the group.
  dist::Group alone, &group;
  Optimizer optimizer;
  std::vector<Tensor> gradients;  // fp32, a row each (flat, its own elements, once ranks have shared them out), live during a step
  BadSteps bad_steps;
  int64_t empty_steps = 0;
  dist::GradientExchange exchange;
  std::optional<dist::ShardExchange> shard_exchange;  // zero 1 and 2
  std::optional<GradientShards> gradient_shards;      // zero 2
  WholeRows whole_rows;                               // where ranks share the layers
  Tensor own_total;                                   // of many ranks: this one's part of the step's loss
  nn::ForwardRecord record;                           // of the step under way
  std::function<void(const char*)> told;
  // glibc keeps freed blocks of up to 32 MB in its heap, which costs a checkpointed run more than half of what recomputing saves. Who asks
  // for checkpointing wants memory (bench: 2.4 times less, a tenth to a third more time where tensors are that large).
  std::optional<LargeBlocksGoBack> large_blocks_go_back;

  void load(const std::function<void()>& load_optimizer, const Json& json);

  static double weight_of(const LossSpec& spec, const data::Batch& batch) {
    return spec.weight ? spec.weight(batch) : default_weight(batch);
  }

  ForwardArgs forward_args(const LossSpec& spec, size_t micro) {
    ForwardArgs args{.temperature = spec.temperature, .want_entropy = spec.want_entropy, .only_weighted = true, .dropout = config.dropout};
    // Named by (seed, step, micro-batch): the same after a resume, and on any number of ranks.
    const uint64_t number = micro * uint64_t(group.size()) + uint64_t(group.rank());
    args.dropout_seed = random_bits(seed, kDropoutStream, uint64_t(global_step) << 20 | number);
    args.model.activation_checkpointing = config.gradient_checkpointing;
    args.record = &record;
    args.nll = spec.nll;
    args.states = spec.states;
    args.layers = spec.layers;
    args.mtp = spec.mtp && model.mtp_depth() > 0 && model.config().mtp_loss_weight > 0;
    return args;
  }

  void phase(const char* name) const {
    if (told) told(name);
  }

  // Adds the micro-batch's gradients to the fp32 sums and drops them. An fp32 model's own .grad is the sum. A device's optimizer reads bf16
  // too, so the gradients of an only micro-batch are left as they are.
  void fold_gradients(bool only) {
    at::NoGradGuard no_grad;
    std::vector<Tensor> fresh(gradients.size());
    for (size_t i = 0; i < gradients.size(); ++i) {
      Tensor& grad = optimizer.rows()[i].weight->tensor->mutable_grad();
      if (!grad.defined()) continue;
      if (grad.scalar_type() == at::kFloat) {
        gradients[i] = grad.contiguous();
      } else {
        fresh[i] = grad.contiguous();
        grad.reset();
      }
    }
    if (!only || !model.device().is_cuda()) return ops::add_gradients(gradients, fresh);
    for (size_t i = 0; i < gradients.size(); ++i) {
      if (fresh[i].defined()) gradients[i] = fresh[i];
    }
  }

  void drop_gradients() {
    if (gradient_shards) gradient_shards->drop();
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
    metrics.later(mean.detach().to(at::kDouble).view({1}), [](const double* value, LossMetrics& m) { m.sums["mtp_loss"] += *value; });
    return mean * model.config().mtp_loss_weight;
  }

  bool any_asked(bool asked) const {
    if (!model.ranks()) return asked;
    double any[1] = {asked ? 1.0 : 0.0};
    model.ranks()->all_reduce(any, dist::Reduce::kMax);
    return any[0] > 0;
  }

  // Forward and backward of all micro-batches. The sum of their losses, double on the device; undefined: stopped.
  Tensor accumulate(std::span<const data::Batch> micro_batches, const LossSpec& spec, double denominator, const std::function<bool()>& stop,
                    StepResult& result) {
    at::AutoGradMode grad_mode(true);
    drop_gradients();
    record.sums.clear();
    result.metrics = {};
    result.tokens = 0;
    Tensor total = aten::zeros({}, at::TensorOptions().dtype(at::kDouble).device(model.device()));
    if (gradient_shards) return accumulate_in_shards(micro_batches, spec, denominator, stop, result, total);
    for (size_t i = 0; i < micro_batches.size(); ++i) {
      if (any_asked(stop && stop())) return {};
      micro_batch(micro_batches, i, spec, denominator, result, total);
      fold_gradients(micro_batches.size() == 1);
    }
    return total;
  }

  void micro_batch(std::span<const data::Batch> micro_batches, size_t i, const LossSpec& spec, double denominator, StepResult& result,
                   Tensor& total) {
    phase("forward");
    ForwardArgs args = forward_args(spec, i);
    args.aux_scale = weight_of(spec, micro_batches[i]) / denominator;
    const ForwardResult forward_result = forward(model, micro_batches[i], args);
    Tensor loss = spec.loss(forward_result, denominator, result.metrics);
    check(loss.dim() == 0, "[trainer] expected a scalar loss, got shape ", loss.sizes());
    total += loss.detach().to(at::kDouble);
    if (args.mtp) loss = loss + mtp_loss(forward_result, denominator, result.metrics);
    phase("backward");
    loss.backward();
    result.tokens += micro_batches[i].tokens();
  }

  // Each micro-batch's gradients go to their owners while its backward runs: all ranks do as many rounds as the one with the most, and stop
  // between the same two.
  Tensor accumulate_in_shards(std::span<const data::Batch> micro_batches, const LossSpec& spec, double denominator,
                              const std::function<bool()>& stop, StepResult& result, Tensor total) {
    double rounds[1] = {double(micro_batches.size())};
    group.all_reduce(rounds, dist::Reduce::kMax);
    for (size_t i = 0; i < size_t(rounds[0]); ++i) {
      const bool mine = i < micro_batches.size();
      double asked[1] = {mine && stop && stop() ? 1.0 : 0.0};
      group.all_reduce(asked, dist::Reduce::kMax);
      if (asked[0] > 0) return {};
      gradient_shards->begin();
      try {
        if (mine) micro_batch(micro_batches, i, spec, denominator, result, total);
      } catch (...) {
        gradient_shards->abandon();
        throw;
      }
      gradient_shards->end();
    }
    return total;
  }

  // The same, and if a device has not the memory for it, once more in halves.
  Tensor accumulate_in_memory(std::span<const data::Batch> micro_batches, const LossSpec& spec, double denominator,
                              const std::function<bool()>& stop, StepResult& result) {
    std::string reason;
    try {
      return accumulate(micro_batches, spec, denominator, stop, result);
    } catch (const c10::OutOfMemoryError& e) {
      reason = foreign_message(e.what_without_backtrace());
    }
    drop_gradients();  // here, where the graph is gone with what was thrown
    const std::vector<data::Batch> halves = halved(micro_batches);
    // A single document is not cut, what has gone to other ranks is not taken back, and ranks that share the layers go on with what they all do.
    const bool smaller = halves.size() > micro_batches.size() && !gradient_shards && !model.ranks();
    if (smaller) {
      log_warning("step ", global_step + 1, ": ", reason, "; done again in ", halves.size(), " micro-batches instead of ",
                  micro_batches.size());
      try {
        return accumulate(halves, spec, denominator, stop, result);
      } catch (const c10::OutOfMemoryError& e) {
        reason = foreign_message(e.what_without_backtrace());
      }
      drop_gradients();
    }
    fail("training stopped at step ", global_step + 1, smaller ? ", in halves of micro-batches too: " : ": ", reason, " ",
         memory_advice(model, config, micro_batches));
  }

  // What the layers and the loss say, of all ranks together. A rank without a micro-batch has said nothing and learns the names here.
  void sum_step_over_ranks(StepResult& result) {
    if (group.size() == 1) return;
    StepNumbers numbers;
    for (const auto& [name, value] : result.metrics.sums) numbers.sums["sum " + name] = value;
    for (const auto& [name, value] : result.metrics.terms) numbers.sums["term " + name] = value;
    numbers.sums["tokens"] = double(result.tokens);
    numbers.maxima = result.metrics.maxima;
    numbers.tensors = std::move(record.sums);
    sum_numbers(group, numbers, model.device());
    result.tokens = int64_t(numbers.sums["tokens"]);
    for (const auto& [name, value] : numbers.sums) {
      if (name.starts_with("sum ")) result.metrics.sums[name.substr(4)] = value;
      if (name.starts_with("term ")) result.metrics.terms[name.substr(5)] = value;
    }
    result.metrics.maxima = numbers.maxima;
    record.sums = std::move(numbers.tensors);
  }

  // What has come of the step, in one copy; waits for the device.
  ops::Verdict read(const Tensor& verdict, LossMetrics& metrics) {
    std::vector<Tensor> all{verdict};
    for (const LossMetrics::Waiting& w : metrics.waiting) all.push_back(w.values);
    const Tensor host = aten::cat(all).to(at::kCPU);
    int64_t at = verdict.numel();
    for (const LossMetrics::Waiting& w : std::exchange(metrics.waiting, {})) {
      w.use(host.const_data_ptr<double>() + at, metrics);
      at += w.values.numel();
    }
    return ops::read_verdict(host.narrow(0, 0, verdict.numel()));
  }

  // Of many ranks, those whose own part of the loss it is; all ranks say the same.
  std::string loss_fault(const StepResult& result, std::span<const data::Batch> micro_batches) {
    if (group.size() == 1) return diagnose_loss(model, micro_batches, result.metrics.terms);
    const bool mine = !micro_batches.empty() && !std::isfinite(own_total.item<double>());
    std::string all;
    int64_t rank = 0;
    for (const std::string& said : group.all_gather(mine ? diagnose_loss(model, micro_batches, result.metrics.terms) : "")) {
      if (!said.empty()) all += str(all.empty() ? "" : "; ", "rank ", rank, ": ", said);
      ++rank;
    }
    return all.empty() ? "the sum of the ranks' losses overflows" : all;
  }

  // "" if loss and gradients are finite, else what is wrong and where.
  std::string fault(const StepResult& result, const ops::Verdict& verdict, std::span<const data::Batch> micro_batches) {
    if (!std::isfinite(result.loss)) return loss_fault(result, micro_batches);
    if (!verdict.good) return shard_exchange ? fault_in_shards() : gradient_fault();
    return "";
  }

  // Of ranks that share the layers, those that have the bad rows know them.
  std::string gradient_fault() {
    const std::string own = diagnose_gradients(optimizer.rows(), gradients);
    if (!model.ranks()) return own;
    const std::string found = first_said(model.ranks(), own == kNormOverflows ? "" : own);
    return found.empty() ? own : found;
  }

  // Of each row, what is wrong on any rank stands in for its gradient.
  std::string fault_in_shards() {
    constexpr double kInf = 1, kNaN = 2;
    std::vector<double> wrong(gradients.size(), 0.0);
    for (size_t i = 0; i < gradients.size(); ++i)
      if (gradients[i].defined() && !all_finite(gradients[i])) wrong[i] = aten::isnan(gradients[i]).any().item<bool>() ? kNaN : kInf;
    group.all_reduce(wrong, dist::Reduce::kMax);
    std::vector<Tensor> seen(gradients.size());
    for (size_t i = 0; i < gradients.size(); ++i)
      if (wrong[i] > 0) seen[i] = aten::full({1}, wrong[i] == kNaN ? std::nan("") : INFINITY, at::kFloat);
    return diagnose_gradients(optimizer.rows(), seen);
  }

  // From here on `gradients` are the sums over ranks: whole, or each rank's own part of them.
  void exchange_gradients() {
    if (shard_exchange) return share_gradients();
    exchange.sum(gradients, [&](size_t i) {
      const Tensor& weight = *optimizer.rows()[i].weight->tensor;
      return aten::zeros(weight.sizes(), at::TensorOptions().dtype(at::kFloat).device(weight.device()));
    });
  }

  // A row that no rank has a gradient for stays without one.
  void share_gradients() {
    std::vector<double> had(gradients.size(), 0.0);
    for (size_t i = 0; i < gradients.size(); ++i) had[i] = gradient_shards ? gradient_shards->had(i) : gradients[i].defined();
    group.all_reduce(had, dist::Reduce::kMax);
    std::vector<Tensor> parts(gradients.size());
    if (gradient_shards)
      gradient_shards->take(parts);
    else
      reduce_whole_gradients(parts);
    for (size_t i = 0; i < parts.size(); ++i) gradients[i] = had[i] > 0 ? parts[i] : Tensor();
  }

  // Bucket by bucket; the whole ones are let go as they are sent.
  void reduce_whole_gradients(std::span<Tensor> parts) {
    const dist::Shares& shares = shard_exchange->shares();
    for (size_t b = 0; b < shares.buckets().size(); ++b) {
      const Tensor laid = shard_exchange->lay(b, gradients, model.device());
      for (const size_t row : shares.buckets()[b].rows) {
        gradients[row].reset();
        optimizer.rows()[row].weight->tensor->mutable_grad().reset();
      }
      shard_exchange->part_by_rows(b, shard_exchange->reduce(b, laid), parts);
    }
  }

  // Ranks that share the state, or the layers, have each its own parts of rows; what several of the latter have alike counts once.
  Tensor judge(const Tensor& total) {
    if (!shard_exchange && !model.ranks()) return ops::judge_gradients(gradients, total, config.max_grad_norm);
    double squares[1] = {0};
    for (size_t i = 0; i < gradients.size(); ++i)
      if (gradients[i].defined() && model::is_counted(*optimizer.rows()[i].weight, model.group()))
        squares[0] += ops::squared_sum(gradients[i]).item<double>();
    (shard_exchange ? group : *model.ranks()).all_reduce(squares);
    return ops::judge_squares(squares[0], total, config.max_grad_norm);
  }

  // The weights that each rank has updated come to all.
  void gather_weights() {
    if (!shard_exchange) return;
    const at::NoGradGuard no_grad;
    std::vector<Tensor> weights;
    for (const Tensor* slot : slots()) weights.push_back(slot->detach());
    for (size_t b = 0; b < shard_exchange->shares().buckets().size(); ++b) shard_exchange->gather(b, weights);
  }

  // The update is made, if loss and gradients are finite, before anybody knows whether they are.
  void update(Tensor total, std::span<const data::Batch> micro_batches, StepResult& result) {
    phase("update");
    exchange_gradients();
    if (group.size() > 1) {
      own_total = total.clone();
      group.all_reduce(total);
    }
    optimizer.hold_zeros(gradients);
    const Tensor judged = judge(total);
    optimizer.update(gradients, judged, schedule_factor(config, global_step, total_steps));
    gather_weights();
    phase("read");
    const ops::Verdict verdict = read(judged, result.metrics);
    result.loss = verdict.loss;
    result.grad_norm = verdict.norm;
    sum_step_over_ranks(result);
    result.skip_reason = fault(result, verdict, micro_batches);
    result.skipped = !result.skip_reason.empty();
    if (result.skipped) return;
    optimizer.count_update();
    model.after_step(record);
    model.bump_version();
    bad_steps.good();
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
    check(!micro_batches.empty() || group.size() > 1, "[trainer] expected at least one micro-batch");
    StepResult result;
    result.learning_rate = config.learning_rate * schedule_factor(config, global_step, total_steps);
    double sums[2] = {0, 0};  // denominator, learned tokens
    for (const data::Batch& batch : micro_batches) sums[0] += weight_of(spec, batch), sums[1] += double(learned_tokens(batch));
    group.all_reduce(sums);
    const double denominator = sums[0];
    if (sums[1] == 0) {
      skip_empty(result);
      return result;
    }
    check(denominator > 0, "[trainer] step ", global_step, ": the loss weights add up to ", denominator, ", expected more than 0");
    const Tensor total = accumulate_in_memory(micro_batches, spec, denominator, stop, result);
    double stopped[1] = {total.defined() ? 0.0 : 1.0};
    group.all_reduce(stopped, dist::Reduce::kMax);
    result.stopped = stopped[0] > 0;
    if (result.stopped) {
      drop_gradients();
      return result;
    }
    update(total, micro_batches, result);
    result.layers = layer_metrics(record, model.weights());
    drop_gradients();
    ++global_step;
    phase("done");
    if (result.skipped) bad_steps.bad(global_step, result.skip_reason);
    return result;
  }
};

void LossMetrics::later(const Tensor& values, Use use) {
  check(values.dim() == 1 && values.scalar_type() == at::kDouble, "[trainer] expected numbers in double, 1-dim, got ", values.scalar_type(),
        " ", values.sizes());
  if (values.is_cpu())
    use(values.contiguous().const_data_ptr<double>(), *this);
  else
    waiting.push_back({values.detach(), std::move(use)});
}

Trainer::Trainer(model::Transformer& model, const TrainerConfig& config, int64_t total_steps, uint64_t seed, const model::WeightTable* more,
                 WeightRounding rounding, Sharing sharing) {
  check(bool(rounding.round) == (config.quantize_training != "none"), "[trainer] expected a rounding of the weights exactly where ",
        "quantize_training names one, and it is '", config.quantize_training, "'");
  check(sharing.zero >= 0 && sharing.zero <= 2, "[trainer] expected zero 0, 1 or 2, got ", sharing.zero);
  check(sharing.zero == 0 || (!more && !rounding.round && sharing.gradients != "sign"), "[trainer] zero ", sharing.zero,
        " goes neither with rows beside the model nor with rounded weights or gradients as signs");
  check(config.bf16 == (model.dtype() == at::kBFloat16), "[trainer] expected a model in ", config.bf16 ? "bfloat16" : "float32",
        " (bf16=", config.bf16 ? "true" : "false", "), got ", model.dtype());
  check(total_steps > 0, "[trainer] expected at least one step, got ", total_steps);
  check(!model.ranks() || (config.optim == "adamw" && !rounding.round && !more),
        "[trainer] ranks that share the layers go neither with optim ", "muon nor with quantize_training nor with rows beside the model");
  model.set_requires_grad(true);
  if (more) {
    for (const model::WeightRow& row : *more) row.tensor->set_requires_grad(true);
  }
  impl_ = std::make_unique<Impl>(model, config, total_steps, seed, more, std::move(rounding), sharing);
  model.bump_version();
}
Trainer::~Trainer() = default;

StepResult Trainer::step(std::span<const data::Batch> micro_batches, const LossSpec& loss, const std::function<bool()>& stop) {
  return impl_->step(micro_batches, loss, stop);
}
void Trainer::on_phase(std::function<void(const char* phase)> told) {
  impl_->told = std::move(told);
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
void Trainer::with_masters(const std::function<void()>& work) {
  impl_->optimizer.put_masters();
  try {
    work();
  } catch (...) {
    impl_->optimizer.put_rounded();
    throw;
  }
  impl_->optimizer.put_rounded();
}
std::string Trainer::state_fault() {
  return impl_->model.ranks() ? impl_->whole_rows.fault() : diagnose_state(impl_->optimizer);
}
model::Transformer& Trainer::model() {
  return impl_->model;
}
dist::Group& Trainer::group() {
  return impl_->group;
}
bool Trainer::any_asked(bool asked) const {
  return impl_->any_asked(asked);
}

// The parts are the rows of the weight table and then the optimizer's tensors.
void Trainer::with_whole_rows(const std::function<void()>& work) {
  Impl& impl = *impl_;
  if (impl.group.rank() > 0) return;
  std::vector<WholeRows::Part> parts;
  for (const model::WeightRow& row : impl.model.weights()) parts.push_back({&row, *row.tensor});
  for (const StateSlot& slot : impl.optimizer.state_slots()) parts.push_back({slot.row, slot.part});
  impl.whole_rows.together(
      std::move(parts), [&impl] { return diagnose_state(impl.optimizer); }, work);
}

model::FetchRow Trainer::fetch_row() {
  return [impl = impl_.get()](const model::WeightRow& row) {
    const model::WeightTable& table = impl->model.weights();
    return impl->whole_rows.whole(size_t(&model::find_weight(table, row.name) - table.data()));
  };
}

std::vector<std::string> Trainer::save_model(const std::filesystem::path& folder, int64_t max_shard_bytes) {
  std::vector<std::string> files;
  with_masters([&] { files = model::save_model(impl_->model, folder, impl_->model.dtype(), max_shard_bytes, {}, fetch_row()); });
  return files;
}

std::vector<std::pair<std::string, Tensor>> Trainer::state_tensors() {
  return impl_->optimizer.state_tensors();
}

std::vector<StateSlot> Trainer::state_slots() {
  std::vector<StateSlot> slots = impl_->optimizer.state_slots();
  for (size_t i = 0; i < slots.size(); ++i)
    if (slots[i].keep)
      slots[i].whole = [impl = impl_.get(), number = impl_->model.weights().size() + i] { return impl->whole_rows.whole(number); };
  return slots;
}

bool Trainer::shares_state() const {
  return impl_->optimizer.shares().has_value();
}

Json Trainer::state_json() const {
  return {{"global_step", impl_->global_step},         {"total_steps", impl_->total_steps},
          {"updates", impl_->optimizer.updates()},     {"optim", impl_->config.optim},
          {"skipped_steps", impl_->bad_steps.total()}, {"skipped_in_a_row", impl_->bad_steps.in_a_row()},
          {"empty_steps", impl_->empty_steps},         {"seed", impl_->seed}};
}

void Trainer::load_state(const std::vector<std::pair<std::string, Tensor>>& tensors, const Json& json) {
  impl_->load([&] { impl_->optimizer.load_state(tensors); }, json);
}

void Trainer::restore(const StateReader& fill, const Json& json) {
  impl_->load([&] { impl_->optimizer.restore(fill); }, json);
}

void Trainer::Impl::load(const std::function<void()>& load_optimizer, const Json& json) {
  constexpr const char* where = "trainer state";
  const auto optim = json_get<std::string>(json, "optim", where);
  check(optim == config.optim, "[trainer] state was written with optim=", optim, ", this run has optim=", config.optim);
  load_optimizer();
  optimizer.set_updates(json_get<int64_t>(json, "updates", where));
  global_step = json_get<int64_t>(json, "global_step", where);
  seed = json_get<uint64_t>(json, "seed", where);
  bad_steps.restore(json_get<int64_t>(json, "skipped_in_a_row", where), json_get<int64_t>(json, "skipped_steps", where));
  empty_steps = json_get_or<int64_t>(json, "empty_steps", 0, where);  // older checkpoints have none
  model.bump_version();
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
  v("keep_zeros", keep_zeros, "elements of matrices that are zero at the start stay zero: to train on after r1 prune --sparsity");
  v("gradient_checkpointing", gradient_checkpointing, "recompute each block in the backward pass");
  v("quantize_training", quantize_training,
    "train for a quantized model: the layers' weights (int8: their inputs too) are rounded in every forward, gradients pass as if they "
    "were "
    "not, and output_dir/quantized is the model that was trained for",
    OneOf{"none", "int8", "int4", "fp8"});
  v("quantize_group_size", quantize_group_size, "columns that share a scale (quantize_training int4); -1: a whole row", Range{-1, 1e6});
  v("max_consecutive_skips", max_consecutive_skips, "stop after this many steps with NaN/Inf in a row", Range{1, 1e6});
}

}  // namespace r1::train
