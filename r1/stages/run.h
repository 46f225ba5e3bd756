// What every training stage shares: the run folder with its resolved config, checkpoints, metrics and report; where a run starts again;
// when it stops.
//
// <output_dir>/ config.yaml (resolved)  checkpoint-<step>/  metrics.jsonl  events.out.tfevents.*  and, when done, the final model in HF
// layout with stage.json: what it was made from, the SHA-256 of every weight file, its results. report.html is there from the first logged
// step on, and is written anew now and then, at a stop and at the end. configs.jsonl has a line for every config that the run went on with.
//
// What may change when a run goes on. Nothing of what its state hangs on: model, tokenizer, dtype, optimizer, seed. While a run is unfinished
// its data may not change either, since its place in them is part of its state. All else may, and is said: old -> new. A finished run can be
// extended (more steps, epochs or data) from the checkpoint of its last step, which save_final_checkpoint keeps; its stage.json stays, as
// stage-<steps>.json.
//
// A stop (Ctrl-C, SIGTERM) is taken as soon as the work under way can be given up: between two micro-batches of supervised training, between
// two tokens of a rollout. What is then saved is the state before that work, so a resumed run is the run that was never stopped. GRPO's
// updates on a rollout and held-out evaluations go on for stop_grace seconds, to be done and saved; after that the run ends with the
// checkpoint that can still be made, or the newest there is.
//
// async_checkpoints: a step waits until the checkpoint is copied; a thread writes, and what goes wrong there is said at a later step. A stop and
// the end wait for it.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "r1/base/config_io.h"
#include "r1/dist/group.h"
#include "r1/dist/ranks.h"
#include "r1/eval/load.h"
#include "r1/model/weights_io.h"
#include "r1/report/metrics.h"
#include "r1/train/checkpoint.h"
#include "r1/train/trainer.h"

namespace r1::stages {

struct RunArgs {
  std::string output_dir, device = "auto", resume_from_checkpoint = "auto";
  bool overwrite_output_dir = false, save_final_checkpoint = false, async_checkpoints = false;
  bool in_recipe = false;  // not a setting: who runs several stages says itself what comes next
  int64_t seed = 1, max_steps = 0, logging_steps = 1, save_steps = 200, save_total_limit = 2, max_shard_size = model::kMaxShardBytes;
  double num_train_epochs = 1, stop_grace = 20;
  int64_t per_device_train_batch_size = 8, gradient_accumulation_steps = 1;

  void visit(Fields& v);
};

using eval::check_vocabulary;
using eval::end_of_turn_ids;
using eval::InferenceArgs;
using eval::load;
using eval::load_chat_template;
using eval::load_task;
using eval::load_tokenizer;
using eval::LoadedModel;
using eval::ModelArgs;
using eval::resolve_dtype;
using eval::TaskArgs;
using eval::TokenizerUse;

// The dtype a trained model is held in: bfloat16 if the trainer says bf16, else as resolve_dtype; the trainer's config then says the same.
tensor::DType training_dtype(const ModelArgs& args, train::TrainerConfig& trainer, tensor::Device device);

// What every step logs: loss, grad_norm, learning_rate, what the layers say, and why it was skipped. A step without a learned token has no
// loss and no gradient.
Json step_metrics(const train::StepResult& result);
// skipped_steps (NaN or Inf) and empty_steps (no token to learn from) of the whole run, where there were any.
void add_skips(Json& results, const train::Trainer& trainer);

// What a report says of the program that made it.
Json environment_json();
// Runs what only shows a finished run (a report, a plot). Whatever goes wrong there is a warning: the run's results stand.
void show(const std::string& what, const std::function<void()>& work);

// A stage's folder and its books. Made before the model is loaded, so that wrong paths fail at once.
class Run {
 public:
  // With a group the run is one of all its ranks: rank 0 alone reads and writes the folder, all load the checkpoint, and all call the same
  // functions in the same order. kUsage for a run without one in a process that was started as one of many.
  Run(std::string stage, const RunArgs& args, Json resolved_config, dist::Group* group = nullptr);
  ~Run();
  // From now on each rank writes its share of every checkpoint (train/checkpoint.h); else rank 0 writes all of it.
  void share_checkpoints();

  // The checkpoint to start from, if any.
  const std::optional<std::filesystem::path>& checkpoint() const { return checkpoint_; }
  // True if the folder holds a finished run of the same config: nothing is left to do.
  bool complete() const { return complete_; }
  // A finished run that goes on: with data that may be others than those of its checkpoint.
  bool extends() const { return finished_before_; }
  bool data_changed() const { return data_changed_; }
  // What stage.json says of the finished run.
  Json results() const;
  const std::string& stage() const { return stage_; }

  // Loads the checkpoint into the trainer and opens the metrics after it; returns the stage's own state (null without a checkpoint).
  Json start(train::Trainer& trainer, const text::Tokenizer& tokenizer);
  void log(int64_t step, const Json& values);
  // What a report shows of a run that is not done yet: results as far as they are known (watched, monitors).
  void so_far(Json results) { so_far_ = std::move(results); }
  // More files for each checkpoint, written into the given folder.
  void on_save(std::function<void(const std::filesystem::path&)> write) { extra_ = std::move(write); }
  // What else a finished run's folder holds: called when the final model stands there, before stage.json does, which gets what it returns.
  using Finish = std::function<Json(const std::filesystem::path& folder, int64_t max_shard_bytes)>;
  void on_finish(Finish more) { more_at_the_end_ = std::move(more); }
  // Where a checkpoint can stand: saves if it is time, or if a stop was asked for; in the latter case throws kInterrupted afterwards.
  // `state`: what the stage needs to go on from `step`.
  void after_step(int64_t step, const Json& state);
  // True when a stop was asked for more than stop_grace seconds ago.
  bool must_stop() const;
  // Where no checkpoint can stand: throws kInterrupted, with a word about the newest one there is.
  [[noreturn]] void give_up(int64_t step);
  // The final model in output_dir, stage.json and report.html; says where they are, and `next`: what one does with them, a command a line.
  void finish(const Json& results, const std::vector<std::string>& next = {});

  const std::filesystem::path& folder() const { return folder_; }
  dist::Group& group() const { return *group_; }

 private:
  train::CheckpointOptions checkpoint_options();
  void write_first(const std::string& what, const std::function<void()>& work);
  void save_together(const std::function<void()>& work);
  void save_or_warn(const Json& state, int64_t step, bool stopping);
  void wait_for_checkpoint();
  void end_checkpoint();
  void warn_of_checkpoint(int64_t step, const std::string& why) const;
  int64_t newest_checkpoint() const;
  bool hear_of_the_others();
  void open_folder(const dist::Ranks& ranks);
  void write_final(const Json& results, const std::vector<std::string>& next);
  void write_tokenizer(const std::filesystem::path& folder) const;
  void write_report(const Json& results, const std::string& subtitle = "") const;
  void report_so_far();
  void find_start();
  void go_on(const Json& before, bool finished);
  void keep_config() const;

  std::string stage_;
  RunArgs args_;
  dist::Group alone_, *group_;
  Json config_;
  std::filesystem::path folder_;
  std::optional<std::filesystem::path> checkpoint_;
  bool complete_ = false, finished_before_ = false, data_changed_ = false;
  train::Trainer* trainer_ = nullptr;
  const text::Tokenizer* tokenizer_ = nullptr;
  std::unique_ptr<report::MetricsWriter> metrics_;
  std::function<void(const std::filesystem::path&)> extra_;
  Finish more_at_the_end_;
  std::unique_ptr<train::CheckpointWriter> writer_;
  bool shares_checkpoints_ = false;
  std::optional<int64_t> saved_step_, under_way_;  // the newest checkpoint; the step of the one that is being written
  int64_t step_ = 0, total_steps_ = 0;
  Json so_far_ = Json::object(), final_state_;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now(), next_report_ = begun_;
};

}  // namespace r1::stages
