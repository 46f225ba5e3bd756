// The exhaustion half of the corpus X1: programs that take all they can get. Each runs three times, several at once; each must end within
// its limit and a second, and leave nothing.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "r1/verify/sandbox/cgroup.h"
#include "tests/verify/sandbox_support.h"

namespace r1::verify::sandbox {
namespace {

constexpr int kTimes = 3;
constexpr double kWall = 0.7;

struct Case {
  const char* name;
  enum Kind { kPython, kShell, kC } kind;
  const char* code;
  std::vector<End> ends;  // one of these; a machine may be slow or fast
  std::vector<Layer> needs = {};
};

const std::vector<Case>& cases() {
  using enum End;
  const std::vector<Layer> cgroup = {Layer::kCgroup};
  static const std::vector<Case> all = {
      // processes
      {"fork_bomb", Case::kC, "fork_bomb", {kTimeout, kMemory}},
      {"fork_bomb_shell", Case::kShell, "b() { b | b & }; b; while :; do :; done", {kTimeout, kMemory, kExited}},
      {"fork_bomb_python", Case::kPython, "import os\nwhile True:\n try: os.fork()\n except OSError: pass", {kTimeout, kMemory}},
      {"threads", Case::kC, "threads", {kExited, kMemory, kTimeout}},
      {"daemons", Case::kC, "daemons", {kExited, kSignalled}},
      {"daemon_shell",
       Case::kShell,
       "(setsid sh -c 'trap \"\" TERM HUP; while :; do echo x; sleep 0.05; done' &) ; echo parent; exit 3",
       {kExited}},
      {"nohup_sleep", Case::kShell, "nohup sleep 1000 > /dev/null 2>&1 & setsid sleep 1000 & exit 0", {kExited}},
      {"vfork_hang", Case::kC, "vfork_hang", {kTimeout}},
      {"exec_loop", Case::kC, "exec_loop", {kTimeout}},
      {"zombies", Case::kPython, "import os\nwhile True:\n try:\n  if os.fork() == 0: os._exit(0)\n except OSError: pass", {kTimeout}},
      {"orphan_chain", Case::kPython, "import os, time\nwhile True:\n if os.fork(): os._exit(0)\n os.setsid()", {kExited}},
      // signals and waiting
      {"ignore_everything", Case::kC, "block_all", {kTimeout}},
      {"ignore_term", Case::kShell, "trap '' TERM INT HUP QUIT; while :; do sleep 100; done", {kTimeout}},
      {"stop_itself", Case::kC, "stop", {kTimeout}},
      {"close_everything", Case::kC, "close_all", {kTimeout}},
      {"sleep", Case::kShell, "exec sleep 1000", {kTimeout}},
      {"wait_for_stdin", Case::kShell, "cat < /dev/zero > /dev/null", {kTimeout}},
      {"read_random_forever", Case::kShell, "cat /dev/urandom > /dev/null", {kTimeout}},
      {"signal_queue", Case::kC, "signals", {kExited}},
      {"timers", Case::kC, "timers", {kExited}},
      // CPU
      {"busy", Case::kShell, "while :; do :; done", {kTimeout}},
      {"busy_children", Case::kC, "cpu_children", {kTimeout}},
      {"busy_many", Case::kShell, "for i in 1 2 3 4 5 6 7 8; do (while :; do :; done) & done; wait", {kTimeout}},
      // memory
      {"memory_python", Case::kPython, "x = []\nwhile True: x.append(bytearray(1 << 20))", {kMemory, kExited}},
      {"memory_at_once", Case::kPython, "x = bytearray(1 << 30)", {kMemory, kExited}},
      {"memory_shared", Case::kC, "memory_shared", {kMemory}},
      {"memory_many_processes", Case::kC, "memory_many", {kMemory}, cgroup},
      {"memory_string", Case::kPython, "s = 'x'\nwhile True: s += s", {kMemory, kExited}},
      {"memory_mappings", Case::kC, "mappings", {kExited, kMemory, kTimeout}},
      {"memory_stack", Case::kC, "stack", {kSignalled, kMemory}},
      {"memory_shm", Case::kPython, "f = open('/dev/shm/x', 'wb')\nwhile True: f.write(bytes(1 << 20))", {kExited, kMemory, kSignalled}},
      {"memory_big_integer", Case::kPython, "x = 9 ** (9 ** 9)", {kTimeout, kMemory, kExited}},
      {"memory_recursion",
       Case::kPython,
       "import sys\nsys.setrecursionlimit(10**9)\ndef f(n): return [f(n + 1)]\nf(0)",
       {kSignalled, kMemory, kExited, kTimeout}},
      // disk
      {"disk_fill", Case::kPython, "f = open('/box/x', 'wb')\nwhile True: f.write(bytes(1 << 20))", {kExited, kMemory, kSignalled}},
      {"disk_fill_many_files",
       Case::kShell,
       "i=0; while :; do i=$((i+1)); head -c 3000000 /dev/zero > /tmp/$i || exit 5; done",
       {kExited, kTimeout, kMemory}},
      {"inode_fill", Case::kPython, "i = 0\nwhile True:\n open('/tmp/%d' % i, 'w').close(); i += 1", {kTimeout, kMemory, kExited}},
      {"nested_folders", Case::kC, "nested_folders", {kTimeout, kMemory, kExited}},
      {"sparse_file", Case::kPython, "import os\nos.truncate(open('/box/x', 'w').name, 1 << 40)", {kExited, kSignalled}},
      {"fallocate",
       Case::kPython,
       "import os\nos.posix_fallocate(os.open('/box/x', os.O_CREAT | os.O_RDWR), 0, 1 << 34)",
       {kExited, kSignalled}},
      // output
      {"stdout_1gb", Case::kShell, "head -c 1000000000 /dev/zero", {kOutput}},
      {"stderr_1gb", Case::kShell, "head -c 1000000000 /dev/zero >&2", {kOutput}},
      {"both_1gb", Case::kShell, "head -c 1000000000 /dev/zero >&2 & head -c 1000000000 /dev/zero; wait", {kOutput}},
      {"yes", Case::kShell, "yes", {kOutput}},
      {"drip", Case::kShell, "while :; do echo x; sleep 0.01; done", {kTimeout}},
      {"output_by_daemons", Case::kShell, "for i in 1 2 3; do (setsid yes &) ; done; sleep 100", {kOutput}},
      // descriptors, pipes, arguments
      {"descriptors", Case::kPython, "x = []\nwhile True: x.append(open('/dev/null'))", {kExited}},
      {"pipes", Case::kC, "pipes", {kExited, kMemory}},
      {"sockets_in_flight", Case::kC, "sockets_in_flight", {kExited, kMemory, kTimeout}},
      {"huge_argv", Case::kC, "huge_argv", {kExited, kMemory}},
      {"core_dump", Case::kC, "segfault", {kSignalled}},
      {"abort", Case::kPython, "import os\nos.abort()", {kSignalled}},
  };
  return all;
}

Program program_of(const Case& c, const std::string& mark) {
  Program program;
  if (c.kind == Case::kPython) program = python(c.code);
  if (c.kind == Case::kShell) program = shell(c.code);
  if (c.kind == Case::kC) {
    program.argv = {"/attacks", c.code};
    program.mounts.push_back({attacks_binary(), "/attacks", false});
  }
  program.env.emplace_back("R1_MARK", mark);
  return program;
}

Limits limits_of(const Case& c) {
  Limits limits = quick_limits(kWall);
  // Where the end is the memory's and not the clock's, a busy machine gets the time for it.
  if (std::find(c.ends.begin(), c.ends.end(), End::kTimeout) == c.ends.end()) limits.wall_seconds = 15;
  limits.memory_bytes = 48 << 20;
  return limits;
}

void expect_ended(const Case& c, const Outcome& o, const Limits& limits, double waited) {
  EXPECT_LE(waited, limits.wall_seconds + o.waited_seconds + 1) << c.name << ": the harness came back late";
  // Not by its own word alone: docs/sandbox.md says how far an end is put off at most.
  EXPECT_LE(o.waited_seconds, 9 * limits.wall_seconds) << c.name << ": its end was put off too far";
  EXPECT_LE(o.waited_seconds, o.wall_seconds) << c.name;
  EXPECT_TRUE(std::find(c.ends.begin(), c.ends.end(), o.end) != c.ends.end())
      << c.name << ": ended as " << end_name(o.end) << " " << o.status << " " << o.reason << " after " << o.wall_seconds << " s\n"
      << o.out.substr(0, 300) << o.err.substr(0, 300);
  EXPECT_LE(o.out.size(), size_t(limits.output_bytes)) << c.name;
  EXPECT_LE(o.err.size(), size_t(limits.output_bytes)) << c.name;
  EXPECT_EQ(o.out.find("ESCAPED"), std::string::npos) << c.name << ": " << o.out.substr(0, 300);
  EXPECT_LE(o.peak_memory, limits.memory_bytes) << c.name;
}

TEST(SandboxExhaustion, EveryProgramEndsAndLeavesNothing) {
  if (const std::string why = lacking({}); !why.empty()) GTEST_SKIP() << why;
  const bool compiler = !attacks_binary().empty();
  const Sandbox sandbox(lenient_policy());
  Canaries canaries;
  const Leftovers before;
  const std::string mark = "r1mark" + canaries.token().substr(7);
  std::vector<std::function<void()>> jobs;
  for (int i = 0; i < kTimes; ++i) {
    for (const Case& c : cases()) {
      const std::string why = c.kind == Case::kC && !compiler ? "no C compiler (cc)" : lacking(c.needs);
      if (!why.empty()) {
        if (i == 0) std::printf("  left out: %s: %s\n", c.name, why.c_str());
        continue;
      }
      jobs.push_back([&, c] {
        const Limits limits = limits_of(c);
        const auto process = sandbox.start(program_of(c, mark), limits);
        const auto from = std::chrono::steady_clock::now();
        const Outcome o = process->finish();
        expect_ended(c, o, limits, std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count());
      });
    }
  }
  in_parallel(jobs, 6);
  EXPECT_EQ(canaries.touched(), "");
  EXPECT_EQ(before.found(mark), "");
}

// A group whose last process dies slowly: nobody waits for it, it is named while it is held, and goes when it can.
TEST(SandboxExhaustion, AGroupThatTheKernelHoldsIsRemovedLater) {
  if (const std::string why = lacking({Layer::kCgroup}); !why.empty()) GTEST_SKIP() << why;
  const CgroupTrees trees = CgroupTrees::find();
  auto group = trees.make(Limits{});
  const std::vector<std::string> folders = group->folders();
  ASSERT_FALSE(folders.empty());
  const pid_t slow = ::fork();
  if (slow == 0) {
    for (const Fd& file : group->join_files())
      if (::write(file.get(), "0", 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  const auto joined = [&] {
    std::string first;
    std::ifstream(folders[0] + "/cgroup.procs") >> first;
    return first == std::to_string(slow);
  };
  for (int i = 0; i < 2'000 && !joined(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  ASSERT_TRUE(joined());
  group.reset();
  EXPECT_NE(held_groups(), std::vector<std::string>());
  EXPECT_TRUE(std::filesystem::exists(folders[0]));
  ::kill(slow, SIGKILL);
  ::waitpid(slow, nullptr, 0);
  // The next run tidies up; how soon the kernel lets go of the group of a dead process is its own affair.
  for (int i = 0; i < 2'000 && std::filesystem::exists(folders[0]); ++i) {
    trees.make(Limits{});
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  for (const std::string& folder : folders) EXPECT_FALSE(std::filesystem::exists(folder)) << folder;
  EXPECT_EQ(held_groups(), std::vector<std::string>());
  // What a killed process of ours left is named after it; the next start removes it.
  const std::string left = folders[0].substr(0, folders[0].rfind('/')) + "/r1-sandbox-" + std::to_string(slow) + "-0";
  ASSERT_TRUE(std::filesystem::create_directory(left)) << left;
  CgroupTrees::find();
  EXPECT_FALSE(std::filesystem::exists(left)) << left;
}

}  // namespace
}  // namespace r1::verify::sandbox
