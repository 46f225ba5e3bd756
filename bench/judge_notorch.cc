// What does a check of a program cost? One JSON object a line:
//   {"bench": "judge", "kind", "pool": "cold"|"warm", "median_ms", "p90_ms", "checks"}     one caller, a trivial Python program
//   {"bench": "judge", "kind", "workers": N, "checks_per_second"}                          N callers, cold and warm
//   {"bench": "judge", "agreement": share}                                                 verdicts that are the expected ones
//   bench_judge_notorch [--checks=N]
#include <atomic>
#include <chrono>
#include <thread>

#include "bench/bench.h"
#include "r1/base/threads.h"
#include "r1/verify/judge/judge.h"

using namespace r1;
using namespace r1::verify::judge;

namespace {

using Clock = std::chrono::steady_clock;

struct Kind {
  const char* name;
  Suite suite;
  std::string right, wrong;
};

std::vector<Kind> kinds() {
  std::vector<Kind> out;
  out.push_back({"stdin",
                 {.kind = Suite::Kind::kStdin, .tests = {{.input = "1 2\n", .expected = "3\n"}}},
                 "print(sum(map(int, input().split())))",
                 "print(4)"});
  out.push_back({"calls",
                 {.kind = Suite::Kind::kCalls, .tests = {{.input = "[1, 2]", .expected = "3"}}, .entry = "add"},
                 "def add(a, b): return a + b",
                 "def add(a, b): return a - b"});
  out.push_back({"check",
                 {.kind = Suite::Kind::kCheck, .entry = "add", .code = "def check(candidate):\n    assert candidate(1, 2) == 3\n"},
                 "def add(a, b): return a + b",
                 "def add(a, b): return a - b"});
  return out;
}

// A caller that has something else to do between checks, as a trainer does: the pool gets its time to start the next one.
void pause_between(bool warm, const Judge& judge) {
  if (warm) judge.wait_until_warm();
}

Json latency(const Kind& kind, bool warm, int checks) {
  const Judge judge({.workers = 1, .warm = warm ? 2 : 0});
  check(judge.unavailable().empty(), judge.unavailable());
  std::vector<double> ms;
  for (int i = 0; i < checks; ++i) {
    pause_between(warm, judge);
    const auto begin = Clock::now();
    const Report report = judge.check({"python", kind.right}, kind.suite);
    ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
    check(report.passed(), "a right program was called ", verdict_name(report.verdict), ": ", report.detail);
  }
  std::sort(ms.begin(), ms.end());
  return {{"bench", "judge"},
          {"kind", kind.name},
          {"pool", warm ? "warm" : "cold"},
          {"median_ms", ms[ms.size() / 2]},
          {"p90_ms", ms[ms.size() * 9 / 10]},
          {"checks", checks}};
}

// Half of the programs are wrong. Returns how many verdicts were the expected ones.
Json throughput(const Kind& kind, int workers, int warm, int checks, std::atomic<int64_t>& agreed, std::atomic<int64_t>& all) {
  const Judge judge({.workers = workers, .warm = warm});
  std::atomic<int> next{0};
  const auto begin = Clock::now();
  const auto work = [&] {
    for (int i; (i = next++) < checks;) {
      const bool right = i % 2 == 0;
      agreed += judge.check({"python", right ? kind.right : kind.wrong}, kind.suite).verdict == (right ? Verdict::kPass : Verdict::kFail);
      ++all;
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < workers; ++i) threads.emplace_back(work);
  for (std::thread& t : threads) t.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  return {{"bench", "judge"}, {"kind", kind.name}, {"workers", workers}, {"warm", warm}, {"checks_per_second", checks / seconds}};
}

void run(const bench::Arguments& arguments) {
  const int checks = std::max(1, int(arguments.number("checks")));
  std::atomic<int64_t> agreed{0}, all{0};
  for (const Kind& kind : kinds()) {
    for (const bool warm : {false, true}) bench::print(latency(kind, warm, checks));
    for (const int workers : {1, usable_cpus(), 2 * usable_cpus()})
      for (const int warm : {0, 2}) bench::print(throughput(kind, workers, warm, checks, agreed, all));
  }
  bench::print({{"bench", "judge"}, {"agreement", double(agreed) / double(all)}, {"checks", int64_t(all)}});
}

}  // namespace

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] { run({argc, argv, {{"checks", "60"}}}); });
}
