#include "r1/stages/supervised.h"

#include <chrono>
#include <cmath>
#include <deque>
#include <map>

#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/data/merge.h"

namespace r1::stages {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<data::Batch> micro_batches(const std::vector<data::Batch>& rows, int64_t per_batch) {
  std::vector<data::Batch> out;
  for (size_t begin = 0; begin < rows.size(); begin += size_t(per_batch))
    out.push_back(data::merge_rows(std::span(rows).subspan(begin, std::min(size_t(per_batch), rows.size() - begin))));
  return out;
}

// Means over the last steps of what the layers say, for a stage's results: a single step's load is a matter of chance.
class LastLayers {
 public:
  void add(std::map<std::string, double> layers) {
    steps_.push_back(std::move(layers));
    if (steps_.size() > kSteps) steps_.pop_front();
  }
  void put(Json& results) const {
    std::map<std::string, double> sums;
    for (const auto& step : steps_)
      for (const auto& [name, value] : step) sums[name] += value / double(steps_.size());
    for (const auto& [name, value] : sums) results[name] = value;
  }

 private:
  static constexpr size_t kSteps = 50;
  std::deque<std::map<std::string, double>> steps_;
};

// Said once, counted in the metrics from then on.
void warn_of_unlearned(const Run& run, const data::PackCounts& counts, int64_t& so_far) {
  if (so_far == 0 && counts.unlearned > 0)
    log_warning(run.stage(), ": documents without a token to learn are left out, ", counts.unlearned, " of the first ", counts.documents,
                " (cut by max_length before the answer, or no answer in them); unlearned_documents in metrics.jsonl counts them");
  so_far = counts.unlearned;
}

data::LoaderOptions loader_options(const RunArgs& args, const SupervisedData& data) {
  data::LoaderOptions options = data.loader;
  options.rows_per_batch = args.per_device_train_batch_size * args.gradient_accumulation_steps;
  options.seed = uint64_t(args.seed);
  options.epochs = args.max_steps > 0 ? 0 : int64_t(std::ceil(args.num_train_epochs));
  return options;
}

}  // namespace

int64_t supervised_steps(const RunArgs& args, SupervisedData& data) {
  if (args.max_steps > 0) return args.max_steps;
  if (args.num_train_epochs <= 0) fail_usage("give max_steps, or num_train_epochs above 0");
  // The number of rows depends on how each epoch's shuffle packs, so count by packing once.
  data::Loader dry(*data.train, loader_options(args, data));
  int64_t steps = 0, first_epoch = 0;
  while (!dry.next().empty()) {
    ++steps;
    if (dry.epoch() == 0) first_epoch = steps;
  }
  const double fraction = args.num_train_epochs - std::floor(args.num_train_epochs);
  if (fraction > 0) steps -= int64_t((1 - fraction) * double(std::max<int64_t>(first_epoch, 1)));
  return std::max<int64_t>(1, steps);
}

double held_out_loss(train::Trainer& trainer, const std::vector<data::Batch>& rows) {
  double loss = 0, weight = 0;
  for (const auto& row : rows) {
    const auto logprobs = trainer.logprobs(row);
    for (int64_t t = 0; t < row.tokens(); ++t) {
      loss -= double(row.loss_weight[t]) * double(logprobs[t]);
      weight += double(row.loss_weight[t]);
    }
  }
  return weight > 0 ? loss / weight : 0;
}

Json train_supervised(Run& run, const RunArgs& args, train::Trainer& trainer, const text::Tokenizer& tokenizer,
                      const SupervisedData& data) {
  data::Loader loader(*data.train, loader_options(args, data));
  const Json state = run.start(trainer, tokenizer);
  if (!state.is_null()) loader.load_state(state.at("loader"), str("the checkpoint in ", run.folder().string()));
  int64_t tokens = state.is_null() ? 0 : state.at("num_tokens").get<int64_t>();

  Progress bar(run.stage(), trainer.total_steps(), "step");
  const auto loss_spec = train::cross_entropy_loss();
  const auto begin = Clock::now();
  int64_t tokens_here = 0;
  int64_t unlearned = 0;
  double last_loss = 0, eval_loss = -1;
  LastLayers last_layers;
  while (trainer.global_step() < trainer.total_steps()) {
    const auto start = Clock::now();
    const auto rows = loader.next();
    if (rows.empty()) break;
    warn_of_unlearned(run, loader.counts(), unlearned);
    const auto result = trainer.step(micro_batches(rows, args.per_device_train_batch_size), loss_spec);
    const int64_t step = trainer.global_step();
    tokens += result.tokens;
    tokens_here += result.tokens;
    last_loss = result.loss;
    last_layers.add(result.layers);
    const double step_time = seconds_since(start);
    const bool last = step == trainer.total_steps();
    const bool evaluate = !data.eval_rows.empty() && (last || (data.eval_steps > 0 && step % data.eval_steps == 0));
    if (evaluate) eval_loss = held_out_loss(trainer, data.eval_rows);
    if (step % args.logging_steps == 0 || evaluate || last) {
      Json line;
      line["loss"] = result.loss;
      line["grad_norm"] = result.grad_norm;
      line["learning_rate"] = result.learning_rate;
      line["epoch"] = double(loader.epoch()) + loader.epoch_progress();
      line["num_tokens"] = tokens;
      line["step_time"] = step_time;
      line["tokens_per_second"] = double(result.tokens) / step_time;
      for (const auto& [name, value] : result.layers) line[name] = value;
      for (const auto& [name, value] : result.metrics) line[name] = value;
      if (unlearned > 0) line["unlearned_documents"] = unlearned;
      if (result.skipped) line["skipped"] = result.skip_reason;
      if (evaluate) line["eval_loss"] = eval_loss;
      run.log(step, line);
    }
    char note[96];
    std::snprintf(note, sizeof note, "loss %.3f  %s tok/s", result.loss, human_count(double(tokens_here) / seconds_since(begin)).c_str());
    bar.update(step, note);
    run.after_step(step, {{"loader", loader.state()}, {"num_tokens", tokens}});
  }
  bar.finish();

  Json results;
  results["train_loss"] = last_loss;
  if (eval_loss >= 0) results["eval_loss"] = eval_loss;
  last_layers.put(results);
  results["num_tokens"] = tokens;
  results["train_runtime"] = seconds_since(begin);
  run.finish(results);
  return results;
}

}  // namespace r1::stages
