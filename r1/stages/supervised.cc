#include "r1/stages/supervised.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <map>

#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/data/merge.h"
#include "r1/stages/parallel.h"
#include "r1/stages/step_bar.h"

namespace r1::stages {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Rows of the parts that end at `ends`, side by side. Where rows were rewritten, a part may have more than `most` tokens (0: any number) by now
// and is cut once more.
std::vector<data::Batch> micro_batches(const std::vector<data::Batch>& rows, const std::vector<size_t>& ends, int64_t most) {
  std::vector<data::Batch> out;
  size_t begin = 0;
  for (const size_t end : ends) {
    int64_t tokens = 0;
    for (size_t i = begin; i < end; ++i) {
      if (most > 0 && i > begin && tokens + rows[i].tokens() > most) {
        out.push_back(data::merge_rows(std::span(rows).subspan(begin, i - begin)));
        begin = i;
        tokens = 0;
      }
      tokens += rows[i].tokens();
    }
    out.push_back(data::merge_rows(std::span(rows).subspan(begin, end - begin)));
    begin = end;
  }
  return out;
}

// Every rank reads all rows of a step, so the data and their order are the same on any number of ranks, and takes every size-th micro-batch.
std::vector<data::Batch> share_out(std::vector<data::Batch> all, const dist::Group& group) {
  if (group.size() == 1) return all;
  std::vector<data::Batch> mine;
  for (size_t i = size_t(group.rank()); i < all.size(); i += size_t(group.size())) mine.push_back(std::move(all[i]));
  return mine;
}

// What the rows would be with padding: each as long as the longest of its micro-batch.
int64_t padded_tokens(const std::vector<data::Batch>& rows, const std::vector<size_t>& ends) {
  int64_t padded = 0;
  size_t begin = 0;
  for (const size_t end : ends) {
    int64_t longest = 0;
    for (size_t i = begin; i < end; ++i) longest = std::max(longest, rows[i].tokens());
    padded += longest * int64_t(end - begin);
    begin = end;
  }
  return padded;
}

double padding_share(int64_t tokens, int64_t padded) {
  return padded > 0 ? 1 - double(tokens) / double(padded) : 0;
}

// Means over the last steps of what the layers and the loss say, for a stage's results: a single step's load is a matter of chance.
class LastLayers {
 public:
  void add(std::map<std::string, double> layers) {
    steps_.push_back(std::move(layers));
    if (steps_.size() > kSteps) steps_.pop_front();
  }
  void put(Json& results) const {
    std::map<std::string, double> sums;
    for (const auto& step : steps_)
      for (const auto& [name, value] : step) sums[name] += value;
    for (const auto& [name, value] : sums) results[name] = value / double(steps_.size());
  }

 private:
  static constexpr size_t kSteps = 50;
  std::deque<std::map<std::string, double>> steps_;
};

// Said once, counted in the metrics from then on.
void warn_of_unlearned(const Run& run, const data::PackCounts& counts, bool said, int64_t& so_far) {
  if (so_far == 0 && counts.unlearned > 0 && !said)
    log_warning(run.stage(), ": documents without a token to learn are left out, ", counts.unlearned, " of the first ", counts.documents,
                " (cut by max_length before the answer, or no answer in them); unlearned_documents in metrics.jsonl counts them");
  so_far = counts.unlearned;
}

// What the layers say, and a loss that is not plain cross entropy.
std::map<std::string, double> seen_in(const train::StepResult& result, bool own_loss) {
  auto all = result.layers;
  if (own_loss) all.insert(result.metrics.sums.begin(), result.metrics.sums.end());
  return all;
}

data::LoaderOptions loader_options(const RunArgs& args, const SupervisedData& data) {
  data::LoaderOptions options = data.loader;
  options.rows_per_batch = args.per_device_train_batch_size * args.gradient_accumulation_steps;
  options.parts = args.gradient_accumulation_steps;
  options.tokens_per_part = data.batches.max_tokens_per_batch;
  options.group_by_length = data.batches.group_by_length;
  options.seed = uint64_t(args.seed);
  options.epochs = args.max_steps > 0 ? 0 : int64_t(std::ceil(args.num_train_epochs));
  return options;
}

}  // namespace

void BatchArgs::visit(Fields& v) {
  v("max_tokens_per_batch", max_tokens_per_batch,
    "tokens of a micro-batch, which takes as many rows as fit; 0: per_device_train_batch_size rows, however long", Range{0, 1e9});
  v("group_by_length", group_by_length, "micro-batches of rows of about one length (packing_strategy none)");
}

void check_batches(const BatchArgs& args, int64_t max_length, const std::string& packing_strategy) {
  if (args.max_tokens_per_batch > 0 && args.max_tokens_per_batch < max_length)
    fail_usage("max_tokens_per_batch ", args.max_tokens_per_batch, " has no room for a row of max_length ", max_length,
               " tokens; raise the one or lower the other");
  if (args.group_by_length && packing_strategy != "none")
    fail_usage("group_by_length: packing_strategy ", packing_strategy,
               " fills all rows to about max_length, so there are no lengths to group by; give packing_strategy none, or leave it out");
}

std::string steps_in_words(int64_t steps, const RunArgs& args, const SupervisedData& data) {
  const std::string of = str(steps, steps == 1 ? " step of up to " : " steps of up to ");
  const int64_t parts = args.gradient_accumulation_steps, most = data.batches.max_tokens_per_batch;
  if (most > 0) return parts > 1 ? str(of, parts, " x ", most, " tokens") : str(of, most, " tokens");
  return str(of, args.per_device_train_batch_size * parts, " rows of ", data.loader.pack.max_tokens, " tokens");
}

int64_t supervised_steps(const RunArgs& args, SupervisedData& data) {
  if (args.max_steps > 0) return args.max_steps;
  if (args.num_train_epochs <= 0) fail_usage("give max_steps, or num_train_epochs above 0");
  // The number of rows depends on how each epoch's shuffle packs, so count by packing once.
  data::Loader dry(*data.train, loader_options(args, data));
  int64_t steps = 0, first_epoch = 0;
  while (!dry.next().empty()) {
    throw_if_interrupted();
    ++steps;
    if (dry.epoch() == 0) first_epoch = steps;
  }
  const double fraction = args.num_train_epochs - std::floor(args.num_train_epochs);
  if (fraction > 0) steps -= int64_t((1 - fraction) * double(std::max<int64_t>(first_epoch, 1)));
  return std::max<int64_t>(1, steps);
}

std::optional<double> held_out_loss(train::Trainer& trainer, const std::vector<data::Batch>& rows, const std::function<bool()>& stop,
                                    dist::Group* group) {
  const size_t rank = group ? size_t(group->rank()) : 0, size = group ? size_t(group->size()) : 1;
  std::vector<double> sums(2 * rows.size() + 1, 0.0);  // loss and weight of each row; last: given up
  for (size_t i = rank; i < rows.size() && sums.back() == 0; i += size) {
    if (trainer.any_asked(stop && stop())) {
      sums.back() = 1;
      break;
    }
    const auto logprobs = trainer.logprobs(rows[i]);
    for (int64_t t = 0; t < rows[i].tokens(); ++t) {
      sums[2 * i] -= double(rows[i].loss_weight[t]) * double(logprobs[t]);
      sums[2 * i + 1] += double(rows[i].loss_weight[t]);
    }
  }
  if (group) group->all_reduce(sums);
  if (sums.back() > 0) return std::nullopt;
  double loss = 0, weight = 0;
  for (size_t i = 0; i < rows.size(); ++i) loss += sums[2 * i], weight += sums[2 * i + 1];
  return weight > 0 ? loss / weight : 0;
}

void check_eval_rows(const std::vector<data::Batch>& rows, int64_t max_length) {
  for (const auto& row : rows)
    for (float w : row.loss_weight)
      if (w != 0) return;
  fail_usage("eval_files hold no token to learn within max_length (", max_length, "), so there is no eval_loss");
}

namespace {

// Takes the loader to where the checkpoint's run was; data that are others than those are read from their beginning.
void place_loader(data::Loader& loader, const Run& run, const Json& state) {
  const Json now = loader.state();
  const bool others = run.data_changed() || state.value("source", now.value("source", Json())) != now.value("source", Json()) ||
                      state.at("documents") != now.at("documents");
  if (run.extends() && others) {
    log_info(run.stage(), ": the data are others than those of the run that is extended, so they are read from their beginning");
    return;
  }
  loader.load_state(state, str("the checkpoint in ", run.folder().string()));
}

std::string digits(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

}  // namespace

Json train_supervised(Run& run, const RunArgs& args, train::Trainer& trainer, const text::Tokenizer& tokenizer,
                      const SupervisedData& data) {
  data::Loader loader(*data.train, loader_options(args, data));
  const Json state = run.start(trainer, tokenizer);
  if (run.group().size() > 1) {
    check_alike(run.group(), run.group().rank(), "data", loader.state().value("source", Json()).dump());
    check_alike(trainer.group(), run.group().rank(), "model", weights_hash(trainer.model()));
    check_alike(run.group(), run.group().rank(), "step to start from", std::to_string(trainer.global_step()));
  }
  if (!state.is_null()) place_loader(loader, run, state.at("loader"));
  int64_t tokens = state.is_null() ? 0 : state.at("num_tokens").get<int64_t>();
  int64_t padded = state.is_null() ? 0 : state.value("padded_tokens", tokens);

  StepBar bar(run.stage(), trainer.total_steps(), "step");
  const auto loss_spec = data.loss ? *data.loss : train::cross_entropy_loss();
  const auto begin = Clock::now();
  int64_t tokens_here = 0, unlearned = 0;
  double last_loss = 0, eval_loss = -1, training = 0;  // training: seconds, evaluations and saves apart
  LastLayers last_layers;
  const auto state_now = [&]() -> Json { return {{"loader", loader.state()}, {"num_tokens", tokens}, {"padded_tokens", padded}}; };
  while (trainer.global_step() < trainer.total_steps()) {
    const auto start = Clock::now();
    const Json before = state_now();
    auto rows = loader.next();
    if (rows.empty()) break;
    if (data.rewrite && !data.rewrite(rows, trainer.global_step(), interrupted))
      run.after_step(trainer.global_step(), before);  // saves and throws
    warn_of_unlearned(run, loader.counts(), data.looked_at, unlearned);
    const auto batches = share_out(micro_batches(rows, loader.part_ends(), data.batches.max_tokens_per_batch), trainer.group());
    const int64_t step_padded = padded_tokens(rows, loader.part_ends());
    size_t micro = 0;
    const auto result = trainer.step(batches, loss_spec, [&] {
      bar.at(str("micro-batch ", ++micro, "/", batches.size()));
      return interrupted();
    });
    if (result.stopped) run.after_step(trainer.global_step(), before);  // saves and throws
    const int64_t step = trainer.global_step();
    tokens += result.tokens;
    tokens_here += result.tokens;
    padded += step_padded;
    if (!result.empty) last_loss = result.loss;
    if (!result.empty) last_layers.add(seen_in(result, data.loss != nullptr));
    const double step_time = seconds_since(start);
    training += step_time;
    const bool last = step == trainer.total_steps();
    const bool evaluate = !data.eval_rows.empty() && (last || (data.eval_steps > 0 && step % data.eval_steps == 0));
    if (evaluate) {
      size_t row = 0;
      const auto loss = held_out_loss(
          trainer, data.eval_rows,
          [&] {
            bar.at(str("evaluating, row ", ++row, "/", data.eval_rows.size()));
            return run.must_stop();
          },
          &trainer.group());
      if (!loss) run.give_up(step);
      eval_loss = *loss;
      log_info(run.stage(), ": step ", step, ": eval_loss ", digits(eval_loss));
    }
    if (step % args.logging_steps == 0 || evaluate || last || result.skipped) {
      Json line = step_metrics(result);
      line["epoch"] = double(loader.epoch()) + loader.epoch_progress();
      line["num_tokens"] = tokens;
      line["padding_avoided"] = padding_share(result.tokens, step_padded);
      line["step_time"] = step_time;
      line["tokens_per_second"] = double(result.tokens) / step_time;
      for (const auto& [name, value] : result.metrics.sums) line[name] = value;
      for (const auto& [name, value] : result.metrics.maxima) line[name] = value;
      if (unlearned > 0) line["unlearned_documents"] = unlearned;
      if (evaluate) line["eval_loss"] = eval_loss;
      run.log(step, line);
    }
    char note[96];
    std::snprintf(note, sizeof note, "loss %.3f  %s tok/s", last_loss, human_count(double(tokens_here) / training).c_str());
    bar.update(step, note);
    run.after_step(step, state_now());
  }
  bar.finish();
  if (trainer.global_step() == 0)
    fail_usage(run.stage(), ": there is nothing to train on: none of the ", data.train->size(),
               " documents leaves a token to learn within max_length ", data.loader.pack.max_tokens,
               " (long_documents=", data.loader.pack.long_documents, ")");

  Json results;
  results["train_loss"] = last_loss;
  if (eval_loss >= 0) results["eval_loss"] = eval_loss;
  last_layers.put(results);
  add_skips(results, trainer);
  results["num_tokens"] = tokens;
  results["padding_avoided"] = padding_share(tokens, padded);
  if (training > 0) results["tokens_per_second"] = double(tokens_here) / training;
  results["train_runtime"] = seconds_since(begin);
  run.finish(results, data.next);
  return results;
}

}  // namespace r1::stages
