// kill -9 at any moment and start again: the same losses and the same final weights as a run that was never stopped (fault
// F5 of docs/faults.md). The stages run in a child process of this very binary, so that a kill is a kill.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <thread>

#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/base/log.h"
#include "r1/base/rng.h"
#include "r1/report/metrics.h"
#include "r1/stages/recipe.h"

namespace r1::stages {
namespace {

constexpr const char* kRecipe = R"(
common:
  device: cpu
  task: arithmetic
  task_options: {style: chain, steps: 2, train_size: 500, test_size: 20}
  prompt_format: plain
stages:
  base: {stage: pretrain, preset: tiny-test, max_length: 64, per_device_train_batch_size: 4, max_steps: 12, save_steps: 2, learning_rate: 3e-3, dropout: 0.1}
  sft: {stage: sft, model: "${base}", num_examples: 96, max_length: 64, packing_strategy: none, max_tokens_per_batch: 100, group_by_length: true, gradient_accumulation_steps: 2, num_train_epochs: 1, save_steps: 3, learning_rate: 3e-4, quantize_training: int4, quantize_group_size: 16}
  zero: {stage: grpo, model: "${sft}", num_generations: 4, per_device_train_batch_size: 8, steps_per_generation: 2, max_steps: 8, max_completion_length: 16, save_steps: 2, quantize_training: int8, beta: 0.05, ref_model_sync_steps: 4, learning_rate: 1e-3,
         reward_funcs: [accuracy, format, length], reward_weights: [1, 0.5, 0.25], eval_steps: 2, eval_limit: 10, reward_workers: 2, reward_deadline: 0,
         monitor: {patience: 1, window: 1, evals: 1, failures: 0, thoughtless: 0.1}}
  small: {stage: pretrain, preset: tiny-test, shape: {num_hidden_layers: 1, hidden_size: 32}, max_length: 64, max_steps: 1, save_steps: 0}
  taught: {stage: distill, model: "${small}", teacher: "${zero}", num_examples: 40, max_length: 64, per_device_train_batch_size: 2, max_steps: 8, save_steps: 2,
           learning_rate: 1e-3, quantize_training: fp8, hidden_layers: ["1:2"], lmbda: 0.5, max_completion_length: 8}
)";

// Not a test of its own: what the child process runs.
TEST(ResumeChild, DISABLED_Run) {
  set_log_level(LogLevel::kWarning);
  auto settings = parse_yaml(kRecipe, "recipe");
  settings.push_back({"output_dir", "test", std::string(std::getenv("R1_TEST_OUTPUT"))});
  settings.push_back({"seed", "test", 7});
  run_recipe(settings);
}

pid_t start(const fs::path& output) {
  const pid_t child = fork();
  if (child != 0) return child;
  setenv("R1_TEST_OUTPUT", output.c_str(), 1);
  setenv("OMP_NUM_THREADS", "1", 1);
  if (!freopen("/dev/null", "w", stdout)) _exit(9);
  execl("/proc/self/exe", "test_stages", "--gtest_filter=ResumeChild.DISABLED_Run", "--gtest_also_run_disabled_tests", nullptr);
  _exit(9);
}

int64_t lines_of(const fs::path& file) {
  return fs::exists(file) ? std::count_if(std::istreambuf_iterator<char>(std::ifstream(file).rdbuf()), {}, [](char c) { return c == '\n'; })
                          : 0;
}

// Exit status of the child, or -1 if it was killed because `metrics` had `lines` lines (plus a moment: any moment must do).
int run_until(const fs::path& output, const fs::path& metrics = {}, int64_t lines = 0, double moment = 0) {
  const pid_t child = start(output);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(200);
  int status = 0;
  while (std::chrono::steady_clock::now() < deadline) {
    if (waitpid(child, &status, WNOHANG) == child) return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
    if (!metrics.empty() && lines_of(metrics) >= lines) {
      std::this_thread::sleep_for(std::chrono::duration<double>(moment));
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -1 : WEXITSTATUS(status);
}

// The numbers of each step, without clocks; rewards were scored in threads, monitors go on where they were.
std::string losses(const fs::path& folder) {
  std::string out;
  for (const auto& line : report::read_metrics(folder / "metrics.jsonl")) {
    Json kept{line.at("step"),
              line.at("loss"),
              line.at("grad_norm"),
              line.value("kl", Json()),
              line.value("num_tokens", Json()),
              line.value("padding_avoided", Json())};
    for (const auto& [key, value] : line.items())
      for (const char* prefix : {"reward", "rewards/", "verdicts/", "monitor/", "alarms", "eval/"})
        if (key.rfind(prefix, 0) == 0 && key != "reward/overlap") kept.push_back({key, value});
    out += dump_json(kept) + "\n";
  }
  return out;
}

TEST(Resume, Kill9AnywhereGivesTheSameRun) {
  const fs::path root = fs::temp_directory_path() / ("r1_resume_" + std::to_string(getpid()));
  fs::remove_all(root);
  ASSERT_EQ(run_until(root / "whole"), 0);
  Rng rng{uint64_t(getpid())};  // other moments in every run
  int kills = 0;
  for (const auto& [stage, lines] : {std::pair{"base", 3}, {"base", 9}, {"sft", 4}, {"zero", 2}, {"zero", 5}, {"taught", 4}}) {
    const int status = run_until(root / "killed", root / "killed" / stage / "metrics.jsonl", lines, 0.03 * rng.uniform());
    ASSERT_TRUE(status == -1 || status == 0) << "the child failed by itself: " << status;
    kills += status == -1;
  }
  EXPECT_GE(kills, 3);
  ASSERT_EQ(run_until(root / "killed"), 0);
  for (const char* stage : {"base", "sft", "zero", "taught"}) {
    const std::string expected = losses(root / "whole" / stage);
    EXPECT_GT(expected.size(), 100u);
    EXPECT_EQ(losses(root / "killed" / stage), expected) << stage << " after " << kills << " kills";
    if (stage == std::string("zero")) EXPECT_NE(expected.find("\"alarms\""), std::string::npos) << "or there is no alarm to go on from";
    if (fs::exists(root / "whole" / stage / "completions.jsonl"))
      EXPECT_EQ(read_file(root / "killed" / stage / "completions.jsonl"), read_file(root / "whole" / stage / "completions.jsonl")) << stage;
    EXPECT_EQ(sha256_file(root / "killed" / stage / "model.safetensors"), sha256_file(root / "whole" / stage / "model.safetensors"))
        << stage;
  }
  fs::remove_all(root);
}

}  // namespace
}  // namespace r1::stages
