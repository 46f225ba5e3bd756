#include "r1/stages/rejection.h"

#include <set>

#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/base/rng.h"
#include "r1/data/jsonl.h"
#include "r1/tasks/reward.h"

namespace r1::stages {

namespace {

constexpr uint64_t kRejectionStream = 0x72656a656374;  // "reject"

// What is wrong with a right answer; empty: keep it.
std::string fault_of(const Sample& sample, const RejectionConfig& config) {
  if (sample.score.verdict != tasks::Verdict::kRight) return tasks::verdict_name(sample.score.verdict);
  if (sample.finish == engine::FinishReason::kLength) return "truncated";
  if (int64_t(sample.completion.size()) < config.min_tokens) return "short";
  if (tasks::repetition(sample.text, 3) > config.max_repetition) return "repetition";
  if (!config.language.empty() && tasks::language_share(sample.text, config.language).value_or(1) < config.min_language_share)
    return "mixed_language";
  return "";
}

struct Counts {
  int64_t problems = 0, samples = 0, right = 0, kept = 0;
  std::map<std::string, int64_t> dropped;

  Json to_json() const {
    Json out{{"problems", problems}, {"samples", samples}, {"right", right}, {"kept", kept}, {"dropped", Json::object()}};
    for (const auto& [reason, n] : dropped) out["dropped"][reason] = n;
    return out;
  }
};

// One line a problem, also when nothing was kept: that is what makes a stopped run go on.
Json problem_line(const tasks::Problem& problem, std::span<const Sample> samples, const RejectionConfig& config, Counts& counts) {
  std::vector<const Sample*> good;
  std::set<std::string> seen;
  int64_t right = 0;
  for (const auto& sample : samples) {
    ++counts.samples;
    right += sample.score.verdict == tasks::Verdict::kRight;
    std::string fault = fault_of(sample, config);
    if (fault.empty() && !seen.insert(sample.text).second) fault = "duplicate";
    if (fault.empty() && int64_t(good.size()) == config.max_kept) fault = "enough";
    if (fault.empty())
      good.push_back(&sample);
    else
      ++counts.dropped[fault];
  }
  if (config.drop_solved && right == int64_t(samples.size())) {
    counts.dropped["solved"] += int64_t(good.size());
    good.clear();
  }
  ++counts.problems;
  counts.right += right;
  counts.kept += int64_t(good.size());
  Json line{{"id", problem.id}, {"pass_rate", double(right) / double(samples.size())}, {"completions", Json::array()}};
  for (const auto* sample : good) line["completions"].push_back(sample->text);
  return line;
}

data::Messages with_answer(const tasks::Problem& problem, const std::string& completion) {
  data::Messages messages = problem.messages;
  messages.push_back({"assistant", completion});
  return messages;
}

// The finished problems of an earlier, stopped run; a half-written last line is cut off.
std::vector<Json> read_done(const fs::path& progress_file) {
  std::vector<Json> out;
  if (!fs::exists(progress_file)) return out;
  std::string text = read_file(progress_file);
  text.resize(text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1);
  write_file_atomic(progress_file, text);
  data::JsonlReader reader(progress_file);
  while (auto row = reader.next()) out.push_back(std::move(*row));
  return out;
}

}  // namespace

Json rejection(const RejectionConfig& config) {
  const auto device = tensor::parse_device(config.device);
  const auto task = load_task(config.task);
  const int64_t size = task->size(config.split), problems = config.limit > 0 ? std::min(config.limit, size) : size;
  const fs::path output = config.output_file, progress_file = output.string() + ".progress";
  if (output.has_parent_path()) make_folder(output.parent_path());

  Counts counts;
  const std::string header = dump_json(Json{{"config", config_to_json(config)}}) + "\n";
  std::vector<Json> done = read_done(progress_file);
  if (!done.empty() && dump_json(done.front()) + "\n" != header)
    fail_usage(progress_file.string(), " is of a run with another config: remove it, or choose another output_file");
  if (done.empty())
    write_file_atomic(progress_file, header);
  else
    done.erase(done.begin());

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
      done.push_back(problem_line(rollout.problems[g], std::span(rollout.samples).subspan(g * per, per), config, counts));
      lines += dump_json(done.back()) + "\n";
    }
    append_file(progress_file, lines);
    bar.update(int64_t(done.size()), str("kept ", counts.kept));
  }
  bar.finish();

  std::string out;
  int64_t kept = 0;
  for (int64_t i = 0; i < problems; ++i) {
    const auto problem = task->problem(config.split, i);
    for (const auto& completion : done[size_t(i)].at("completions")) {
      out += dump_json(Json{{"messages", data::to_json(with_answer(problem, completion))},
                            {"id", problem.id},
                            {"pass_rate", done[size_t(i)].at("pass_rate")}}) +
             "\n";
      ++kept;
    }
  }
  write_file_atomic(output, out);
  fs::remove(progress_file);
  Json result = counts.to_json();
  result["kept"] = kept;
  result["file"] = output.string();
  log_info("rejection: ", kept, " right answers to ", problems, " problems in ", output.string());
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
  v("max_kept", max_kept, "right answers kept a problem", Range{1, 1e6});
  v("min_tokens", min_tokens, "shorter completions are dropped", Range{0, 1e9});
  v("max_repetition", max_repetition, "share of repeated word 3-grams above which a completion is dropped", Range{0, 1});
  v("language", language, "en or zh: drop completions that mix languages; empty: keep all");
  v("min_language_share", min_language_share, "share of words in `language` below which a completion is dropped", Range{0, 1});
  v("drop_solved", drop_solved, "leave out problems that every sample solves: they teach nothing");
  v("chunk", chunk, "problems sampled together, between two writes", Range{1, 1e6});
}

}  // namespace r1::stages
