#include "r1/stages/run.h"

#include <algorithm>

#include "r1/base/build_info.h"
#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/threads.h"
#include "r1/report/report.h"
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

Run::Run(std::string stage, const RunArgs& args, Json resolved_config)
    : stage_(std::move(stage)), args_(args), config_(std::move(resolved_config)), folder_(args.output_dir) {
  const auto marker = folder_ / "stage.json";
  if (args.overwrite_output_dir) {
    // Only what runs write: a mistyped output_dir must not cost anybody's files.
    if (fs::exists(folder_) && !fs::is_empty(folder_) && !fs::exists(folder_ / "config.yaml"))
      fail_usage("overwrite_output_dir: '", folder_.string(),
                 "' holds something that is not a run (no config.yaml); remove it yourself or choose another output_dir");
    fs::remove_all(folder_);
  }
  if (fs::exists(marker)) {
    const Json before = parse_json_file(marker);
    complete_ = before.value("config", Json()) == config_;
    if (!complete_ && args.resume_from_checkpoint != "never" && before.contains("config"))
      fail_usage("output_dir '", folder_.string(), "' holds a finished run of another config:\n", json_diff(before["config"], config_),
                 "choose another output_dir, or --overwrite_output_dir");
  }
  make_folder(folder_);
  if (complete_) return;
  if (args.resume_from_checkpoint == "auto") {
    checkpoint_ = train::latest_checkpoint(folder_);
  } else if (args.resume_from_checkpoint != "never") {
    if (!fs::exists(args.resume_from_checkpoint)) fail_usage("resume_from_checkpoint: no folder '", args.resume_from_checkpoint, "'");
    if (const auto fault = train::checkpoint_fault(args.resume_from_checkpoint))
      fail("checkpoint ", args.resume_from_checkpoint, " is broken: ", *fault);
    checkpoint_ = args.resume_from_checkpoint;
  }
  write_file_atomic(folder_ / "config.yaml", dump_json(config_, 2) + "\n");
}

Run::~Run() = default;

Json Run::results() const {
  log_info(stage_, ": ", folder_.string(), " is finished already");
  const Json results = parse_json_file(folder_ / "stage.json").at("results");
  if (!fs::exists(folder_ / "report.html")) write_report(results);
  return results;
}

Json Run::start(train::Trainer& trainer, const text::Tokenizer& tokenizer) {
  trainer_ = &trainer;
  tokenizer_ = &tokenizer;
  Json state;
  if (checkpoint_) {
    state = train::load_checkpoint(*checkpoint_, trainer);
    saved_step_ = trainer.global_step();
    log_info(stage_, ": goes on from ", checkpoint_->string(), " (step ", trainer.global_step(), " of ", trainer.total_steps(), ")");
  }
  metrics_ = std::make_unique<report::MetricsWriter>(folder_, checkpoint_ ? trainer.global_step() : 0);
  return state;
}

void Run::log(int64_t step, const Json& values) {
  metrics_->write(step, values);
}

void Run::write_tokenizer(const std::filesystem::path& folder) const {
  tokenizer_->save(folder);
}

void Run::save(const Json& state) {
  train::CheckpointOptions options;
  options.save_total_limit = args_.save_total_limit;
  options.max_shard_size = args_.max_shard_size;
  options.extra_files = [this](const std::filesystem::path& folder) {
    write_tokenizer(folder);
    write_file_atomic(folder / "run_config.json", dump_json(config_, 2) + "\n");
    if (extra_) extra_(folder);
  };
  train::save_checkpoint(folder_, *trainer_, state, options);
}

// A full disk must not end a long run: the former checkpoint stands, and the next save tries again. When the run stops anyway, the error
// goes up.
void Run::save_or_warn(const Json& state, int64_t step, bool stopping) {
  try {
    save(state);
    saved_step_ = step;
  } catch (const Error& error) {
    if (stopping) throw;
    log_warning(stage_, ": no checkpoint at step ", step, " (", error.what(), "); the run goes on, the next try is at the next save");
  }
}

void Run::after_step(int64_t step, const Json& state) {
  const bool last = step >= trainer_->total_steps(), stop = interrupted() && !last;
  const bool due = args_.save_steps > 0 && step / args_.save_steps > saved_step_.value_or(0) / args_.save_steps && !last;
  if ((due || stop) && saved_step_ != step) save_or_warn(state, step, stop);
  if (stop)
    throw Error(str(stage_, ": stopped at step ", step, "; the checkpoint is in ", folder_.string(), ", the same command goes on from it"),
                ErrorKind::kInterrupted);
}

bool Run::must_stop() const {
  return interrupted() && seconds_since_interrupt() >= args_.stop_grace;
}

void Run::give_up(int64_t step) const {
  const std::string where =
      str(stage_, ": stopped after step ", step, ", where no checkpoint can stand (stop_grace ", args_.stop_grace, " s); ");
  const std::string how = saved_step_ ? str("the newest checkpoint is that of step ", *saved_step_, " in ", folder_.string(),
                                            ", the same command goes on from it")
                                      : str("there is no checkpoint yet, the same command starts anew");
  throw Error(where + how, ErrorKind::kInterrupted);
}

void Run::finish(const Json& results) {
  const auto weights = model::save_model(trainer_->model(), folder_, trainer_->model().dtype(), args_.max_shard_size);
  write_tokenizer(folder_);
  metrics_.reset();
  Json done;
  done["stage"] = stage_;
  done["version"] = version_line();
  done["config"] = config_;
  for (const auto& name : weights) done["model_sha256"][name] = sha256_file(folder_ / name);
  done["results"] = results;
  write_file_atomic(folder_ / "stage.json", dump_json(done, 2) + "\n");
  write_report(results);
}

void Run::write_report(const Json& results) const {
  show("the report", [&] {
    report::ReportData page;
    page.title = stage_ + " " + folder_.filename().string();
    page.config = config_;
    page.environment = environment_json();
    page.stages.push_back(
        {stage_, report::read_metrics(folder_ / "metrics.jsonl"), report_monitors(results.value("monitors", Json::object()))});
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
  v("max_shard_size", max_shard_size, "bytes of a weight file; a larger model is saved in several, with an index", Range{1, 1e18});
  v("stop_grace", stop_grace,
    "seconds after Ctrl-C or SIGTERM in which work that no checkpoint can hold may still end; then the run stops with its newest "
    "checkpoint",
    Range{0, 1e9});
  v("per_device_train_batch_size", per_device_train_batch_size, "sequences of a micro-batch", Range{1, 1e9});
  v("gradient_accumulation_steps", gradient_accumulation_steps, "micro-batches of an optimizer step", Range{1, 1e9});
}

}  // namespace r1::stages
