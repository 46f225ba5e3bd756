#include "r1/stages/sft.h"

#include <algorithm>

#include "r1/base/config_io.h"
#include "r1/base/file.h"
#include "r1/base/log.h"
#include "r1/data/find_files.h"
#include "r1/data/jsonl.h"
#include "r1/data/token_shards.h"
#include "r1/eval/provenance.h"
#include "r1/stages/first_look.h"
#include "r1/stages/supervised.h"

namespace r1::stages {

namespace {

data::CorpusSpec conversations(const std::vector<std::string>& files, const SftConfig& config, const text::Tokenizer& tokenizer,
                               const data::PromptMaker& prompts) {
  return {
      .files = files,
      .make =
          [&prompts, columns = config.task.columns](const data::Text& text) {
            const Json row = data::parse_row(text.text, text.where);
            return prompts.conversation(data::conversation_from_json(row, text.where, data::TemplateKeys::kKnown, columns), text.where);
          },
      .maker = str("conversation ", tokenizer.hash(), " ", sha256(tokenizer.chat_template()), " ", dump_json(config_to_json(config.prompt)),
                   config.task.columns.empty() ? "" : " " + dump_json(Json(config.task.columns))),
      .vocab_size = tokenizer.vocab_size(),
      .masked = true};
}

// Problem i of the train split with the task's i-th variant of a completion; a task's stream may be asked for more examples than it has
// problems.
std::unique_ptr<data::DocumentSource> task_examples(const tasks::Task& task, const data::PromptMaker& prompts, int64_t wanted) {
  const int64_t problems = task.size("train"), size = wanted > 0 ? wanted : problems;
  return data::function_source(size, [&task, &prompts, problems](int64_t index) {
    const auto problem = task.problem("train", index % problems);
    return prompts.supervised(problem.prompt, problem.messages, task.sft_completion(problem, index));
  });
}

void check_rows(const data::PackCounts& counts, int64_t max_length) {
  if (counts.truncated + counts.dropped > 0)
    log_warning("sft: of ", counts.documents, " held-out documents ", counts.truncated, " were cut and ", counts.dropped,
                " dropped, as longer than max_length ", max_length, " (", counts.tokens_lost, " tokens lost)");
}

// Said once, before a run's first step.
void show_data(const data::DocumentSource& source, const data::PackOptions& options, const text::Tokenizer& tokenizer) {
  const FirstLook look = look_at(source, options);
  const auto say = [&](const auto&... words) {
    look.cut + look.dropped + look.nothing_to_learn > 0 ? log_warning(words...) : log_info(words...);
  };
  say("sft: ", to_words(look, options));
  if (look.looked == look.documents && look.nothing_to_learn + look.dropped == look.documents)
    fail_usage("sft: no document leaves a token to learn within max_length ", options.max_tokens,
               "; raise it, or look at the example: an answer of the assistant is what is learned");
  const data::Document first = source.document(0);
  log_info("sft: the first document, ", first.ids.size(), " tokens, ", std::count(first.learned.begin(), first.learned.end(), uint8_t{1}),
           " of them learned {+so+}:\n  ", rendered(tokenizer, first.ids, first.learned));
}

// `data` without a task is a file of conversations like those of train_files.
std::vector<std::string> train_files_of(const SftConfig& config) {
  if (config.train_files.empty() && config.task.task.empty() && !config.task.data.empty())
    return data::find_files({config.task.data}, "data", data::Split::kTrain);
  return config.train_files.empty() ? config.train_files : data::find_files(config.train_files, "train_files", data::Split::kTrain);
}
std::vector<std::string> eval_files_of(const SftConfig& config) {
  return config.eval_files.empty() ? config.eval_files : data::find_files(config.eval_files, "eval_files", data::Split::kValidation);
}

void warn_of_same_files(const std::vector<std::string>& train_files, const std::vector<std::string>& eval_files) {
  std::error_code ignored;
  for (const auto& train : train_files)
    for (const auto& held_out : eval_files)
      if (std::filesystem::equivalent(train, held_out, ignored))
        log_warning("sft: ", train, " is in train_files and in eval_files: eval_loss on it says what was memorized");
}

}  // namespace

void check(const SftConfig& config, const Preflight& preflight) {
  check_device(config.run.device, preflight);
  const bool known = preflight.knows("train_files") && preflight.knows("data"), files = known && !train_files_of(config).empty();
  if (files) data::check_conversation_columns(config.task.columns);
  if (known && !files) {
    const auto task = check_task(training_tasks(config.task, {}, {})[0], preflight);
    if (task) tasks::required_size(*task, "train", "sft");
  }
  if (preflight.knows("eval_files")) eval_files_of(config);
  if (config.run.max_steps == 0 && config.run.num_train_epochs <= 0) fail_usage("give max_steps, or num_train_epochs above 0");
  train::TrainerConfig trainer = config.trainer;
  training_dtype(config.model, trainer, at::kCPU);
  check_model(config.model, preflight);
}

Json sft(const SftConfig& config) {
  check(config, {.quick = true});
  const auto device = tensor::parse_device(config.run.device);
  const auto train_files = train_files_of(config), eval_files = eval_files_of(config);
  const auto task = train_files.empty() ? training_task(config.task) : nullptr;
  warn_of_same_files(train_files, eval_files);
  Run run("sft", config.run, config_to_json(config));
  if (run.complete()) return run.results();

  train::TrainerConfig trainer_config = config.trainer;
  const auto loaded = load(config.model, device, training_dtype(config.model, trainer_config, device));
  const data::PromptMaker prompts(*loaded.tokenizer, loaded.chat.get(), config.prompt, loaded.stop_ids);
  if (!task && !loaded.chat && config.prompt.prompt_format == "auto")
    log_warning(
        "sft: the model has no chat template, so a conversation is its texts one after another, without a word of who speaks; "
        "give a tokenizer with a template (tokenizer_name_or_path), or prompt_format=plain if this is meant");

  SupervisedData data;
  const auto source =
      task ? task_examples(*task, prompts, config.num_examples)
           : data::token_shards(run.folder() / "token_shards", conversations(train_files, config, *loaded.tokenizer, prompts));
  data.train = source.get();
  data.eval_steps = config.eval_steps;
  data.loader.pack = {.max_tokens = config.max_length, .strategy = config.packing_strategy, .long_documents = config.long_documents};
  if (!eval_files.empty()) {
    data::PackCounts counts;
    data.eval_rows =
        data::pack(data::corpus_documents(conversations(eval_files, config, *loaded.tokenizer, prompts)), data.loader.pack, &counts);
    check_rows(counts, config.max_length);
    check_eval_rows(data.eval_rows, config.max_length);
  }
  if (!run.checkpoint()) show_data(*source, data.loader.pack, *loaded.tokenizer);
  data.looked_at = true;
  const int64_t steps = supervised_steps(config.run, data);
  log_info("sft: ", steps, steps == 1 ? " step of up to " : " steps of up to ",
           config.run.per_device_train_batch_size * config.run.gradient_accumulation_steps, " rows of ", config.max_length, " tokens");
  const std::string folder = eval::shell_word(config.run.output_dir);
  data.next = {(loaded.chat ? "r1 chat " : "r1 generate ") + folder};
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
