#include "r1/stages/run.h"

#include <algorithm>

#include "r1/base/build_info.h"
#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/base/strings.h"
#include "r1/base/threads.h"
#include "r1/eval/provenance.h"
#include "r1/report/report.h"
#include "r1/stages/launch_mark.h"
#include "r1/stages/parallel.h"
#include "r1/stages/results.h"
#include "r1/stages/watch.h"

namespace r1::stages {

tensor::DType training_dtype(const ModelArgs& args, train::TrainerConfig& trainer, tensor::Device device) {
  if (trainer.bf16 && args.dtype == "float32") fail_usage("bf16=true and dtype=float32 contradict each other; drop one");
  const auto dtype = trainer.bf16 ? at::kBFloat16 : resolve_dtype(args.dtype, device);
  trainer.bf16 = dtype == at::kBFloat16;
  return dtype;
}

Json step_metrics(const train::StepResult& result) {
  Json line;
  if (!result.empty) {
    line["loss"] = result.loss;
    line["grad_norm"] = result.grad_norm;
  }
  line["learning_rate"] = result.learning_rate;
  for (const auto& [name, value] : result.layers) line[name] = value;
  if (result.skipped) line["skipped"] = result.skip_reason;
  return line;
}

void add_skips(Json& results, const train::Trainer& trainer) {
  if (trainer.skipped_steps() > 0) results["skipped_steps"] = trainer.skipped_steps();
  if (trainer.empty_steps() > 0) results["empty_steps"] = trainer.empty_steps();
}

Json environment_json() {
  return {{"program", version_line()}, {"threads", num_threads()}};
}

void show(const std::string& what, const std::function<void()>& work) {
  try {
    work();
  } catch (const std::exception& error) {
    log_warning(what, " failed: ", error.what(), "; the run itself is whole");
  }
}

namespace {

// What the run itself starts from would go with a folder that is overwritten.
void check_nothing_named_goes(const Json& config, const fs::path& folder) {
  const fs::path gone = fs::weakly_canonical(folder);
  for (const char* key : {"model_name_or_path", "tokenizer_name_or_path", "teacher_name_or_path"}) {
    const std::string name = config.value(key, std::string());
    if (name.empty() || !fs::exists(name)) continue;
    const fs::path kept = fs::weakly_canonical(name), below = kept.lexically_relative(gone);
    if (!below.empty() && *below.begin() != "..")
      fail_usage("overwrite_output_dir: ", key, " ", name, " lies in '", folder.string(),
                 "' and would go with it; choose another output_dir");
  }
}

// Settings that a run's state hangs on: they can never change.
constexpr const char* kState[] = {"model_name_or_path",
                                  "tokenizer_name_or_path",
                                  "dtype",
                                  "bf16",
                                  "preset",
                                  "shape",
                                  "optim",
                                  "seed",
                                  "teacher_name_or_path",
                                  "hidden_layers",
                                  "quantize_training",
                                  "quantize_group_size"};
// Settings that decide what data a run reads, and where in them it is: they can change when a finished run is extended.
constexpr const char* kData[] = {"task",          "data",          "task_options",     "train_files",     "text_field",
                                 "num_examples",  "max_length",    "packing_strategy", "packing_isolate", "long_documents",
                                 "prompt_format", "system_prompt", "prompt_suffix",    "answers",         "group_by_length"};
// Settings that give an extended run something to do.
constexpr const char* kMore[] = {"max_steps", "num_train_epochs"};

template <size_t N>
Json only(const Json& config, const char* const (&keys)[N]) {
  Json out = Json::object();
  for (const char* key : keys)
    if (config.contains(key)) out[key] = config[key];
  return out;
}

constexpr const char* kWaysOut = "choose another output_dir, or --overwrite_output_dir (the old run is removed then)";

}  // namespace

Run::Run(std::string stage, const RunArgs& args, Json resolved_config, dist::Group* group)
    : stage_(std::move(stage)),
      args_(args),
      group_(group ? group : &alone_),
      config_(std::move(resolved_config)),
      folder_(args.output_dir),
      writer_(std::make_unique<train::CheckpointWriter>(folder_)) {
  const dist::Ranks ranks = dist::ranks_of_this_process();
  if (!group) check_alone(stage_);
  group_->first("the run's folder", [&] { open_folder(ranks); });
  if (group_->size() == 1) return;
  group_->record_into(folder_);
  const Json mine{{"checkpoint", checkpoint_ ? checkpoint_->string() : ""},
                  {"complete", complete_},
                  {"finished", finished_before_},
                  {"changed", data_changed_}};
  const Json all = Json::parse(group_->broadcast(mine.dump()));
  const auto checkpoint = all.at("checkpoint").get<std::string>();
  if (!checkpoint.empty()) checkpoint_ = checkpoint;
  complete_ = all.at("complete").get<bool>();
  finished_before_ = all.at("finished").get<bool>();
  data_changed_ = all.at("changed").get<bool>();
}

void Run::open_folder(const dist::Ranks& ranks) {
  const LaunchMark mark(ranks, folder_);
  if (mark.own()) {
    args_.overwrite_output_dir = false;
    args_.resume_from_checkpoint = mark.start(args_.resume_from_checkpoint);
  }
  if (args_.overwrite_output_dir) {
    // Only what runs write: a mistyped output_dir must not cost anybody's files.
    if (fs::exists(folder_) && !fs::is_empty(folder_) && !fs::exists(folder_ / "config.yaml"))
      fail_usage("overwrite_output_dir: '", folder_.string(),
                 "' holds something that is not a run (no config.yaml); remove it yourself or choose another output_dir");
    check_nothing_named_goes(config_, folder_);
    fs::remove_all(folder_);
  }
  find_start();
  make_folder(folder_);
  if (complete_) return;
  mark.write();
  if (!checkpoint_) keep_config();
}

// Which checkpoint the run starts from, if what stands in the folder may go on with this config.
void Run::find_start() {
  const bool finished = fs::exists(folder_ / "stage.json");
  const Json before = finished                              ? parse_json_file(folder_ / "stage.json").value("config", Json())
                      : fs::exists(folder_ / "config.yaml") ? parse_json_file(folder_ / "config.yaml")
                                                            : Json();
  const std::string& from = args_.resume_from_checkpoint;
  if (from == "never") {
    if (finished) fail_usage("output_dir '", folder_.string(), "' holds a finished run, and resume_from_checkpoint is never; ", kWaysOut);
    return;
  }
  if (finished && before.is_object() && changes(before, config_).empty() && from == "auto") {
    complete_ = true;
    return;
  }
  if (from != "auto") {
    if (!fs::exists(from)) fail_usage("resume_from_checkpoint: no folder '", from, "'");
    if (const auto fault = train::checkpoint_fault(from)) fail("checkpoint ", from, " is broken: ", *fault);
    checkpoint_ = from;
  } else {
    checkpoint_ = train::latest_checkpoint(folder_);
  }
  if (before.is_object() && (finished || checkpoint_)) go_on(before, finished);
}

void Run::go_on(const Json& before, bool finished) {
  const std::string differs = changes(before, config_), state = changes(only(before, kState), only(config_, kState)),
                    data = changes(only(before, kData), only(config_, kData)), more = changes(only(before, kMore), only(config_, kMore));
  const auto refuse = [&](const auto&... why) { fail_usage("output_dir '", folder_.string(), "' holds a ", why..., kWaysOut); };
  if (finished && args_.resume_from_checkpoint == "auto") {
    if (!state.empty() || (more.empty() && data.empty())) refuse("finished run of another config:\n", differs);
    const Json done = parse_json_file(folder_ / "stage.json");
    const int64_t steps = done.value("steps", int64_t{-1});
    if (!checkpoint_ || steps < 0 || train::checkpoint_step(*checkpoint_) != steps)
      refuse("finished run, and no checkpoint of its last step to extend it from (save_final_checkpoint keeps one):\n", differs,
             "start a new run from its model (--model ", eval::shell_word(folder_.string()), "), or go on from an earlier checkpoint ",
             checkpoint_ ? str("(--resume_from_checkpoint ", eval::shell_word(checkpoint_->string()), "), ") : "if there is one, ", "or ");
  } else if (!state.empty() || (!data.empty() && !finished)) {
    refuse("run that is not finished, and these settings can't change on its way:\n", state, finished ? "" : data,
           "take the old values, or ");
  }
  finished_before_ = finished;
  data_changed_ = !data.empty();
  if (!differs.empty()) log_info(stage_, ": ", folder_.string(), " goes on with another config:\n", trim(differs));
}

// config.yaml, and a line in configs.jsonl for each config that the run had, with the step at which it began. Of a run that goes on only when
// its checkpoint is loaded: a refused config leaves nothing.
void Run::keep_config() const {
  const fs::path history = folder_ / "configs.jsonl";
  const int64_t step = checkpoint_ ? std::max<int64_t>(0, train::checkpoint_step(*checkpoint_)) : 0;
  if (fs::exists(folder_ / "config.yaml") && fs::exists(history) && parse_json_file(folder_ / "config.yaml") == config_) return;
  append_file(history, dump_json(Json{{"step", step}, {"version", version_line()}, {"config", config_}}) + "\n");
  write_file_atomic(folder_ / "config.yaml", dump_json(config_, 2) + "\n");
}

// A run that ends without finish() leaves a report as well.
Run::~Run() {
  if (metrics_) report_so_far();
}

Json Run::results() const {
  const Json done = parse_json_file(folder_ / "stage.json"), results = done.at("results");
  const auto last = train::latest_checkpoint(folder_);
  const bool extends = last && train::checkpoint_step(*last) == done.value("steps", int64_t{-1});
  log_info(stage_, ": ", folder_.string(), " is finished already",
           extends ? "; more max_steps or num_train_epochs would extend it" : "; --overwrite_output_dir makes it anew");
  if (group_->rank() == 0 && !fs::exists(folder_ / "report.html")) write_report(results);
  return results;
}

Json Run::start(train::Trainer& trainer, const text::Tokenizer& tokenizer) {
  trainer_ = &trainer;
  tokenizer_ = &tokenizer;
  total_steps_ = trainer.total_steps();
  Json state;
  if (checkpoint_) {
    state = train::load_checkpoint(*checkpoint_, trainer);
    saved_step_ = step_ = trainer.global_step();
    final_state_ = state;
    if (trainer.global_step() > trainer.total_steps())
      fail_usage(checkpoint_->string(), " is at step ", trainer.global_step(), " already, and the run has ", trainer.total_steps(),
                 " steps; raise max_steps or num_train_epochs, or name an earlier checkpoint (resume_from_checkpoint)");
    if (group_->rank() == 0) keep_config();
    log_info(stage_, ": goes on from ", checkpoint_->string(), " (step ", trainer.global_step(), " of ", trainer.total_steps(), ")");
  }
  if (group_->rank() != 0) return state;
  if (finished_before_) {
    const Json done = parse_json_file(folder_ / "stage.json");
    fs::rename(folder_ / "stage.json", folder_ / str("stage-", done.value("steps", int64_t{0}), ".json"));
  }
  metrics_ = std::make_unique<report::MetricsWriter>(folder_, checkpoint_ ? trainer.global_step() : 0);
  return state;
}

void Run::log(int64_t step, const Json& values) {
  if (!metrics_) return;
  metrics_->write(step, values);
  step_ = step;
  if (std::chrono::steady_clock::now() >= next_report_) report_so_far();
}

// Of long runs as often as costs them no more than a fiftieth of their time.
void Run::report_so_far() {
  const auto start = std::chrono::steady_clock::now();
  write_report(so_far_, str("not finished: step ", step_, " of ", total_steps_));
  const auto end = std::chrono::steady_clock::now();
  next_report_ = end + std::max<std::chrono::steady_clock::duration>(std::chrono::seconds(20), 50 * (end - start));
}

void Run::share_checkpoints() {
  shares_checkpoints_ = group_->size() > 1;
  writer_ = std::make_unique<train::CheckpointWriter>(folder_, group_);
}

void Run::write_tokenizer(const std::filesystem::path& folder) const {
  tokenizer_->save(folder);
}

train::CheckpointOptions Run::checkpoint_options() {
  train::CheckpointOptions options;
  options.save_total_limit = args_.save_total_limit;
  options.max_shard_size = args_.max_shard_size;
  options.extra_files = [this](const std::filesystem::path& folder) {
    write_tokenizer(folder);
    write_file_atomic(folder / "run_config.json", dump_json(config_, 2) + "\n");
    if (extra_) extra_(folder);
  };
  return options;
}

// All ranks together, or rank 0 for all; afterwards all know which checkpoints there are.
void Run::save_together(const std::function<void()>& work) {
  shares_checkpoints_ ? work() : write_first("the checkpoint", work);
  // The others' turn comes when rank 0's does, also after a save that failed.
  double known[2] = {double(saved_step_.value_or(-1)), double(under_way_.value_or(-1))};
  group_->broadcast(known);
  const auto step = [](double number) { return number < 0 ? std::nullopt : std::optional(int64_t(number)); };
  saved_step_ = step(known[0]);
  under_way_ = step(known[1]);
}

// Rank 0 writes; ranks that hold parts of its model hand them over meanwhile.
void Run::write_first(const std::string& what, const std::function<void()>& work) {
  if (group_->rank() > 0) trainer_->with_whole_rows({});
  group_->first(what, [&] { trainer_->with_whole_rows(work); });
}

// A full disk must not end a long run: the former checkpoint stands, and the next save tries again. When the run stops anyway, the error
// goes up.
void Run::save_or_warn(const Json& state, int64_t step, bool stopping) {
  wait_for_checkpoint();
  if (saved_step_ == step) return;
  save_together([&] {
    try {
      if (args_.async_checkpoints && !stopping) {
        writer_->start(*trainer_, state, checkpoint_options());
        under_way_ = step;
      } else {
        writer_->save(*trainer_, state, checkpoint_options());
        saved_step_ = step;
      }
    } catch (const Error& error) {
      if (stopping) throw;
      warn_of_checkpoint(step, error.what());
    }
  });
}

void Run::warn_of_checkpoint(int64_t step, const std::string& why) const {
  if (group_->rank() == 0)
    log_warning(stage_, ": no checkpoint at step ", step, " (", why, "); the run goes on, the next try is at the next save");
}

void Run::wait_for_checkpoint() {
  if (under_way_) save_together([&] { end_checkpoint(); });
}

void Run::end_checkpoint() {
  try {
    writer_->wait();
    saved_step_ = under_way_;
  } catch (const Error& error) {
    warn_of_checkpoint(*under_way_, error.what());
  }
  under_way_.reset();
}

// What one rank alone has heard of, all take as heard: a signal, which comes to the ranks one after another, and the end of a checkpoint. True:
// stop.
bool Run::hear_of_the_others() {
  double heard[2] = {interrupted() ? 1.0 : 0.0, group_->rank() == 0 && under_way_ && writer_->done() ? 1.0 : 0.0};
  group_->all_reduce(heard, dist::Reduce::kMax);
  if (heard[1] > 0) wait_for_checkpoint();
  return heard[0] > 0;
}

int64_t Run::newest_checkpoint() const {
  return std::max(saved_step_.value_or(-1), under_way_.value_or(-1));
}

void Run::after_step(int64_t step, const Json& state) {
  const bool last = step >= trainer_->total_steps(), stop = hear_of_the_others() && !last;
  const int64_t newest = newest_checkpoint();
  const bool due = args_.save_steps > 0 && step / args_.save_steps > std::max<int64_t>(0, newest) / args_.save_steps && !last;
  if (last) final_state_ = state;
  if ((due && newest != step) || (stop && saved_step_ != step)) save_or_warn(state, step, stop);
  if (stop)
    throw Error(str(stage_, ": stopped at step ", step, "; the checkpoint is in ", folder_.string(),
                    ", the same command goes on from it\nreport: ", (folder_ / "report.html").string()),
                ErrorKind::kInterrupted);
}

bool Run::must_stop() const {
  return interrupted() && seconds_since_interrupt() >= args_.stop_grace;
}

void Run::give_up(int64_t step) {
  wait_for_checkpoint();
  const std::string where =
      str(stage_, ": stopped after step ", step, ", where no checkpoint can stand (stop_grace ", args_.stop_grace, " s); ");
  const std::string how = saved_step_ ? str("the newest checkpoint is that of step ", *saved_step_, " in ", folder_.string(),
                                            ", the same command goes on from it")
                                      : str("there is no checkpoint yet, the same command starts anew");
  throw Error(where + how + "\nreport: " + (folder_ / "report.html").string(), ErrorKind::kInterrupted);
}

void Run::finish(const Json& results, const std::vector<std::string>& next) {
  wait_for_checkpoint();
  if (args_.save_final_checkpoint && saved_step_ != trainer_->global_step())
    save_together([&] { writer_->save(*trainer_, final_state_, checkpoint_options()); });
  write_first("the final model", [&] { write_final(results, next); });
}

void Run::write_final(const Json& results, const std::vector<std::string>& next) {
  const std::vector<std::string> weights = trainer_->save_model(folder_, args_.max_shard_size);
  write_tokenizer(folder_);
  metrics_.reset();
  Json done = Json::object();
  if (more_at_the_end_) done.update(more_at_the_end_(folder_, args_.max_shard_size));
  done["stage"] = stage_;
  done["version"] = version_line();
  done["config"] = config_;
  done["steps"] = trainer_->global_step();
  uintmax_t bytes = 0;
  for (const auto& name : weights) {
    done["model_sha256"][name] = sha256_file(folder_ / name);
    bytes += fs::file_size(folder_ / name);
  }
  done["results"] = results;
  write_file_atomic(folder_ / "stage.json", dump_json(done, 2) + "\n");
  write_report(results);
  if (args_.in_recipe) return;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count();
  log_info(stage_, ": done in ", human_time(seconds), ". The model (", human_bytes(double(bytes)), "), its tokenizer, metrics.jsonl",
           args_.save_final_checkpoint ? ", the last checkpoint" : "", " and stage.json are in ", folder_.string());
  log_info("report: ", (folder_ / "report.html").string());
  for (const std::string& command : next) log_info("next:   ", command);
}

void Run::write_report(const Json& results, const std::string& subtitle) const {
  show("the report", [&] {
    report::ReportData page;
    page.title = stage_ + " " + folder_.filename().string();
    page.subtitle = subtitle;
    page.config = config_;
    page.environment = environment_json();
    report::ReportStage& stage = page.stages.emplace_back();
    stage.name = stage_;
    stage.lines = report::read_metrics(folder_ / "metrics.jsonl", report::kMostLines, &stage.logged);
    stage.monitors = report_monitors(results.value("monitors", Json::object()));
    if (results.contains("watched")) page.samples.push_back(watched_sample(results.at("watched")));
    report::write_report(folder_ / "report.html", page);
  });
}

void RunArgs::visit(Fields& v) {
  v("output_dir", output_dir, "run folder", Required{});
  v("overwrite_output_dir", overwrite_output_dir, "start anew where a run stands already");
  v("resume_from_checkpoint", resume_from_checkpoint, "auto: the newest whole checkpoint in output_dir; never; or a checkpoint folder");
  v.alias("resume", "resume_from_checkpoint");
  v("device", device, "cpu, cuda, cuda:N; auto: the GPU if there is one");
  v("seed", seed, "everything random follows from it", Range{0, 1e18});
  v("max_steps", max_steps, "optimizer steps; 0: num_train_epochs over the data", Range{0, 1e12});
  v("num_train_epochs", num_train_epochs, "passes over the data when max_steps is 0", Range{0, 1e6});
  v("logging_steps", logging_steps, "steps between lines of metrics.jsonl", Range{1, 1e9});
  v("save_steps", save_steps, "steps between checkpoints; 0: only at the end and on Ctrl-C", Range{0, 1e9});
  v("save_total_limit", save_total_limit, "checkpoints kept", Range{1, 1e6});
  v("save_final_checkpoint", save_final_checkpoint,
    "keep a checkpoint of the last step too, optimizer and all, so that more max_steps or data can extend the finished run");
  v("async_checkpoints", async_checkpoints,
    "a step waits only until its checkpoint is copied (in as much memory as that takes); it is written beside the training");
  v("max_shard_size", max_shard_size, "bytes of a weight file; a larger model is saved in several, with an index", Range{1, 1e18});
  v("stop_grace", stop_grace,
    "seconds after Ctrl-C or SIGTERM in which work that no checkpoint can hold may still end; then the run stops with its newest "
    "checkpoint",
    Range{0, 1e9});
  v("per_device_train_batch_size", per_device_train_batch_size, "sequences of a micro-batch", Range{1, 1e9});
  v("gradient_accumulation_steps", gradient_accumulation_steps, "micro-batches of an optimizer step", Range{1, 1e9});
}

}  // namespace r1::stages
