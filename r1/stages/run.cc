#include "r1/stages/run.h"

#include <algorithm>

#include "r1/base/build_info.h"
#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/threads.h"
#include "r1/model/weights_io.h"
#include "r1/stages/watch.h"
#include "r1/tasks/registry.h"

namespace r1::stages {

tensor::DType resolve_dtype(const std::string& name, tensor::Device device) {
  if (name != "auto") return tensor::parse_dtype(name);
  return device.is_cuda() ? at::kBFloat16 : at::kFloat;
}

tensor::DType training_dtype(const ModelArgs& args, train::TrainerConfig& trainer, tensor::Device device) {
  if (trainer.bf16 && args.dtype == "float32") fail_usage("bf16=true and dtype=float32 contradict each other; drop one");
  const auto dtype = trainer.bf16 ? at::kBFloat16 : resolve_dtype(args.dtype, device);
  trainer.bf16 = dtype == at::kBFloat16;
  return dtype;
}

std::unique_ptr<text::Tokenizer> load_tokenizer(const std::filesystem::path& path) {
  return std::make_unique<text::Tokenizer>(text::Tokenizer::load(path));
}

std::unique_ptr<text::ChatTemplate> load_chat_template(const text::Tokenizer& tokenizer) {
  if (tokenizer.chat_template().empty()) return nullptr;
  return std::make_unique<text::ChatTemplate>(tokenizer.chat_template(), text::RenderLimits{}, tokenizer.chat_template_where());
}

void check_vocabulary(const text::Tokenizer& tokenizer, const model::ModelConfig& config, const std::string& where) {
  if (tokenizer.vocab_size() > config.vocab_size)
    fail_usage(where, ": the tokenizer has ids up to ", tokenizer.vocab_size() - 1, ", but the model's embedding has ", config.vocab_size,
               " rows; give the tokenizer that the model was made with (tokenizer_name_or_path)");
}

std::vector<text::TokenId> end_of_turn_ids(const model::ModelConfig& config, const text::Tokenizer* tokenizer) {
  std::vector<text::TokenId> ids;
  if (tokenizer) ids = tokenizer->end_ids();
  for (const int64_t id : model::eos_token_ids(config))
    if (id < config.vocab_size && std::ranges::find(ids, id) == ids.end()) ids.push_back(text::TokenId(id));
  return ids;
}

namespace {

void load_text_side(LoadedModel& out, const ModelArgs& args, const model::ModelConfig& config, TokenizerUse use) {
  if (use == TokenizerUse::kNone) return;
  const std::string tokenizer = args.tokenizer_name_or_path.empty() ? args.model_name_or_path : args.tokenizer_name_or_path;
  try {
    out.tokenizer = load_tokenizer(tokenizer);
    out.chat = load_chat_template(*out.tokenizer);
  } catch (const Error& e) {
    if (use == TokenizerUse::kNeeded || !args.tokenizer_name_or_path.empty()) throw;
    log_warning("ids only, no text: ", e.what());
    out.tokenizer = nullptr;
    return;
  }
  check_vocabulary(*out.tokenizer, config, tokenizer);
}

}  // namespace

LoadedModel load(const ModelArgs& named, tensor::Device device, tensor::DType dtype, TokenizerUse use) {
  if (named.model_name_or_path.empty()) fail_usage("missing: --model_name_or_path (HF folder, checkpoint folder or .gguf file)");
  ModelArgs args = named;
  args.model_name_or_path = model::find_model(named.model_name_or_path).string();
  LoadedModel out;
  const model::ModelConfig config = model::read_model_config(args.model_name_or_path);
  load_text_side(out, args, config, use);
  out.generation = model::read_generation_config(args.model_name_or_path);
  out.model = model::load_model(args.model_name_or_path, device, dtype);
  out.stop_ids = end_of_turn_ids(config, out.tokenizer.get());
  return out;
}

std::unique_ptr<tasks::Task> load_task(const TaskArgs& args) {
  if (args.task.empty()) {
    std::string names;
    for (const auto& name : tasks::task_names()) names += (names.empty() ? "" : ", ") + name;
    fail_usage("missing: --task (one of ", names, ")");
  }
  Json options(args.options);
  if (!args.data.empty()) options["data"] = args.data;
  return tasks::make_task(args.task, options);
}

Json environment_json() {
  return {{"program", version_line()}, {"threads", num_threads()}};
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
  return parse_json_file(folder_ / "stage.json").at("results");
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
  metrics_ = std::make_unique<train::MetricsWriter>(folder_, checkpoint_ ? trainer.global_step() : 0);
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
  const bool due = args_.save_steps > 0 && step / args_.save_steps > saved_step_ / args_.save_steps && !last;
  if (due || stop) save_or_warn(state, step, stop);
  if (stop)
    throw Error(str(stage_, ": stopped at step ", step, "; the checkpoint is in ", folder_.string(), ", the same command goes on from it"),
                ErrorKind::kInterrupted);
}

void Run::finish(const Json& results) {
  model::save_model(trainer_->model(), folder_, trainer_->model().dtype());
  write_tokenizer(folder_);
  metrics_.reset();
  report_.title = stage_ + " " + folder_.filename().string();
  report_.config = config_;
  report_.environment = environment_json();
  report_.stages.push_back(
      {stage_, train::read_metrics(folder_ / "metrics.jsonl"), report_monitors(results.value("monitors", Json::object()))});
  train::write_report(folder_ / "report.html", report_);
  Json done;
  done["stage"] = stage_;
  done["version"] = version_line();
  done["config"] = config_;
  done["model_sha256"] = sha256_file(folder_ / "model.safetensors");
  done["results"] = results;
  write_file_atomic(folder_ / "stage.json", dump_json(done, 2) + "\n");
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
  v("per_device_train_batch_size", per_device_train_batch_size, "sequences of a micro-batch", Range{1, 1e9});
  v("gradient_accumulation_steps", gradient_accumulation_steps, "micro-batches of an optimizer step", Range{1, 1e9});
}

void ModelArgs::visit(Fields& v) {
  v("model_name_or_path", model_name_or_path, "HF folder, checkpoint folder or .gguf file");
  v.alias("model", "model_name_or_path");
  v("tokenizer_name_or_path", tokenizer_name_or_path, "tokenizer.json, HF folder or .gguf (default: the model's own)");
  v.alias("tokenizer", "tokenizer_name_or_path");
  v("dtype", dtype, "auto: float32 on CPU, bfloat16 on CUDA", OneOf{"auto", "float32", "bfloat16"});
}

void TaskArgs::visit(Fields& v) {
  v("task", task, "which problems: see r1 eval --list-tasks");
  v("data", data, "the task's data: a file, or the folder that holds its files (same as task_options.data)");
  v("task_options", options, "options of the task, e.g. task_options.test=test.jsonl");
}

}  // namespace r1::stages
