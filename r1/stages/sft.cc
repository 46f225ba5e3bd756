#include "r1/stages/sft.h"

#include "r1/base/config_io.h"
#include "r1/base/file.h"
#include "r1/base/log.h"
#include "r1/data/jsonl.h"
#include "r1/data/token_shards.h"
#include "r1/stages/supervised.h"

namespace r1::stages {

namespace {

data::CorpusSpec conversations(const std::vector<std::string>& files, const SftConfig& config, const text::Tokenizer& tokenizer,
                               const data::PromptMaker& prompts) {
  return {.files = files,
          .make =
              [&prompts](const data::Text& text) {
                return prompts.conversation(data::conversation_from_json(data::parse_row(text.text, text.where), text.where), text.where);
              },
          .maker =
              str("conversation ", tokenizer.hash(), " ", sha256(tokenizer.chat_template()), " ", dump_json(config_to_json(config.prompt))),
          .vocab_size = tokenizer.vocab_size(),
          .masked = true};
}

// Problem i of the train split with the task's i-th variant of a completion; a task's stream may be asked for more examples than it has
// problems.
std::unique_ptr<data::DocumentSource> task_examples(const tasks::Task& task, const data::PromptMaker& prompts, int64_t wanted) {
  const int64_t problems = task.size("train"), size = wanted > 0 ? wanted : problems;
  if (problems == 0) fail_usage("task '", task.name(), "' has no training problems");
  return data::function_source(size, [&task, &prompts, problems](int64_t index) {
    const auto problem = task.problem("train", index % problems);
    return prompts.supervised(problem.prompt, problem.messages, task.sft_completion(problem, index));
  });
}

void check_rows(const data::PackCounts& counts, int64_t max_length) {
  if (counts.truncated + counts.dropped > 0)
    log_warning("sft: of ", counts.documents, " documents ", counts.truncated, " were cut and ", counts.dropped,
                " dropped, as longer than max_length ", max_length, " (", counts.tokens_lost, " tokens lost)");
}

}  // namespace

Json sft(const SftConfig& config) {
  const auto device = tensor::parse_device(config.run.device);
  std::unique_ptr<tasks::Task> task;
  if (config.train_files.empty()) task = load_task(config.task);
  for (const auto* files : {&config.train_files, &config.eval_files})
    for (const auto& file : *files)
      if (!std::filesystem::exists(file)) fail_usage("no file '", file, "'");
  Run run("sft", config.run, config_to_json(config));
  if (run.complete()) return run.results();

  train::TrainerConfig trainer_config = config.trainer;
  const auto loaded = load(config.model, device, training_dtype(config.model, trainer_config, device));
  const data::PromptMaker prompts(*loaded.tokenizer, loaded.chat.get(), config.prompt, loaded.stop_ids);

  SupervisedData data;
  const auto source =
      task ? task_examples(*task, prompts, config.num_examples)
           : data::token_shards(run.folder() / "token_shards", conversations(config.train_files, config, *loaded.tokenizer, prompts));
  data.train = source.get();
  data.eval_steps = config.eval_steps;
  data.loader.pack = {.max_tokens = config.max_length, .strategy = config.packing_strategy, .long_documents = config.long_documents};
  if (!config.eval_files.empty()) {
    data::PackCounts counts;
    data.eval_rows =
        data::pack(data::corpus_documents(conversations(config.eval_files, config, *loaded.tokenizer, prompts)), data.loader.pack, &counts);
    check_rows(counts, config.max_length);
  }
  const int64_t steps = supervised_steps(config.run, data);
  log_info("sft: ", source->size(), " documents, ", steps, " steps");
  train::Trainer trainer(*loaded.model, trainer_config, steps, uint64_t(config.run.seed));
  return train_supervised(run, config.run, trainer, *loaded.tokenizer, data);
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
  v("eval_steps", eval_steps, "steps between evaluations of eval_loss; 0: only at the end", Range{0, 1e9});
}

}  // namespace r1::stages
