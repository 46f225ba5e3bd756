// r1 run as a command: what stands on stdout, the exit codes, the ends that are no success.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "r1/base/interrupt.h"
#include "tests/app/program.h"
#include "tests/temporary_folder.h"

namespace r1::app {
namespace {

using testing::json_lines;
using testing::run_r1;

std::string recipe_file(const TemporaryFolder& folder, const std::string& require, int64_t steps = 2) {
  const fs::path path = folder.path() / "r.yaml";
  write_file_atomic(path, str("output_dir: ", (folder.path() / "out").string(), R"(
common: {device: cpu, task: arithmetic, task_options: {style: chain, steps: 1, train_size: 20, test_size: 4}, prompt_format: plain}
stages:
  base: {stage: pretrain, preset: tiny-test, max_length: 32, save_steps: 0, max_steps: )",
                              steps, require.empty() ? "" : ", require: \"" + require + "\"", R"(}
  test: {stage: eval, model: "${base}", max_completion_length: 4}
summary: {n: "${test.n}"}
)"));
  return path.string();
}

TEST(RunCommand, PrintConfigWritesTheWholeRecipeAndRunsNothing) {
  TemporaryFolder folder("run_print");
  const auto printed = run_r1({"run", recipe_file(folder, ""), "--print_config", "--stages.base.max_steps=7"});
  EXPECT_EQ(printed.code, 0) << printed.err;
  EXPECT_EQ(printed.err, "");
  EXPECT_NE(printed.out.find("max_steps: 7"), std::string::npos) << printed.out;
  EXPECT_NE(printed.out.find("weight_decay: "), std::string::npos) << "defaults too";
  EXPECT_FALSE(fs::exists(folder.path() / "out"));
  // What was printed is a recipe.
  write_file_atomic(folder.path() / "full.yaml", printed.out);
  EXPECT_EQ(run_r1({"run", (folder.path() / "full.yaml").string(), "--print_config"}).out, printed.out);
  const auto wrong = run_r1({"run", recipe_file(folder, "acuracy>1"), "--print_config"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_NE(wrong.err.find("r.yaml:4: require 'acuracy>1'"), std::string::npos) << wrong.err;
}

TEST(RunCommand, AFailedGateIsOneObjectAndExitCodeOne) {
  TemporaryFolder folder("run_gate");
  const auto run = run_r1({"run", recipe_file(folder, "train_loss<0.001"), "--json", "--quiet"});
  EXPECT_EQ(run.code, 1);
  const auto lines = json_lines(run.out);
  ASSERT_EQ(lines.size(), 1u);
  const Json gate = lines[0].at("failed_gate");
  EXPECT_EQ(gate.at("stage"), "base");
  EXPECT_EQ(gate.at("require"), "train_loss<0.001");
  EXPECT_EQ(gate.at("result"), "train_loss");
  EXPECT_GT(gate.at("value").get<double>(), 0.001);
  EXPECT_NE(run.err.find("error: recipe: stage 'base' reached train_loss = "), std::string::npos) << run.err;
  EXPECT_TRUE(fs::exists(folder.path() / "out/report.html"));
  const auto passed = run_r1({"run", recipe_file(folder, "train_loss<1000"), "--json", "--quiet"});
  EXPECT_EQ(passed.code, 0) << passed.err;
  EXPECT_EQ(json_lines(passed.out).at(0).at("n"), 4);
}

TEST(RunCommand, AStopIsNoError) {
  TemporaryFolder folder("run_stop");
  clear_interrupt();
  std::atomic<bool> done{false};
  std::thread stopper([&] {
    while (!done && !fs::exists(folder.path() / "out/base/metrics.jsonl")) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    request_interrupt();
  });
  const auto run = run_r1({"run", recipe_file(folder, "", 1'000'000)});
  done = true;
  stopper.join();
  clear_interrupt();
  EXPECT_EQ(run.code, 130);
  EXPECT_EQ(run.err.find("error:"), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("pretrain: stopped at step "), std::string::npos) << run.err;
  EXPECT_EQ(run.out, "");
}

}  // namespace
}  // namespace r1::app
