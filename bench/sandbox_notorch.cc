// What does the sandbox cost? `python3 -I -S -c pass` under bare bubblewrap with the same namespaces, and in ours with every layer, in
// turn, so that whatever else the machine does hits both. One JSON object a line: medians and quartiles in ms, the ratio pair by pair; then
// ours without one layer at a time; then from several threads, in runs a second.
//   bench_sandbox_notorch [--rounds=60] [--threads=2] [--program=/usr/bin/python3]
#include <spawn.h>

#include <chrono>
#include <thread>

#include "bench/bench.h"
#include "r1/verify/sandbox/sandbox.h"

using namespace r1;
using namespace r1::verify::sandbox;

namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point from) {
  return std::chrono::duration<double, std::milli>(Clock::now() - from).count();
}

Json quantiles(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double q) { return values[size_t(q * double(values.size() - 1) + 0.5)]; };
  return {{"min", values.front()}, {"median", at(0.5)}, {"p25", at(0.25)}, {"p75", at(0.75)}, {"p95", at(0.95)}};
}

double run_bare(const std::vector<std::string>& command) {
  std::vector<char*> argv;
  for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const auto from = Clock::now();
  pid_t pid = 0;
  check(::posix_spawnp(&pid, argv[0], nullptr, nullptr, argv.data(), environ) == 0, "cannot start bwrap");
  int status = 0;
  ::waitpid(pid, &status, 0);
  check(status == 0, "bare bubblewrap failed: ", status);
  return ms_since(from);
}

double run_ours(const Sandbox& sandbox, const Program& program) {
  const auto from = Clock::now();
  const Outcome outcome = sandbox.run(program, {});
  check(outcome.end == End::kExited && outcome.status == 0, "the sandbox failed: ", outcome.reason, outcome.err);
  return ms_since(from);
}

void compare(const std::vector<std::string>& command, const Program& program, int rounds) {
  const Sandbox sandbox;
  std::vector<double> bare, ours, ratio;
  for (int i = -3; i < rounds; ++i) {
    const double b = run_bare(command), o = run_ours(sandbox, program);
    if (i < 0) continue;
    bare.push_back(b), ours.push_back(o), ratio.push_back(o / b);
  }
  bench::print({{"bench", "sandbox"},
                {"case", "cold"},
                {"rounds", rounds},
                {"bubblewrap_ms", quantiles(bare)},
                {"ours_ms", quantiles(ours)},
                {"ratio", quantiles(ratio)}});
}

// Each layer's share: everything on and that layer off, in turn.
void without_each(const Program& program, int rounds) {
  for (const Layer layer : {Layer::kSeccomp, Layer::kCgroup, Layer::kLandlock}) {
    const Sandbox all, without(Policy{{layer}, {layer}});
    std::vector<double> with_it, without_it;
    for (int i = 0; i < rounds; ++i) {
      with_it.push_back(run_ours(all, program));
      without_it.push_back(run_ours(without, program));
    }
    const Json a = quantiles(with_it), b = quantiles(without_it);
    bench::print({{"bench", "sandbox"},
                  {"case", std::string("cost of ") + layer_name(layer)},
                  {"ms", a["median"].get<double>() - b["median"].get<double>()},
                  {"with_ms", a},
                  {"without_ms", b}});
  }
}

void in_parallel(const Program& program, int threads, int rounds) {
  const Sandbox sandbox;
  const auto from = Clock::now();
  std::vector<std::thread> workers;
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&] {
      for (int i = 0; i < rounds; ++i) run_ours(sandbox, program);
    });
  }
  for (auto& worker : workers) worker.join();
  bench::print(
      {{"bench", "sandbox"}, {"case", "parallel"}, {"threads", threads}, {"runs_per_second", threads * rounds / (ms_since(from) * 1e-3)}});
}

void run(const bench::Arguments& arguments) {
  const int rounds = int(arguments.number("rounds")), threads = int(arguments.number("threads"));
  Program program;
  program.argv = {arguments.text("program"), "-I", "-S", "-c", "pass"};
  std::vector<std::string> bare = {"bwrap",   "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--ro-bind",
                                   "/usr",    "/usr",          "--symlink",      "usr/bin",           "/bin",          "--symlink",
                                   "usr/lib", "/lib",          "--symlink",      "usr/lib64",         "/lib64",        "--proc",
                                   "/proc",   "--dev",         "/dev",           "--tmpfs",           "/box",          "--"};
  bare.insert(bare.end(), program.argv.begin(), program.argv.end());
  compare(bare, program, rounds);
  without_each(program, std::max(5, rounds / 2));
  in_parallel(program, threads, std::max(5, rounds / 2));
}

}  // namespace

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] { run({argc, argv, {{"rounds", "60"}, {"threads", "2"}, {"program", "/usr/bin/python3"}}}); });
}
