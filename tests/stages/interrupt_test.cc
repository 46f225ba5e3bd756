// A stop in the middle of a step: taken between two micro-batches, two tokens, two rows; what is saved is the state before, so the run that
// goes on is the run that was never stopped. In this process by request, and with real signals to a child.
#include "r1/base/interrupt.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/stages/stage_testing.h"

namespace r1::stages {
namespace {

// Runs the stage, asks for a stop when `when` is true, and returns what it ended with; "" if it was done before.
std::string stopped_run(const std::string& kind, const fs::path& out, const std::string& yaml, std::function<bool()> when) {
  clear_interrupt();
  std::string said;
  try {
    const Watcher watcher(std::move(when), request_interrupt);
    run_stage(kind, out, yaml);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInterrupted) << error.what();
    said = error.what();
  }
  clear_interrupt();
  return said;
}

std::string with(const std::string& yaml, const std::string& more) {
  return yaml.substr(0, yaml.rfind('}')) + ", " + more + "}";
}

TEST(Stop, AnywhereInARunGivesTheSameRun) {
  TemporaryFolder folder("stop_anywhere");
  const std::string sft =
      "{" + model_setting() +
      ", num_examples: 64, max_length: 64, per_device_train_batch_size: 1, gradient_accumulation_steps: 3, max_steps: 8, "
      "dropout: 0.1, learning_rate: 1e-3, save_steps: 0}";
  const std::string grpo = "{" + model_setting() +
                           ", num_generations: 4, per_device_train_batch_size: 4, steps_per_generation: 3, max_steps: 9, "
                           "max_completion_length: 16, beta: 0.05, learning_rate: 1e-3, eval_steps: 3, eval_limit: 4, save_steps: 0}";
  int stops = 0;
  for (const auto& [kind, yaml, steps] : {std::tuple{"sft", sft, 8}, std::tuple{"grpo", grpo, 9}}) {
    const fs::path whole = folder.path() / kind / "whole", cut = folder.path() / kind / "cut";
    run_stage(kind, whole, yaml);
    for (int at = 0; at < steps; ++at) {
      const std::string said = stopped_run(kind, cut, yaml, [&] { return lines_of(cut / "metrics.jsonl") >= at; });
      stops += !said.empty();
      if (said.empty()) break;  // it was done before the stop came
    }
    run_stage(kind, cut, yaml);
    EXPECT_EQ(numbers_of(cut), numbers_of(whole)) << kind;
    EXPECT_EQ(weights_hash(cut), weights_hash(whole)) << kind;
  }
  EXPECT_GE(stops, 2);
}

TEST(Stop, WhereNoCheckpointCanStandTheNewestOneIsNamed) {
  TemporaryFolder folder("stop_grace");
  // One rollout, then many updates on it: a stop among these can't be kept.
  const std::string yaml =
      "{" + model_setting() +
      ", num_generations: 4, per_device_train_batch_size: 8, num_iterations: 150, max_steps: 300, max_completion_length: 12, "
      "learning_rate: 1e-5, save_steps: 1}";
  const fs::path at_once = folder.path() / "at_once";
  const auto running = [](const fs::path& out) { return [out] { return lines_of(out / "metrics.jsonl") >= 3; }; };
  const std::string said = stopped_run("grpo", at_once, with(yaml, "stop_grace: 0"), running(at_once));
  EXPECT_TRUE(contains(said, "where no checkpoint can stand")) << said;
  EXPECT_TRUE(contains(said, "there is no checkpoint yet, the same command starts anew")) << said;
  EXPECT_FALSE(fs::exists(at_once / "stage.json"));
  EXPECT_LT(lines_of(at_once / "metrics.jsonl"), 150);
  // With time to spare the updates on the rollout are done, and the checkpoint after them is the end.
  const fs::path in_time = folder.path() / "in_time";
  const std::string kept = stopped_run("grpo", in_time, with(yaml, "stop_grace: 600"), running(in_time));
  EXPECT_TRUE(contains(kept, "stopped at step 150; the checkpoint is in")) << kept;
  EXPECT_TRUE(fs::exists(in_time / "checkpoint-150"));
  const std::string later = stopped_run("grpo", in_time, with(yaml, "stop_grace: 600"), [] { return false; });
  EXPECT_EQ(later, "") << "goes on from the checkpoint to the end";
  EXPECT_EQ(parse_json_file(in_time / "stage.json").at("results").at("steps"), 300);
}

// ---- real signals ----

// Not a test of its own: what the child process runs. Its first step is long.
TEST(StopChild, DISABLED_Run) {
  set_log_level(LogLevel::kWarning);
  install_interrupt_handler(/*announce=*/false);
  const std::string kind = std::getenv("R1_TEST_KIND");
  try {
    run_stage(kind, std::getenv("R1_TEST_OUTPUT"), std::getenv("R1_TEST_YAML"));
  } catch (const Error& error) {
    fprintf(stderr, "%s\n", error.what());
    _exit(int(error.kind()));
  }
}

pid_t start(const std::string& kind, const fs::path& output, const std::string& yaml) {
  const pid_t child = fork();
  if (child != 0) return child;
  setenv("R1_TEST_KIND", kind.c_str(), 1);
  setenv("R1_TEST_OUTPUT", output.c_str(), 1);
  setenv("R1_TEST_YAML", yaml.c_str(), 1);
  setenv("OMP_NUM_THREADS", "1", 1);
  if (!freopen("/dev/null", "w", stdout)) _exit(9);
  execl("/proc/self/exe", "test_stages", "--gtest_filter=StopChild.DISABLED_Run", "--gtest_also_run_disabled_tests", nullptr);
  _exit(9);
}

// Exit status of a child that gets `signal` (twice, as `timeout -s` sends it) a moment after `when`; 99: it had to be killed.
int status_after_signal(const std::string& kind, const fs::path& output, const std::string& yaml, int signal,
                        const std::function<bool()>& when) {
  const pid_t child = start(kind, output, yaml);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(100);
  bool sent = false;
  int status = 0;
  while (std::chrono::steady_clock::now() < deadline) {
    if (waitpid(child, &status, WNOHANG) == child) return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
    if (!sent && when()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      kill(child, signal);
      kill(child, signal);
      sent = true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return 99;
}

bool has_event_file(const fs::path& folder) {
  if (!fs::exists(folder)) return false;
  return std::any_of(fs::directory_iterator(folder), {}, [](const auto& entry) { return contains(entry.path().filename(), "tfevents"); });
}

// Steps of half a minute and more: if the signal had to wait for the end of one, there would be a line of metrics and a checkpoint-1.
TEST(Stop, ASignalEndsALongStepAtOnce) {
  TemporaryFolder folder("stop_signal");
  for (const auto& [signal, kind, yaml] :
       {std::tuple{SIGTERM, std::string("pretrain"),
                   std::string("{preset: tiny-1m, max_length: 512, per_device_train_batch_size: 1, gradient_accumulation_steps: 1000, "
                               "max_steps: 2}")},
        std::tuple{SIGINT, std::string("grpo"),
                   "{" + model_setting() +
                       ", num_generations: 1000, per_device_train_batch_size: 2000, max_steps: 2, max_completion_length: 400, "
                       "min_new_tokens: 400, engine: {max_num_seqs: 8}}"}}) {
    const fs::path out = folder.path() / kind;
    // TensorBoard's file is there before the first step (metrics.jsonl only after it).
    EXPECT_EQ(status_after_signal(kind, out, yaml, signal, [&] { return has_event_file(out); }), 130) << kind;
    EXPECT_TRUE(fs::exists(out / "checkpoint-0/trainer_state.json")) << kind << ": the state before the step";
    EXPECT_EQ(lines_of(out / "metrics.jsonl"), 0) << kind << ": no step was done";
    EXPECT_TRUE(fs::exists(out / "report.html")) << kind << ": a stopped run has a report";
  }
}

}  // namespace
}  // namespace r1::stages
