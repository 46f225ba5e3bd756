#include "r1/stages/rollout.h"

#include <chrono>
#include <numeric>

#include "r1/base/rng.h"

namespace r1::stages {

namespace {
constexpr uint64_t kOrderStream = 0x6f72646572, kSampleStream = 0x73616d706c65;  // "order", "sample"
}

std::vector<int64_t> problem_order(int64_t split_size, int64_t count, int64_t rollout, uint64_t seed) {
  check(split_size > 0, "[rollout] the train split is empty");
  std::vector<int64_t> out, order;
  int64_t shuffled_pass = -1;
  for (int64_t i = rollout * count; i < (rollout + 1) * count; ++i) {
    const int64_t pass = i / split_size;
    if (pass != shuffled_pass) {
      order.resize(size_t(split_size));
      std::iota(order.begin(), order.end(), 0);
      Rng(seed, kOrderStream).split(uint64_t(pass)).shuffle(order);
      shuffled_pass = pass;
    }
    out.push_back(order[size_t(i % split_size)]);
  }
  return out;
}

Rollout sample_rollout(engine::Engine& engine, const text::Tokenizer& tokenizer, const data::PromptMaker& prompts, const tasks::Task& task,
                       tasks::ScoringPool& pool, const std::string& split, const std::vector<int64_t>& problems, const SamplingArgs& args,
                       uint64_t seed, const RolloutProgress& progress) {
  const auto start = std::chrono::steady_clock::now();
  Rollout out;
  std::vector<engine::CompletionRequest> requests;
  for (size_t g = 0; g < problems.size(); ++g) {
    out.problems.push_back(task.problem(split, problems[g]));
    engine::CompletionRequest request;
    request.prompt = prompts.prompt(out.problems.back().prompt, out.problems.back().messages);
    request.n = int(args.num_generations);
    request.stop = args.stop;
    request.sampling = args.params(args.max_completion_length);
    request.sampling.seed = random_bits(seed, kSampleStream, g);
    request.sampling.stop_ids = prompts.stop_ids();
    request.sampling.logprobs = true;
    requests.push_back(std::move(request));
  }
  bool stopped = false;
  engine::CompletionOptions options;
  options.on_step = [&](int64_t finished, int64_t total, const engine::EngineStats&) {
    stopped = progress.on_step && !progress.on_step(finished, total);
    return !stopped;
  };
  const auto batch = pool.begin(out.problems, size_t(args.num_generations));
  options.on_finished = [&](size_t group, int index, const engine::Completion& c) {
    batch->add(group, size_t(index), c.text, int64_t(c.ids.size()), c.finish == engine::FinishReason::kLength);
  };
  const engine::EngineStats before = engine.stats();
  const auto completions = engine::complete(engine, tokenizer, requests, options);
  out.draft_acceptance = engine.stats().draft_acceptance(before);
  if (stopped) return out;
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (size_t g = 0; g < problems.size(); ++g) {
    for (const auto& c : completions[g]) {
      Sample sample;
      sample.group = int64_t(g);
      sample.prompt = requests[g].prompt;
      sample.completion = c.ids;
      sample.logprobs = c.logprobs;
      sample.text = c.text;
      sample.finish = c.finish;
      out.samples.push_back(std::move(sample));
    }
  }
  auto scored = batch->finish();
  for (size_t i = 0; i < scored.size(); ++i) {
    Sample& sample = out.samples[i];
    sample.score = std::move(scored[i].score);
    sample.scored = scored[i].known;
    sample.rewards = std::move(scored[i].rewards);
    sample.measures = scored[i].measures;
  }
  out.scoring = batch->times();
  out.reward_failures = batch->failures();
  return out;
}

void SamplingArgs::visit(Fields& v) {
  v("num_generations", num_generations, "completions a prompt (the group)", Range{1, 16384});
  v("max_completion_length", max_completion_length, "tokens a completion", Range{1, 1e7});
  engine::SamplingOptions::visit(v);
}

}  // namespace r1::stages
