#include "r1/stages/sft.h"

#include "r1/base/config_io.h"
#include "r1/base/log.h"
#include "r1/eval/provenance.h"
#include "r1/stages/quantized_training.h"
#include "r1/stages/sft_data.h"

namespace r1::stages {

void check(const SftConfig& config, const Preflight& preflight) {
  check_device(config.run.device, preflight);
  check_sft_data(config, preflight, "sft");
  check_batches(config.batches, config.max_length, config.packing_strategy);
  check_parallel(config.parallel, config.run, config.trainer);
  if (config.run.max_steps == 0 && config.run.num_train_epochs <= 0) fail_usage("give max_steps, or num_train_epochs above 0");
  train::TrainerConfig trainer = config.trainer;
  training_dtype(config.model, trainer, at::kCPU);
  check_model(config.model, preflight);
  if (preflight.knows("model_name_or_path"))
    check_layers_parallel(config.parallel, model::read_model_config(model::find_model(config.model.model_name_or_path)), trainer);
}

namespace {

Json sft_on(const SftConfig& config, Together& together) {
  const auto device = together.device;
  const SftSources sources = sft_sources(config, "sft");
  Run run("sft", config.run, config_to_json(config), together.group.get());
  if (shares_checkpoints(config.parallel)) run.share_checkpoints();
  if (run.complete()) return run.results();

  train::TrainerConfig trainer_config = config.trainer;
  const auto loaded = load(config.model, device, training_dtype(config.model, trainer_config, device), TokenizerUse::kNeeded,
                           {.ranks = &together.mesh.tensor()});
  const data::PromptMaker prompts(*loaded.tokenizer, loaded.chat.get(), config.prompt, loaded.stop_ids);
  if (!sources.task && !loaded.chat && config.prompt.prompt_format == "auto")
    log_warning(
        "sft: the model has no chat template, so a conversation is its texts one after another, without a word of who speaks; "
        "give a tokenizer with a template (tokenizer_name_or_path), or prompt_format=plain if this is meant");

  SftData made =
      opened<SftData>(run, "the token shards", [&](bool make) { return open_sft_data(config, sources, run, loaded, prompts, make); });
  const int64_t steps = supervised_steps(config.run, made.data);
  log_info("sft: ", steps_in_words(steps, config.run, made.data));
  const std::string folder = eval::shell_word(config.run.output_dir);
  made.data.next = {(loaded.chat ? "r1 chat " : "r1 generate ") + folder};
  train::Trainer trainer(*loaded.model, trainer_config, steps, uint64_t(config.run.seed), nullptr,
                         quantized_training(trainer_config, *loaded.model, run), sharing(config.parallel, together));
  return train_supervised(run, config.run, trainer, *loaded.tokenizer, made.data);
}

}  // namespace

Json sft(const SftConfig& config) {
  check(config, {.quick = true});
  Together together = meet(config.parallel, config.run, config_to_json(config));
  return in_group(*together.group, [&] { return sft_on(config, together); });
}

void SftConfig::visit(Fields& v) {
  v.group("", run);
  v.group("", model);
  v.group("", task);
  v.group("", prompt);
  v.group("", trainer);
  v("train_files", train_files, "chat JSONL: {\"messages\":[...]} or {\"prompt\",\"completion\"} a line; or give a task");
  v("eval_files", eval_files, "held-out chat JSONL for eval_loss");
  v("num_examples", num_examples, "examples taken from the task; 0: its train split", Range{0, 1e12});
  v("max_length", max_length, "tokens of a packed row", Range{8, 1e7});
  v("packing_strategy", packing_strategy, "how documents fill rows", OneOf{"bfd", "wrapped", "none"});
  v("long_documents", long_documents, "what happens to documents above max_length", OneOf{"truncate", "split", "drop"});
  v.group("", batches);
  v.group("parallel", parallel, "ranks that share the work");
  v("eval_steps", eval_steps, "steps between evaluations of eval_loss; 0: only at the end", Range{0, 1e9});
}

}  // namespace r1::stages
