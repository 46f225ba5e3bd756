#include "r1/stages/rejection.h"

#include <set>

#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/base/rng.h"
#include "r1/data/jsonl.h"
#include "r1/eval/provenance.h"
#include "r1/stages/results.h"
#include "r1/tasks/reward.h"

namespace r1::stages {

namespace {

constexpr uint64_t kRejectionStream = 0x72656a656374;  // "reject"
constexpr int64_t kProgressFormat = 3;                 // of the file beside the output: 3 has each problem's samples

// What is wrong with an answer; empty: keep it.
std::string fault_of(const Sample& sample, const RejectionConfig& config) {
  if (config.keep == "right" && sample.score.verdict != tasks::Verdict::kRight) return tasks::verdict_name(sample.score.verdict);
  if (sample.finish == engine::FinishReason::kLength) return "truncated";
  if (int64_t(sample.completion.size()) < config.min_tokens) return "short";
  if (tasks::repetition(sample.text, 3) > config.max_repetition) return "repetition";
  if (!config.language.empty() && tasks::language_share(sample.text, config.language).value_or(1) < config.min_language_share)
    return "mixed_language";
  return "";
}

struct Counts {
  int64_t samples = 0, right = 0, kept = 0;
  std::map<std::string, int64_t> dropped;

  void add(const Counts& other) {
    samples += other.samples, right += other.right, kept += other.kept;
    for (const auto& [reason, n] : other.dropped) dropped[reason] += n;
  }
  Json to_json() const { return {{"samples", samples}, {"right", right}, {"kept", kept}, {"dropped", dropped}}; }
  static Counts from_json(const Json& json, const std::string& where) {
    return {json_get<int64_t>(json, "samples", where), json_get<int64_t>(json, "right", where), json_get<int64_t>(json, "kept", where),
            json_get<std::map<std::string, int64_t>>(json, "dropped", where)};
  }
};

// One line a problem, also when nothing was kept, with its counts: that is what makes a stopped run go on, and its summary whole.
Json problem_line(const tasks::Problem& problem, std::span<const Sample> samples, const RejectionConfig& config) {
  std::vector<const Sample*> good;
  std::set<std::string> seen;
  Json all = Json::array();
  Counts counts;
  counts.samples = int64_t(samples.size());
  for (const auto& sample : samples) {
    counts.right += sample.score.verdict == tasks::Verdict::kRight;
    std::string fault = fault_of(sample, config);
    if (fault.empty() && !seen.insert(sample.text).second) fault = "duplicate";
    if (fault.empty() && int64_t(good.size()) == config.max_kept) fault = "enough";
    if (fault.empty())
      good.push_back(&sample);
    else
      ++counts.dropped[fault];
    all.push_back({{"completion", sample.text},
                   {"verdict", tasks::verdict_name(sample.score.verdict)},
                   {"extracted", sample.score.extracted},
                   {"tokens", sample.completion.size()},
                   {"fate", fault.empty() ? "kept" : fault}});
  }
  if (config.drop_solved && counts.right == counts.samples) {
    if (!good.empty()) counts.dropped["solved"] += int64_t(good.size());
    good.clear();
    for (Json& sample : all)
      if (sample["fate"] == "kept") sample["fate"] = "solved";
  }
  counts.kept = int64_t(good.size());
  Json line{{"id", problem.id}, {"pass_rate", double(counts.right) / double(counts.samples)}, {"completions", Json::array()}};
  for (const auto* sample : good) line["completions"].push_back(sample->text);
  line["counts"] = counts.to_json();
  if (config.save_samples) line["samples"] = std::move(all);
  return line;
}

// A row that trains what was sampled: the question as it was asked, with its answer.
Json answered(const tasks::Problem& problem, const std::string& completion, bool chat, const data::PromptArgs& prompt) {
  if (!chat) return {{"prompt", problem.prompt + prompt.prompt_suffix}, {"completion", completion}};
  data::Messages messages = data::with_system_prompt(problem.messages, prompt.system_prompt);
  messages.push_back({"assistant", prompt.prompt_suffix + completion});
  return {{"messages", data::to_json(messages)}};
}

// The header and the finished problems of an earlier, stopped run, without a half-written last line.
std::vector<Json> read_done(const fs::path& progress_file) {
  std::vector<Json> out;
  if (!fs::exists(progress_file)) return out;
  const std::string text = read_file(progress_file);
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
    out.push_back(parse_json(text.substr(begin, end - begin), str(progress_file.string(), ":", out.size() + 1)));
  return out;
}

// X.jsonl -> X.samples.jsonl
fs::path beside(const fs::path& output, const char* extension) {
  return output.parent_path() / (output.extension() == ".jsonl" ? output.stem() : output.filename()).concat(extension);
}

// What this command makes, the record last.
ResultPlace place_of(const RejectionConfig& config) {
  const fs::path output = config.output_file;
  return {.what = "rejection",
          .record = beside(output, ".result.json"),
          .files = {output, beside(output, ".samples.jsonl")},
          .option = "output_file",
          .overwrite = config.overwrite,
          .inputs = {{"model", identity(config.model.model_name_or_path)}}};
}

}  // namespace

void check(const RejectionConfig& config, const Preflight& preflight) {
  check_device(config.device, preflight);
  const auto task = check_task(config.task, preflight);
  if (task) tasks::required_size(*task, config.split, "rejection");
  check_model(config.model, preflight);
}

Json rejection(const RejectionConfig& config) {
  const ResultPlace place = place_of(config);
  if (const auto results = earlier_results(place, config_to_json(config))) return *results;
  check(config, {.quick = true});
  const auto device = tensor::parse_device(config.device);
  const auto task = load_task(config.task);
  const int64_t size = tasks::required_size(*task, config.split, "rejection"),
                problems = config.limit > 0 ? std::min(config.limit, size) : size;
  const fs::path output = config.output_file, progress_file = output.string() + ".progress";
  if (output.has_parent_path()) make_folder(output.parent_path());

  const std::string header = dump_json(Json{{"config", config_to_json(config)}, {"format", kProgressFormat}}) + "\n";
  if (config.overwrite) fs::remove(progress_file);
  std::vector<Json> done = read_done(progress_file);
  if (!done.empty()) {
    const std::string differs = done.front().value("format", Json()) != kProgressFormat
                                    ? "it is of another version\n"
                                    : changes(done.front().value("config", Json::object()), config_to_json(config));
    if (!differs.empty())
      fail_usage(progress_file.string(), " is of a stopped run with another config:\n", differs,
                 "take the old values, choose another output_file, or --overwrite");
    log_info("rejection: goes on after ", done.size() - 1, " problems of ", problems);
  }
  if (!done.empty()) done.erase(done.begin());
  // Whole chunks alone count: a chunk's samples are named by its first problem, so one that a kill cut in two is sampled again.
  if (int64_t(done.size()) < problems) done.resize(done.size() / size_t(config.chunk) * size_t(config.chunk));
  std::string kept = header;
  for (const Json& line : done) kept += dump_json(line) + "\n";
  write_file_atomic(progress_file, kept);
  Counts counts;
  for (const Json& line : done)
    counts.add(Counts::from_json(json_get<Json>(line, "counts", progress_file.string()), progress_file.string()));

  const auto loaded = load(config.model, device, resolve_dtype(config.model.dtype, device));
  const data::PromptMaker prompts(*loaded.tokenizer, loaded.chat.get(), config.prompt, loaded.stop_ids);
  engine::Engine engine(*loaded.model, config.engine);
  tasks::ScoringPool pool(*task, {}, {});
  Progress bar("rejection", problems, "problem");
  for (int64_t begin = int64_t(done.size()); begin < problems; begin += config.chunk) {
    std::vector<int64_t> indices;
    for (int64_t i = begin; i < std::min(problems, begin + config.chunk); ++i) indices.push_back(i);
    const uint64_t seed = random_bits(uint64_t(config.seed), kRejectionStream, uint64_t(begin));
    auto rollout = sample_rollout(engine, *loaded.tokenizer, prompts, *task, pool, config.split, indices, config.sampling, seed,
                                  {[&](int64_t, int64_t) { return !interrupted(); }});
    if (rollout.samples.empty())
      throw Error(str("rejection: stopped at problem ", begin, "; the same command goes on from there"), ErrorKind::kInterrupted);
    const size_t per = size_t(config.sampling.num_generations);
    std::string lines;
    for (size_t g = 0; g < rollout.problems.size(); ++g) {
      done.push_back(problem_line(rollout.problems[g], std::span(rollout.samples).subspan(g * per, per), config));
      counts.add(Counts::from_json(done.back().at("counts"), progress_file.string()));
      lines += dump_json(done.back()) + "\n";
    }
    append_file(progress_file, lines);
    bar.update(int64_t(done.size()), str("kept ", counts.kept));
  }
  bar.finish();

  std::string out, samples;
  for (int64_t i = 0; i < problems; ++i) {
    const auto problem = task->problem(config.split, i);
    const Json& line = done[size_t(i)];
    for (const auto& completion : line.at("completions")) {
      Json row = answered(problem, completion, prompts.uses_chat(), config.prompt);
      row["id"] = problem.id;
      row["pass_rate"] = line.at("pass_rate");
      out += dump_json(row) + "\n";
    }
    for (const auto& sample : line.value("samples", Json::array())) {
      Json row{{"id", problem.id}, {"question", problem.question}, {"gold", problem.gold}};
      row.update(sample);
      samples += dump_json(row) + "\n";
    }
  }
  write_file_atomic(output, out);
  if (config.save_samples) write_file_atomic(place.files[1], samples);
  Json result = counts.to_json();
  result["problems"] = problems;
  result["file"] = output.string();
  write_record(place, config_to_json(config), result);
  fs::remove(progress_file);
  log_info("rejection: ", counts.kept, config.keep == "right" ? " right answers to " : " answers to ", problems, " problems are in ",
           output.string(), config.save_samples ? str("; every sample is in ", place.files[1].string()) : "");
  if (!config.in_recipe && counts.kept > 0)
    log_info("next:   r1 sft --model ", eval::shell_word(config.model.model_name_or_path), " --train_files ",
             eval::shell_word(output.string()), " --output_dir ...");
  return result;
}

void RejectionConfig::visit(Fields& v) {
  v("output_file", output_file, "chat JSONL that r1 sft takes", Required{});
  v("device", device, "cpu, cuda, cuda:N; auto: the GPU if there is one");
  v.group("", model);
  v.group("", task);
  v.group("", prompt);
  v.group("", sampling);
  v.group("engine", engine);
  v("seed", seed, "seed of the sampling", Range{0, 1e18});
  v("split", split, "which problems", OneOf{"train", "test"});
  v("limit", limit, "first N problems; 0: all", Range{0, 1e12});
  v("keep", keep, "right: only answers that the task finds right; all: whatever passes the other filters", OneOf{"right", "all"});
  v("max_kept", max_kept, "answers kept a problem", Range{1, 1e6});
  v("min_tokens", min_tokens, "shorter completions are dropped", Range{0, 1e9});
  v("max_repetition", max_repetition, "share of repeated word 3-grams above which a completion is dropped", Range{0, 1});
  v("language", language, "en or zh: drop completions that mix languages; empty: keep all");
  v("min_language_share", min_language_share, "share of words in `language` below which a completion is dropped", Range{0, 1});
  v("drop_solved", drop_solved, "leave out problems that every sample solves: they teach nothing");
  v("save_samples", save_samples, "keep every sample with its verdict, in <output_file>.samples.jsonl");
  v("overwrite", overwrite, "make the result anew where one stands already");
  v("chunk", chunk, "problems sampled together, between two writes", Range{1, 1e6});
}

}  // namespace r1::stages
