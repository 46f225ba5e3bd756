#include "r1/stages/sft_data.h"

#include <algorithm>

#include "r1/base/config_io.h"
#include "r1/base/file.h"
#include "r1/base/log.h"
#include "r1/data/find_files.h"
#include "r1/data/jsonl.h"
#include "r1/data/token_shards.h"
#include "r1/stages/first_look.h"

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

void check_rows(const Run& run, const data::PackCounts& counts, int64_t max_length) {
  if (counts.truncated + counts.dropped > 0)
    log_warning(run.stage(), ": of ", counts.documents, " held-out documents ", counts.truncated, " were cut and ", counts.dropped,
                " dropped, as longer than max_length ", max_length, " (", counts.tokens_lost, " tokens lost)");
}

// Said once, before a run's first step.
void show_data(const Run& run, const data::DocumentSource& source, const data::PackOptions& options, const text::Tokenizer& tokenizer) {
  const FirstLook look = look_at(source, options);
  const auto say = [&](const auto&... words) {
    look.cut + look.dropped + look.nothing_to_learn > 0 ? log_warning(words...) : log_info(words...);
  };
  say(run.stage(), ": ", to_words(look, options));
  if (look.looked == look.documents && look.nothing_to_learn + look.dropped == look.documents)
    fail_usage(run.stage(), ": no document leaves a token to learn within max_length ", options.max_tokens,
               "; raise it, or look at the example: an answer of the assistant is what is learned");
  const data::Document first = source.document(0);
  log_info(run.stage(), ": the first document, ", first.ids.size(), " tokens, ",
           std::count(first.learned.begin(), first.learned.end(), uint8_t{1}), " of them learned {+so+}:\n  ",
           rendered(tokenizer, first.ids, first.learned));
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

void warn_of_same_files(const char* stage, const std::vector<std::string>& train_files, const std::vector<std::string>& eval_files) {
  std::error_code ignored;
  for (const auto& train : train_files)
    for (const auto& held_out : eval_files)
      if (std::filesystem::equivalent(train, held_out, ignored))
        log_warning(stage, ": ", train, " is in train_files and in eval_files: eval_loss on it says what was memorized");
}

}  // namespace

std::unique_ptr<data::DocumentSource> task_examples(const tasks::Task& task, const data::PromptMaker& prompts, int64_t wanted) {
  const int64_t problems = task.size("train"), size = wanted > 0 ? wanted : problems;
  return data::function_source(size, [&task, &prompts, problems](int64_t index) {
    const auto problem = task.problem("train", index % problems);
    return prompts.supervised(problem.prompt, problem.messages, task.sft_completion(problem, index));
  });
}

void check_sft_data(const SftConfig& config, const Preflight& preflight, const char* stage) {
  const bool known = preflight.knows("train_files") && preflight.knows("data"), files = known && !train_files_of(config).empty();
  if (files) data::check_conversation_columns(config.task.columns);
  if (known && !files) {
    const auto task = check_task(training_tasks(config.task, {}, {})[0], preflight);
    if (task) tasks::required_size(*task, "train", stage);
  }
  if (preflight.knows("eval_files")) eval_files_of(config);
}

SftSources sft_sources(const SftConfig& config, const char* stage) {
  SftSources sources{.train_files = train_files_of(config), .eval_files = eval_files_of(config)};
  if (sources.train_files.empty()) sources.task = training_task(config.task);
  warn_of_same_files(stage, sources.train_files, sources.eval_files);
  return sources;
}

SftData open_sft_data(const SftConfig& config, const SftSources& sources, const Run& run, const LoadedModel& loaded,
                      const data::PromptMaker& prompts, bool make) {
  SftData out;
  if (sources.task) {
    out.documents = task_examples(*sources.task, prompts, config.num_examples);
  } else {
    const auto spec = conversations(sources.train_files, config, *loaded.tokenizer, prompts);
    const fs::path folder = run.folder() / "token_shards";
    out.documents = make ? data::token_shards(folder, spec) : data::found_token_shards(folder, spec);
  }
  SupervisedData& data = out.data;
  data.train = out.documents.get();
  data.eval_steps = config.eval_steps;
  data.batches = config.batches;
  data.loader.pack = {.max_tokens = config.max_length, .strategy = config.packing_strategy, .long_documents = config.long_documents};
  if (!sources.eval_files.empty()) {
    data::PackCounts counts;
    data.eval_rows = data::pack(data::corpus_documents(conversations(sources.eval_files, config, *loaded.tokenizer, prompts)),
                                data.loader.pack, &counts);
    check_rows(run, counts, config.max_length);
    check_eval_rows(data.eval_rows, config.max_length);
  }
  if (!run.checkpoint()) show_data(run, *out.documents, data.loader.pack, *loaded.tokenizer);
  data.looked_at = true;
  return out;
}

}  // namespace r1::stages
