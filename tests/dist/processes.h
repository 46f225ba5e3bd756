// Ranks as processes for a test: the test's own binary once more, started by dist::launch(), which runs one named scenario in the place of all
// tests and ends. A file of tests defines them, SCENARIO(name) { in_group(ranks, {..}, [](Group& group) { .. }); }, and runs them,
// run_ranks("name", 2), which fails if a rank did not come to its scenario: an exit code of 0 alone would not tell.
#pragma once

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <thread>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/dist/join.h"
#include "r1/dist/launch.h"
#include "tests/environment_variable.h"
#include "tests/temporary_folder.h"

namespace r1::dist {

using Scenario = void (*)(Ranks ranks, const std::string& argument);

inline std::map<std::string, Scenario>& scenarios() {
  static std::map<std::string, Scenario> all;
  return all;
}
struct AddScenario {
  AddScenario(const char* name, Scenario scenario) { scenarios()[name] = scenario; }
};
#define SCENARIO(name)                                                                              \
  void scenario_##name([[maybe_unused]] Ranks ranks, [[maybe_unused]] const std::string& argument); \
  const AddScenario add_##name(#name, scenario_##name);                                             \
  void scenario_##name([[maybe_unused]] Ranks ranks, [[maybe_unused]] const std::string& argument)

struct Outcome {
  int code = 0;
  std::string said;          // stderr of the launcher and of all ranks
  bool left_behind = false;  // something that the ranks started still runs
  double seconds = 0;
};

// Where each rank leaves a mark when its scenario begins.
class RanksCame {
 public:
  void expect(int64_t processes, const std::string& said) const {
    for (int64_t rank = 0; rank < processes; ++rank)
      EXPECT_TRUE(fs::exists(folder_.path() / std::to_string(rank))) << "rank " << rank << " ran no scenario: " << said;
  }

 private:
  TemporaryFolder folder_{"ranks_came"};
  EnvironmentVariable place_{"R1_TEST_CAME", folder_.path().string()};
};

// Orphans of ranks come to this process (PR_SET_CHILD_SUBREAPER), which so sees those that nobody has ended.
inline bool anything_runs() {
  for (int look = 0; look < 100; ++look) {
    pid_t ended = 0;
    while ((ended = waitpid(-1, nullptr, WNOHANG)) > 0) {
    }
    if (ended < 0) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

inline Outcome run_ranks(const std::string& scenario, int64_t processes, LaunchOptions options = {}, const std::string& argument = "") {
  const EnvironmentVariable which("R1_TEST_SCENARIO", scenario), what("R1_TEST_ARGUMENT", argument), threads("OMP_NUM_THREADS", "1");
  options.processes = processes;
  options.program = "/proc/self/exe";
  char path[4096] = "";
  if (readlink("/proc/self/exe", path, sizeof path - 1) > 0) options.program = path;
  options.arguments = {"--gtest_brief=1"};
  const RanksCame came;
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  Outcome outcome;
  testing::internal::CaptureStderr();
  const auto start = std::chrono::steady_clock::now();
  outcome.code = launch(options);
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  outcome.said = testing::internal::GetCapturedStderr();
  outcome.left_behind = anything_runs();
  came.expect(processes, outcome.said);
  return outcome;
}

// The body of a rank: a group, work in it, and what main would do with an error.
inline void in_group(const Ranks& ranks, JoinOptions options, const std::function<void(Group&)>& work) {
  int code = 0;
  try {
    const auto group = join(ranks, options);
    try {
      work(*group);
    } catch (const Error& error) {
      group->leave(error.what());
      throw;
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    code = error.exit_code();
  }
  std::_Exit(testing::Test::HasFailure() ? 9 : code);
}

// Before any test; in a process that is no rank it does nothing.
class RankProcess : public testing::Environment {
 public:
  void SetUp() override {
    const char *scenario = std::getenv("R1_TEST_SCENARIO"), *argument = std::getenv("R1_TEST_ARGUMENT");
    if (!scenario) return;
    if (!scenarios().count(scenario)) {
      std::fprintf(stderr, "no scenario '%s' in this binary\n", scenario);
      std::_Exit(70);
    }
    const Ranks ranks = ranks_of_this_process();
    write_file_atomic(fs::path(std::getenv("R1_TEST_CAME")) / std::to_string(ranks.rank), "");
    scenarios()[scenario](ranks, argument ? argument : "");
    std::_Exit(testing::Test::HasFailure() ? 9 : 0);
  }
};
inline testing::Environment* const rank_process = testing::AddGlobalTestEnvironment(new RankProcess);

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace r1::dist
