#include "r1/eval/harness.h"

#include <chrono>

#include "r1/base/file.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/base/rng.h"
#include "r1/eval/statistics.h"
#include "r1/tasks/reward.h"
#include "r1/tasks/scoring.h"
#include "r1/tasks/tagged.h"

namespace r1::eval {

namespace {

constexpr uint64_t kEvalStream = 0x6576616c;  // "eval"

engine::CompletionRequest make_request(const std::vector<text::TokenId>& prompt, const std::vector<text::TokenId>& forced,
                                       const data::PromptMaker& prompts, const EvalArgs& args, int64_t problem) {
  engine::CompletionRequest request;
  request.prompt = prompt;
  request.n = int(args.num_samples);
  request.stop = args.stop;
  request.forced = forced;
  request.sampling = args.params(args.max_completion_length);
  request.sampling.seed = random_bits(uint64_t(args.seed), kEvalStream, uint64_t(problem));
  request.sampling.stop_ids = prompts.stop_ids();
  return request;
}

void aggregate(EvalResult& result, int64_t problems, const EvalArgs& args) {
  std::vector<double> mean(problems, 0);
  std::vector<int64_t> right(problems, 0), count(problems, 0);
  std::vector<std::vector<const EvalSample*>> of(problems);
  double tokens = 0, clipped = 0, tagged = 0;
  for (const auto& sample : result.samples) {
    mean[sample.problem] += sample.accuracy;
    right[sample.problem] += sample.verdict == tasks::Verdict::kRight;
    ++count[sample.problem];
    of[sample.problem].push_back(&sample);
    tokens += double(sample.tokens);
    clipped += sample.finish == engine::FinishReason::kLength;
    tagged += tasks::parse_tagged(sample.completion, /*allow_empty_thought=*/true).has_value();
    ++result.verdicts[tasks::verdict_name(sample.verdict)];
  }
  std::vector<double> done;
  for (int64_t p = 0; p < problems; ++p)
    if (count[p]) done.push_back(mean[p] / double(count[p]));
  result.n = int64_t(done.size());
  for (double x : done) result.accuracy += x;
  if (!done.empty()) result.accuracy /= double(done.size());  // once, at the end: 500 of 500 is 1, not 1.0000000000000007
  result.ci95 = clustered_interval(done, result.samples.size());
  const double samples = std::max<double>(1, double(result.samples.size()));
  result.mean_length = tokens / samples;
  result.clipped_ratio = clipped / samples;
  result.format = tagged / samples;
  result.tokens_per_second = result.seconds > 0 ? tokens / result.seconds : 0;
  for (int64_t k : args.pass_at.empty() ? std::vector<int64_t>{1} : args.pass_at) {
    double pass = 0, cons = 0;
    int64_t n = 0;
    for (int64_t p = 0; p < problems; ++p) {
      if (count[p] < k) continue;
      ++n;
      pass += pass_at_k(count[p], right[p], k);
      std::vector<std::string> answers;
      for (int64_t i = 0; i < k; ++i) answers.push_back(of[p][i]->extracted);
      const std::string winner = majority(answers);
      for (const auto* sample : of[p]) {
        if (sample->extracted != winner || winner.empty()) continue;
        cons += sample->verdict == tasks::Verdict::kRight;
        break;
      }
    }
    if (n) result.pass_at[k] = pass / double(n), result.cons_at[k] = cons / double(n);
  }
}

// What makes the numbers doubtful, with the way out.
void warn(const EvalResult& result, const EvalArgs& args) {
  const double samples = std::max<double>(1, double(result.samples.size()));
  const auto percent = [](double share) { return int(100 * share + 0.5); };
  const auto found = result.verdicts.find("unparsed");
  const double unparsed = found == result.verdicts.end() ? 0 : double(found->second) / samples;
  if (unparsed > 0.05) log_warning("eval ", result.task, ": no answer could be found in ", percent(unparsed), " % of the completions");
  if (result.clipped_ratio > 0.05)
    log_warning("eval ", result.task, ": ", percent(result.clipped_ratio), " % of the completions were cut off at ",
                args.max_completion_length, " tokens, and mostly count as wrong; give them more (--max_completion_length ",
                2 * args.max_completion_length, ")");
}

}  // namespace

Json EvalResult::to_json() const {
  Json out;
  out["task"] = task;
  out["n"] = n;
  out["samples"] = samples.size();
  out["accuracy"] = accuracy;
  out["ci95"] = {ci95.first, ci95.second};
  for (const auto& [k, value] : pass_at) out[str("pass@", k)] = value;
  for (const auto& [k, value] : cons_at) out[str("cons@", k)] = value;
  out["mean_length"] = mean_length;
  out["clipped_ratio"] = clipped_ratio;
  out["format"] = format;
  for (const auto& [name, number] : verdicts) out["verdicts"][name] = number;
  out["seconds"] = seconds;
  out["tokens_per_second"] = tokens_per_second;
  if (draft_acceptance) out["draft_acceptance"] = *draft_acceptance;
  return out;
}

EvalResult evaluate(engine::Engine& engine, const text::Tokenizer& tokenizer, const tasks::Task& task, const data::PromptMaker& prompts,
                    const EvalArgs& args, const std::function<bool(int64_t, int64_t)>& progress) {
  for (int64_t k : args.pass_at)
    if (k < 1 || k > args.num_samples)
      fail_usage("pass_at has ", k, ", but num_samples is ", args.num_samples, "; k must lie between 1 and num_samples");
  EvalResult result;
  result.task = task.name();
  std::vector<std::unique_ptr<tasks::Reward>> rewards;
  std::vector<const tasks::Reward*> asked_rewards;
  for (const std::string& name : result.rewards = args.reward_funcs) {
    rewards.push_back(tasks::make_reward(name));
    asked_rewards.push_back(rewards.back().get());
  }
  const int64_t size = tasks::required_size(task, args.split, "eval"), problems = args.limit > 0 ? std::min(args.limit, size) : size;
  if (problems == 0) fail_usage("task '", task.name(), "' has no problems in split '", args.split, "'");

  const auto forced = args.forced.empty() ? std::vector<text::TokenId>{} : tokenizer.encode(args.forced, {.parse_special = true});
  std::vector<tasks::Problem> asked;
  std::vector<engine::CompletionRequest> requests;
  for (int64_t p = 0; p < problems; ++p) {
    const tasks::Problem& problem = asked.emplace_back(task.problem(args.split, p));
    requests.push_back(make_request(prompts.prompt(problem.prompt, problem.messages), forced, prompts, args, p));
    result.problems.push_back({problem.id, problem.question, problem.gold, tokenizer.decode(requests.back().prompt)});
  }

  const auto start = std::chrono::steady_clock::now();
  const engine::EngineStats before = engine.stats();
  engine::CompletionOptions options;
  if (progress) options.on_step = [&](int64_t finished, int64_t total, const engine::EngineStats&) { return progress(finished, total); };
  // Scored in threads beside the generation. No deadline here: a missing score would be a wrong result.
  tasks::ScoringPool pool(task, asked_rewards, {});
  const auto batch = pool.begin(asked, size_t(args.num_samples));
  options.on_finished = [&](size_t p, int j, const engine::Completion& c) {
    batch->add(p, size_t(j), c.text, int64_t(c.ids.size()), c.finish == engine::FinishReason::kLength);
  };
  const auto completions = engine::complete(engine, tokenizer, requests, options);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  result.draft_acceptance = engine.stats().draft_acceptance(before);
  const auto scored = batch->finish();
  for (int64_t p = 0; p < problems; ++p) {
    for (size_t j = 0; j < completions[p].size(); ++j) {
      const auto& completion = completions[p][j];
      if (completion.finish == engine::FinishReason::kNone || completion.finish == engine::FinishReason::kCancelled) continue;
      const auto& [score, known, values, measures] = scored[size_t(p * args.num_samples) + j];
      result.samples.push_back({p, int(j), asked[p].id, completion.text, score.extracted, score.rule, score.reason, score.verdict,
                                score.accuracy, int64_t(completion.ids.size()), completion.finish, values});
    }
  }
  aggregate(result, problems, args);
  warn(result, args);
  return result;
}

void save_result(const EvalResult& result, const std::filesystem::path& folder, const Json& facts) {
  make_folder(folder);
  AtomicFile lines(folder / "samples.jsonl");
  for (const auto& s : result.samples) {
    const EvalProblem& problem = result.problems[size_t(s.problem)];
    Json row;
    row["id"] = s.id;
    row["sample"] = s.index;
    row["question"] = problem.question;
    row["prompt"] = problem.prompt;
    row["gold"] = problem.gold;
    row["completion"] = s.completion;
    row["extracted"] = s.extracted;
    row["rule"] = s.rule;
    row["verdict"] = tasks::verdict_name(s.verdict);
    row["reason"] = s.reason;
    row["accuracy"] = s.accuracy;
    row["rewards"] = Json::object();
    for (size_t i = 0; i < s.rewards.size(); ++i) row["rewards"][result.rewards[i]] = s.rewards[i] ? Json(*s.rewards[i]) : Json();
    row["tokens"] = s.tokens;
    row["finish_reason"] = engine::finish_reason_name(s.finish);
    lines.write(dump_json(row) + "\n");
  }
  lines.commit();
  Json summary = result.to_json();
  summary.update(facts);
  write_file_atomic(folder / "result.json", dump_json(summary, 2) + "\n");
}

std::string result_text(const Json& r) {
  const auto number = [](const Json& value) { return three_digits(value.get<double>()); };
  const Json& ci = r.at("ci95");
  const int64_t n = r.at("n"), samples = r.value("samples", n);
  std::string text = str(r.at("task").get<std::string>(), ": ", n, n == 1 ? " problem" : " problems",
                         samples != n ? str(", ", samples, " samples") : "", "\n");
  const auto line = [&](std::string name, const std::string& value) {
    name.resize(std::max<size_t>(name.size() + 1, 14), ' ');
    text += "  " + name + value + "\n";
  };
  line("accuracy", number(r.at("accuracy")) + "  (95 % interval " + number(ci[0]) + " to " + number(ci[1]) + ")");
  for (const auto& [key, value] : r.items())
    if ((key.starts_with("pass@") || key.starts_with("cons@")) && samples != n) line(key, number(value));
  for (const auto& [name, share] : std::initializer_list<std::pair<const char*, const char*>>{
           {"format", "format"}, {"cut off", "clipped_ratio"}, {"acceptance", "draft_acceptance"}})
    if (r.contains(share)) line(name, number(r.at(share)));
  line("length", number(r.at("mean_length")) + " tokens");
  std::string verdicts;
  if (r.contains("verdicts"))
    for (const auto& [name, count] : r.at("verdicts").items())
      verdicts += str(verdicts.empty() ? "" : ", ", count.get<int64_t>(), " ", name);
  line("verdicts", verdicts);
  line("time", human_time(r.at("seconds").get<double>()) + ", " + number(r.at("tokens_per_second")) + " tokens a second");
  return text;
}

void EvalArgs::visit(Fields& v) {
  v("split", split, "which problems", OneOf{"test", "train"});
  v("limit", limit, "first N problems; 0: all", Range{0, 1e9});
  v("num_samples", num_samples, "completions a problem", Range{1, 16384});
  v("max_completion_length", max_completion_length, "tokens a completion", Range{1, 1e7});
  v.alias("max_new_tokens", "max_completion_length");
  v("pass_at", pass_at, "k of pass@k and cons@k to report (k <= num_samples); none: 1");
  engine::SamplingOptions::visit(v);
  v("eval_seed", seed, "seed of the sampling", Range{0, 1e18});
  v("reward_funcs", reward_funcs, "rewards kept with every sample, as r1 grpo knows them; they change no result");
  v("forced", forced, "text put at the beginning of every completion, e.g. an empty thought");
}

}  // namespace r1::eval
