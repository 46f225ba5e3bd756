#include "r1/stages/teacher_answers.h"

#include <algorithm>

#include "r1/base/config_io.h"
#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/base/rng.h"
#include "r1/data/jsonl.h"
#include "r1/data/text_stream.h"
#include "r1/engine/completion.h"
#include "r1/stages/rejection.h"
#include "r1/stages/results.h"

namespace r1::stages {

namespace {

constexpr uint64_t kTeacherStream = 0x74656163686572;  // "teacher"
constexpr size_t kChunk = 64;                          // conversations between two writes

ModelArgs teacher_args(const DistillConfig& config) {
  return {.model_name_or_path = config.teacher_name_or_path, .dtype = config.teacher_dtype};
}

void from_task(const DistillConfig& config, const fs::path& output) {
  RejectionConfig r;
  r.output_file = output.string();
  r.device = config.sft.run.device;
  r.model = teacher_args(config);
  r.task = config.sft.task;
  r.prompt = config.sft.prompt;
  r.sampling = config.sampling;
  r.engine = config.engine;
  r.seed = config.sft.run.seed;
  r.limit = config.sft.num_examples;
  r.keep = config.keep;
  r.max_kept = config.sampling.num_generations;
  r.in_recipe = true;  // what comes next is this stage's business
  const Json result = rejection(r);
  if (result.at("kept") == 0)
    fail_usage("distill: none of the teacher's ", result.at("samples").get<int64_t>(), " answers was kept (",
               dump_json(result.at("dropped")), "); look at them in ", fs::path(output).replace_extension().string(),
               ".samples.jsonl, or keep=all");
}

// The conversations of the files, each without its last answer.
std::vector<data::Conversation> questions(const DistillConfig& config, const std::vector<std::string>& files) {
  std::vector<data::Conversation> out;
  data::TextStream texts(files);
  for (data::Text text; texts.next(text);) {
    auto conversation = data::conversation_from_json(data::parse_row(text.text, text.where), text.where, data::TemplateKeys::kKnown,
                                                     config.sft.task.columns);
    if (!conversation.messages.empty() && conversation.messages.back().role == "assistant") conversation.messages.pop_back();
    if (conversation.messages.empty()) fail_usage(text.where, ": nothing stands before the answer, so the teacher has nothing to answer");
    out.push_back(std::move(conversation));
  }
  if (config.sft.num_examples > 0 && int64_t(out.size()) > config.sft.num_examples) out.resize(size_t(config.sft.num_examples));
  return out;
}

std::string plain_text(const data::Conversation& conversation) {
  std::string text;
  for (const data::Message& message : conversation.messages) text += message.content;
  return text;
}

// Whole lines that an earlier, stopped run has left.
std::string whole_lines(const fs::path& file) {
  if (!fs::exists(file)) return "";
  std::string text = read_file(file);
  text.resize(text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1);
  return text;
}

// All that the answers to the questions of files hang on.
Json key_of(const DistillConfig& config, const std::vector<std::string>& files) {
  Json key;
  key["teacher"] = model_sha256(model::find_model(config.teacher_name_or_path));
  key["teacher_dtype"] = config.teacher_dtype;
  for (const std::string& file : files) key["files"].push_back({fs::path(file).filename().string(), sha256_file(file)});
  key["columns"] = config.sft.task.columns;
  key["num_examples"] = config.sft.num_examples;
  key["seed"] = config.sft.run.seed;
  key["prompt"] = config_to_json(config.sft.prompt);
  key["sampling"] = config_to_json(config.sampling);
  return key;
}

// True if the answers are there. What was begun with another key and is not whole goes: a few answers, which nothing has been trained on.
bool are_there(const fs::path& output, const fs::path& partial, const Json& key) {
  const fs::path record = fs::path(output).replace_extension(".json");
  const bool whole = fs::exists(output);
  const Json before = fs::exists(record) ? parse_json_file(record) : Json();
  const std::string differs = before.is_object() ? changes(before, key) : std::string("nothing says what they were made of\n");
  if (whole && !differs.empty())
    fail_usage("distill: ", output.string(), " holds the answers of another teacher or to other questions:\n", differs,
               "choose another output_dir, or remove that file, and the teacher answers anew");
  if (whole) return true;
  if (fs::exists(partial) && !differs.empty()) {
    log_warning("distill: the teacher's answers begin anew, as those that were begun hang on something else:\n", differs);
    fs::remove(partial);
  }
  write_file_atomic(record, dump_json(key, 2) + "\n");
  return false;
}

// The rows that end as the teacher ended them. Usage error if none does.
std::string ended(const std::string& rows, const DistillConfig& config) {
  std::string kept;
  int64_t all = 0, cut_off = 0;
  for (size_t begin = 0, end; (end = rows.find('\n', begin)) != std::string::npos; begin = end + 1, ++all) {
    const std::string line = rows.substr(begin, end - begin);
    if (parse_json(line, "teacher_answers.jsonl.progress").value("truncated", false))
      ++cut_off;
    else
      kept += line + "\n";
  }
  if (cut_off == 0) return kept;
  const std::string words = str("distill: ", cut_off, " of the teacher's ", all, " answers were cut off at max_completion_length ",
                                config.sampling.max_completion_length);
  if (kept.empty()) fail_usage(words, ", so none is left to learn; raise it");
  log_warning(words, " and are left out: they have no end to be learned");
  return kept;
}

void from_files(const DistillConfig& config, const std::vector<std::string>& files, const fs::path& output, tensor::Device device) {
  const fs::path partial = output.string() + ".progress";
  if (are_there(output, partial, key_of(config, files))) return;
  const auto asked = questions(config, files);
  const size_t per = size_t(config.sampling.num_generations);
  std::string done = whole_lines(partial);
  size_t next = size_t(std::count(done.begin(), done.end(), '\n')) / per / kChunk * kChunk;
  // Whole chunks alone count.
  size_t end = 0;
  for (size_t line = 0; line < next * per; ++line) end = done.find('\n', end) + 1;
  done.resize(end);
  write_file_atomic(partial, done);
  const auto loaded = load(teacher_args(config), device, resolve_dtype(config.teacher_dtype, device));
  const data::PromptMaker prompts(*loaded.tokenizer, loaded.chat.get(), config.sft.prompt, loaded.stop_ids);
  engine::Engine engine(*loaded.model, config.engine);
  Progress bar("the teacher answers", int64_t(asked.size()), "prompt");
  for (; next < asked.size(); next = std::min(asked.size(), next + kChunk)) {
    const size_t count = std::min(kChunk, asked.size() - next);
    std::vector<engine::CompletionRequest> requests(count);
    for (size_t i = 0; i < count; ++i) {
      const data::Conversation& c = asked[next + i];
      requests[i].prompt = prompts.prompt(plain_text(c), c.messages);
      requests[i].n = int(per);
      requests[i].stop = config.sampling.stop;
      requests[i].sampling = config.sampling.params(config.sampling.max_completion_length);
      requests[i].sampling.seed = random_bits(uint64_t(config.sft.run.seed), kTeacherStream, next + i);
      requests[i].sampling.stop_ids = loaded.stop_ids;
    }
    engine::CompletionOptions options;
    options.on_step = [](int64_t, int64_t, const engine::EngineStats&) { return !interrupted(); };
    const auto completions = engine::complete(engine, *loaded.tokenizer, requests, options);
    throw_if_interrupted();
    std::string lines;
    for (size_t i = 0; i < count; ++i) {
      for (const engine::Completion& completion : completions[i]) {
        data::Messages messages = asked[next + i].messages;
        messages.push_back({"assistant", completion.text});
        Json row{{"messages", data::to_json(messages)}};
        if (completion.finish == engine::FinishReason::kLength) row["truncated"] = true;
        lines += dump_json(row) + "\n";
      }
    }
    append_file(partial, lines);
    bar.update(int64_t(next + count));
  }
  bar.finish();
  write_file_atomic(output, ended(read_file(partial), config));
  fs::remove(partial);
}

}  // namespace

std::filesystem::path teacher_answers(const DistillConfig& config, const std::vector<std::string>& files, tensor::Device device) {
  const fs::path output = fs::path(config.sft.run.output_dir) / "teacher_answers.jsonl";
  if (files.empty())
    from_task(config, output);
  else
    from_files(config, files, output, device);
  return output;
}

}  // namespace r1::stages
