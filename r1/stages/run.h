// What every training stage shares: the run folder with its resolved config, checkpoints, metrics and report; where a run starts again;
// when it stops.
//
// <output_dir>/ config.yaml (resolved)  checkpoint-<step>/  metrics.jsonl  events.out.tfevents.*  report.html  and, when done, the final
// model in HF layout with stage.json: what it was made from (hashes) and its results.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "r1/base/config_io.h"
#include "r1/model/generation_config.h"
#include "r1/model/transformer.h"
#include "r1/tasks/task.h"
#include "r1/text/chat_template.h"
#include "r1/text/tokenizer.h"
#include "r1/train/checkpoint.h"
#include "r1/train/metrics.h"
#include "r1/train/report.h"
#include "r1/train/trainer.h"

namespace r1::stages {

struct RunArgs {
  std::string output_dir, device = "auto", resume_from_checkpoint = "auto";
  bool overwrite_output_dir = false;
  int64_t seed = 1, max_steps = 0, logging_steps = 1, save_steps = 200, save_total_limit = 2;
  double num_train_epochs = 1;
  int64_t per_device_train_batch_size = 8, gradient_accumulation_steps = 1;

  void visit(Fields& v);
};

struct ModelArgs {
  std::string model_name_or_path, tokenizer_name_or_path, dtype = "auto";

  void visit(Fields& v);
};

struct TaskArgs {
  std::string task, data;
  FreeForm options;

  void visit(Fields& v);
};

struct LoadedModel {
  std::unique_ptr<model::Transformer> model;
  std::unique_ptr<text::Tokenizer> tokenizer;
  std::unique_ptr<text::ChatTemplate> chat;  // null if the tokenizer has none
  std::vector<text::TokenId> stop_ids;       // what ends an answer: end_of_turn_ids()
  model::GenerationConfig generation;        // how the model's authors sample
};

// Who works on ids alone can do without.
enum class TokenizerUse { kNeeded, kIfThere, kNone };

tensor::DType resolve_dtype(const std::string& name, tensor::Device device);
// The dtype a trained model is held in: bfloat16 if the trainer says bf16, else as resolve_dtype; the trainer's config then says the same.
tensor::DType training_dtype(const ModelArgs& args, train::TrainerConfig& trainer, tensor::Device device);
std::unique_ptr<text::Tokenizer> load_tokenizer(const std::filesystem::path& path);
std::unique_ptr<text::ChatTemplate> load_chat_template(const text::Tokenizer& tokenizer);
// The ids that end a turn or a text, wherever the model's files name them: tokenizer_config.json, special_tokens_map.json and a GGUF file's
// vocabulary through the tokenizer (may be null), config.json's list and generation_config.json through the config. For every command.
std::vector<text::TokenId> end_of_turn_ids(const model::ModelConfig& config, const text::Tokenizer* tokenizer);
// Loads model and tokenizer, and checks that the vocabulary fits the embedding.
LoadedModel load(const ModelArgs& args, tensor::Device device, tensor::DType dtype, TokenizerUse use = TokenizerUse::kNeeded);
// For inference: in the dtype that the arguments name.
inline LoadedModel load(const ModelArgs& args, tensor::Device device) {
  return load(args, device, resolve_dtype(args.dtype, device));
}
void check_vocabulary(const text::Tokenizer& tokenizer, const model::ModelConfig& config, const std::string& where);
std::unique_ptr<tasks::Task> load_task(const TaskArgs& args);

// What a report says of the program that made it.
Json environment_json();

// A stage's folder and its books. Made before the model is loaded, so that wrong paths fail at once.
class Run {
 public:
  Run(std::string stage, const RunArgs& args, Json resolved_config);
  ~Run();

  // The checkpoint to start from, if any.
  const std::optional<std::filesystem::path>& checkpoint() const { return checkpoint_; }
  // True if the folder holds a finished run of the same config: nothing is left to do.
  bool complete() const { return complete_; }
  // What stage.json says of the finished run.
  Json results() const;
  const std::string& stage() const { return stage_; }

  // Loads the checkpoint into the trainer and opens the metrics behind it; returns the stage's own state (null without a checkpoint).
  Json start(train::Trainer& trainer, const text::Tokenizer& tokenizer);
  void log(int64_t step, const Json& values);
  // More files for each checkpoint, written into the given folder.
  void on_save(std::function<void(const std::filesystem::path&)> write) { extra_ = std::move(write); }
  // Saves if it is time, or if Ctrl-C was pressed; in the latter case throws kInterrupted afterwards. `state`: what the stage needs to go
  // on.
  void after_step(int64_t step, const Json& state);
  // The final model in output_dir, report.html and stage.json.
  void finish(const Json& results);

  const std::filesystem::path& folder() const { return folder_; }
  train::ReportData& report() { return report_; }

 private:
  void save(const Json& state);
  void save_or_warn(const Json& state, int64_t step, bool stopping);
  void write_tokenizer(const std::filesystem::path& folder) const;

  std::string stage_;
  RunArgs args_;
  Json config_;
  std::filesystem::path folder_;
  std::optional<std::filesystem::path> checkpoint_;
  bool complete_ = false;
  train::Trainer* trainer_ = nullptr;
  const text::Tokenizer* tokenizer_ = nullptr;
  std::unique_ptr<train::MetricsWriter> metrics_;
  train::ReportData report_;
  std::function<void(const std::filesystem::path&)> extra_;
  int64_t saved_step_ = 0;
};

}  // namespace r1::stages
