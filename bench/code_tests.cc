// How good are the unit tests that a model writes? HumanEval's canonical solutions, each as a module to test (eval/test_writer.h); a problem's
// own check(candidate) says which changes of a solution are real ones. One JSON object a problem, and one of all:
//   {"bench": "code_tests", "problem", "tests", "candidates", "failing", "not_asserting", "tests_failing_on_a_mutant", "mutants", "mutants_noticed"}
//   {"bench": "code_tests", "problems", "with_three", "share_with_three", "tests", "tests_per_problem", "tests_failing_on_a_mutant",
//    "share_failing_on_a_mutant", "mutants", "mutants_noticed", "share_noticed", "first_round_seconds", "write_seconds",
//    "mutant_seconds", "tokens"}
// A mutant is a solution with one small change that HumanEval's own tests do not let pass; a test fails on a mutant if it does on one or more.
//   bench_code_tests --model MODEL [--limit N] [--samples 8] [--rounds 2] [--mutants 6] [--tokens 160] [--seqs 64] [--data FILE]
#include <atomic>
#include <chrono>
#include <future>

#include "bench/bench.h"
#include "r1/base/threads.h"
#include "r1/eval/load.h"
#include "r1/eval/test_writer.h"
#include "r1/tasks/humaneval.h"
#include "r1/verify/judge/suite_json.h"

namespace {

using namespace r1;
using Clock = std::chrono::steady_clock;
using Mutants = std::vector<std::pair<std::string, std::string>>;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void in_parallel(size_t count, const std::function<void(size_t)>& work) {
  std::atomic<size_t> next = 0;
  std::vector<std::future<void>> threads;
  for (int t = 0; t < usable_cpus(); ++t)
    threads.push_back(std::async(std::launch::async, [&] {
      for (size_t i; (i = next++) < count;) work(i);
    }));
  for (std::future<void>& t : threads) t.get();
}

// Changes that the problem's own tests notice, at most `count`.
Mutants real_mutants(const tasks::UnitTests& tests, const verify::judge::Judge& judge, const tasks::Problem& problem,
                     const eval::TestedCode& c, int64_t count) {
  const auto suite = verify::judge::suite_from_json(problem.extra["suite"], problem.id);
  verify::judge::CheckOptions options;
  options.test_seconds = 2;
  Mutants out;
  for (auto& mutant : tests.mutants(c.code, c.options, count * 2)) {
    if (int64_t(out.size()) == count) break;
    if (!judge.check({"python", mutant.second}, suite, options).passed()) out.push_back(std::move(mutant));
  }
  return out;
}

struct Result {
  int64_t tests = 0, failing_on_one = 0, mutants = 0, noticed = 0;
};

Result judge_problem(const tasks::UnitTests& tests, const verify::judge::Judge& judge, const tasks::Problem& problem,
                     const eval::TestedCode& c, int64_t count) {
  const Mutants mutants = real_mutants(tests, judge, problem, c, count);
  tasks::UnitTestOptions options = c.options;
  options.test_seconds = 1;
  options.deadline = 12;
  Result r{.tests = int64_t(c.selection.tests.size()), .mutants = int64_t(mutants.size())};
  std::vector<bool> failed(c.selection.tests.size(), false);
  for (const tasks::MutantRun& run : tests.run_mutants(mutants, c.selection.tests, options)) {
    r.noticed += run.killed();
    for (size_t i = 0; i < failed.size(); ++i)
      if (run.failed_by[i]) failed[i] = true;
  }
  r.failing_on_one = std::count(failed.begin(), failed.end(), true);
  return r;
}

double share(int64_t part, int64_t whole) {
  return whole ? double(part) / double(whole) : 0;
}

void run(const bench::Arguments& a) {
  Json task_options = {{"limit", a.number("limit")}};
  if (!a.text("data").empty()) task_options["test"] = a.text("data");
  const auto task = tasks::make_humaneval(task_options);
  const verify::judge::Judge judge({.warm = std::min(usable_cpus(), 8)});
  const tasks::UnitTests tests(judge);
  const eval::LoadedModel loaded =
      eval::load({.model_name_or_path = a.text("model"), .tokenizer_name_or_path = {}}, tensor::parse_device(a.text("device")));
  engine::EngineConfig engine_config{.max_num_seqs = a.number("seqs")};
  engine_config.exact = false;
  engine::Engine engine(*loaded.model, engine_config);

  std::vector<tasks::Problem> problems;
  std::vector<eval::TestedCode> codes;
  for (int64_t i = 0; i < task->size("test"); ++i) {
    problems.push_back(task->problem("test", i));
    const Json& extra = problems.back().extra;
    eval::TestedCode c;
    c.code = json_get<std::string>(extra, "prompt_code", "humaneval") + problems.back().solution;
    c.options.functions = {json_get<std::string>(extra["suite"], "entry_point", "humaneval")};
    codes.push_back(std::move(c));
  }
  eval::TestWriterArgs args;
  args.num_samples = a.number("samples");
  args.rounds = a.number("rounds");
  args.max_new_tokens = a.number("tokens");
  auto begin = Clock::now();
  double generate_seconds = 0;
  bool generating = true;
  eval::write_tests(codes, engine, *loaded.tokenizer, loaded.chat.get(), loaded.stop_ids, tests, args, [&](int64_t done, int64_t total) {
    if (done == total && generating) generate_seconds = seconds_since(begin), generating = false;
    return true;
  });
  const double write_seconds = seconds_since(begin);

  begin = Clock::now();
  std::vector<Result> results(codes.size());
  in_parallel(codes.size(), [&](size_t i) { results[i] = judge_problem(tests, judge, problems[i], codes[i], a.number("mutants")); });
  Result sum;
  int64_t with_three = 0;
  for (size_t i = 0; i < codes.size(); ++i) {
    const Result& r = results[i];
    sum = {sum.tests + r.tests, sum.failing_on_one + r.failing_on_one, sum.mutants + r.mutants, sum.noticed + r.noticed};
    with_three += r.tests >= 3;
    bench::print({{"bench", "code_tests"},
                  {"problem", problems[i].id},
                  {"tests", r.tests},
                  {"candidates", codes[i].selection.candidates},
                  {"failing", codes[i].selection.failing},
                  {"not_asserting", codes[i].selection.not_asserting},
                  {"tests_failing_on_a_mutant", r.failing_on_one},
                  {"mutants", r.mutants},
                  {"mutants_noticed", r.noticed}});
  }
  const int64_t n = int64_t(codes.size());
  bench::print({{"bench", "code_tests"},
                {"problems", n},
                {"with_three", with_three},
                {"share_with_three", share(with_three, n)},
                {"tests", sum.tests},
                {"tests_per_problem", share(sum.tests, n)},
                {"tests_failing_on_a_mutant", sum.failing_on_one},
                {"share_failing_on_a_mutant", share(sum.failing_on_one, sum.tests)},
                {"mutants", sum.mutants},
                {"mutants_noticed", sum.noticed},
                {"share_noticed", share(sum.noticed, sum.mutants)},
                {"first_round_seconds", generate_seconds},
                {"write_seconds", write_seconds},
                {"mutant_seconds", seconds_since(begin)},
                {"tokens", engine.stats().generated_tokens}});
}

}  // namespace

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] {
    run({argc,
         argv,
         {{"model", ""},
          {"limit", "0"},
          {"samples", "8"},
          {"rounds", "2"},
          {"mutants", "6"},
          {"tokens", "160"},
          {"seqs", "64"},
          {"data", ""},
          {"device", "cpu"}}});
  });
}
