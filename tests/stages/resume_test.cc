// kill -9 at any moment and start again: the same losses and the same final weights as a run that was never stopped (conventions_and_faults
// F5). The stages run in a child process of this very binary, so that a kill is a kill.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/base/log.h"
#include "r1/base/rng.h"
#include "r1/stages/recipe.h"
#include "r1/train/metrics.h"

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
  sft: {stage: sft, model: "${base}", num_examples: 96, max_length: 64, per_device_train_batch_size: 2, gradient_accumulation_steps: 2, num_train_epochs: 1, save_steps: 3}
  zero: {stage: grpo, model: "${sft}", num_generations: 4, per_device_train_batch_size: 8, steps_per_generation: 2, max_steps: 8, max_completion_length: 16, save_steps: 2, beta: 0.05, ref_model_sync_steps: 4, learning_rate: 1e-3}
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

// Exit status if the child ended by itself within the time; -1 if it was killed.
int run_for(const fs::path& output, double seconds) {
  const pid_t child = start(output);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  int status = 0;
  while (std::chrono::steady_clock::now() < deadline) {
    if (waitpid(child, &status, WNOHANG) == child) return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return -1;
}

// The numbers of each step, without clocks.
std::string losses(const fs::path& folder) {
  std::string out;
  for (const auto& line : train::read_metrics(folder / "metrics.jsonl"))
    out += dump_json(Json{line.at("step"), line.at("loss"), line.at("grad_norm"), line.value("reward", Json()), line.value("kl", Json()),
                          line.value("num_tokens", Json())}) +
           "\n";
  return out;
}

TEST(Resume, Kill9AnywhereGivesTheSameRun) {
  const fs::path root = fs::temp_directory_path() / ("r1_resume_" + std::to_string(getpid()));
  fs::remove_all(root);
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(run_for(root / "whole", 120), 0);
  const double whole = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  Rng rng{uint64_t(getpid())};  // other moments in every run: any moment must do
  int kills = 0;
  for (int attempt = 0; attempt < 40; ++attempt) {
    // A quarter to a whole run at a time, so that each try gets somewhere.
    const int status = run_for(root / "killed", kills < 6 ? whole * (0.25 + 0.5 * rng.uniform()) : 120);
    if (status == 0) break;
    ASSERT_EQ(status, -1) << "the child failed by itself";
    ++kills;
  }
  EXPECT_GE(kills, 1);
  for (const char* stage : {"base", "sft", "zero"}) {
    const std::string expected = losses(root / "whole" / stage);
    EXPECT_GT(expected.size(), 100u);
    EXPECT_EQ(losses(root / "killed" / stage), expected) << stage << " after " << kills << " kills";
    if (fs::exists(root / "whole" / stage / "completions.jsonl"))
      EXPECT_EQ(read_file(root / "killed" / stage / "completions.jsonl"), read_file(root / "whole" / stage / "completions.jsonl")) << stage;
    EXPECT_EQ(sha256_file(root / "killed" / stage / "model.safetensors"), sha256_file(root / "whole" / stage / "model.safetensors"))
        << stage;
  }
  fs::remove_all(root);
}

}  // namespace
}  // namespace r1::stages
