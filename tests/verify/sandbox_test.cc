// What a run gives back: output, ends, limits, files, mounts; that a missing layer is refused; that runs in parallel, started ahead, killed
// or abandoned leave nothing.
#include "r1/verify/sandbox/sandbox.h"

#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <functional>
#include <sstream>

#include "r1/base/error.h"
#include "tests/verify/sandbox_support.h"

namespace r1::verify::sandbox {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point from) {
  return std::chrono::duration<double>(Clock::now() - from).count();
}

class SandboxTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = lacking({}); !why.empty()) GTEST_SKIP() << why;
    box_ = std::make_unique<Sandbox>(lenient_policy());
  }
  Outcome run(const Program& program, const Limits& limits = quick_limits(20)) const { return box_->run(program, limits); }
  std::unique_ptr<Sandbox> box_;
};

TEST_F(SandboxTest, GivesOutputErrorsAndStatus) {
  Program program = shell("cat; echo oops >&2; exit 7");
  program.input = "hello\n";
  const Outcome o = run(program);
  EXPECT_EQ(o.end, End::kExited) << o.reason;
  EXPECT_EQ(o.status, 7);
  EXPECT_EQ(o.out, "hello\n");
  EXPECT_EQ(o.err, "oops\n");
  EXPECT_GT(o.wall_seconds, 0);
  EXPECT_GT(o.cpu_seconds, 0);
  EXPECT_GT(o.peak_memory, 0);
}

TEST_F(SandboxTest, ExitCode137IsNoSignal) {
  Outcome o = run(shell("exit 137"));
  EXPECT_EQ(o.end, End::kExited);
  EXPECT_EQ(o.status, 137);
  o = run(shell("kill -9 $$"));
  EXPECT_EQ(o.end, End::kSignalled);
  EXPECT_EQ(o.status, SIGKILL);
}

TEST_F(SandboxTest, LargeInputAndOutputInBothDirections) {
  std::string text(3'000'000, 'a');
  for (size_t i = 0; i < text.size(); i += 100) text[i] = '\n';
  Program program = shell("tee /dev/stderr");
  program.input = text;
  Limits limits = quick_limits(20);
  limits.output_bytes = 4 << 20;
  const Outcome o = run(program, limits);
  EXPECT_EQ(o.end, End::kExited) << end_name(o.end) << o.reason;
  EXPECT_TRUE(o.out == text) << o.out.size();
  EXPECT_TRUE(o.err == text) << o.err.substr(0, 200);
}

TEST_F(SandboxTest, InputThatNobodyReadsIsDropped) {
  Program program = shell("exec 0<&-; echo done");
  program.input.assign(1 << 20, 'x');
  const Outcome o = run(program);
  EXPECT_EQ(o.end, End::kExited);
  EXPECT_EQ(o.out, "done\n");
}

TEST_F(SandboxTest, OutputAtTheCapIsKeptAndAByteMoreEndsIt) {
  Limits limits = quick_limits(20);
  limits.output_bytes = 1000;
  Outcome o = run(shell("head -c 1000 /dev/zero"), limits);
  EXPECT_EQ(o.end, End::kExited);
  EXPECT_EQ(o.out.size(), 1000u);
  o = run(shell("head -c 1001 /dev/zero"), limits);
  EXPECT_EQ(o.end, End::kOutput) << o.reason;
  EXPECT_EQ(o.out.size(), 1000u);
}

TEST_F(SandboxTest, FilesEnvironmentDirectoryAndMounts) {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("r1-mount-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder / "in");
  std::filesystem::create_directories(folder / "out");
  std::ofstream(folder / "in/data.txt") << "data";
  Program program =
      shell("cat a/b/c.txt /data/data.txt; echo $GREETING $HOME; pwd; echo made > /out/x; (echo no > /data/y) 2> /dev/null || echo ro");
  program.files = {{"a/b/c.txt", "content\n"}};
  program.env = {{"GREETING", "hi"}, {"HOME", "/nowhere"}};
  program.mounts = {{folder / "in", "/data", false}, {folder / "out", "/out", true}};
  const Outcome o = run(program);
  EXPECT_EQ(o.out, "content\ndatahi /nowhere\n/box\nro\n") << o.err << o.reason;
  std::string made;
  std::ifstream(folder / "out/x") >> made;
  EXPECT_EQ(made, "made");
  EXPECT_FALSE(std::filesystem::exists(folder / "in/y"));
  std::filesystem::remove_all(folder);
}

TEST_F(SandboxTest, RunsAreStrangersToEachOther) {
  run(shell("echo secret > /box/x; echo secret > /tmp/x; echo secret > /dev/shm/x"));
  EXPECT_EQ(run(shell("cat /box/x /tmp/x /dev/shm/x 2> /dev/null; ls -A /tmp /dev/shm")).out, "/dev/shm:\n\n/tmp:\n");
}

TEST_F(SandboxTest, Ends) {
  Limits limits = quick_limits(0.3);
  Outcome o = run(shell("sleep 100"), limits);
  EXPECT_EQ(o.end, End::kTimeout) << end_name(o.end) << o.reason;
  EXPECT_LT(o.wall_seconds, 1.3);

  limits = quick_limits(20);
  limits.cpu_seconds = 0.3;
  o = run(shell("while :; do :; done"), limits);
  EXPECT_EQ(o.end, End::kCpuTime) << end_name(o.end) << o.reason;
  EXPECT_GE(o.cpu_seconds, 0.25);
  // Many processes, none of which uses much by itself.
  limits.cpu_seconds = 0.6;
  o = run(shell("for i in 1 2 3 4; do (while :; do :; done) & done; wait"), limits);
  EXPECT_EQ(o.end, End::kCpuTime) << end_name(o.end) << o.reason;

  limits = quick_limits(20);
  o = run(python("x = b'x' * (1 << 30)"), limits);
  if (has_layer(Layer::kCgroup)) {
    EXPECT_EQ(o.end, End::kMemory) << end_name(o.end) << o.reason << o.err;
  } else {
    EXPECT_NE(o.err.find("MemoryError"), std::string::npos) << end_name(o.end) << o.reason;
  }
  o = run(shell("kill -SEGV $$"));
  EXPECT_EQ(o.end, End::kSignalled);
  EXPECT_EQ(o.status, SIGSEGV);
}

// This process, and what it starts, on the first of its CPUs alone.
class OneCpu {
 public:
  OneCpu() {
    cpu_set_t one;
    EXPECT_EQ(::sched_getaffinity(0, sizeof before_, &before_), 0);
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_COUNT(&one) == 0 && CPU_ISSET(cpu, &before_)) CPU_SET(cpu, &one);
    }
    EXPECT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  }
  ~OneCpu() { ::sched_setaffinity(0, sizeof before_, &before_); }

 private:
  cpu_set_t before_;
};

// Three processes spin on the only CPU that it may use: of the wall time a program has a quarter.
TEST_F(SandboxTest, TimeWithoutACpuIsNotTheProgramsFault) {
  const OneCpu one;
  std::vector<pid_t> spinning;
  for (int i = 0; i < 3; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (volatile bool forever = true; forever;) {
      }
    }
    spinning.push_back(child);
  }
  Limits limits = quick_limits(1.0);
  limits.cpu_seconds = 10;
  const Outcome busy = run(python("import time\nwhile time.process_time() < 0.7: pass\nprint('done')"), limits);
  for (const pid_t child : spinning) ::kill(child, SIGKILL), ::waitpid(child, nullptr, 0);
  EXPECT_EQ(busy.end, End::kExited) << end_name(busy.end) << busy.reason;
  EXPECT_EQ(busy.out, "done\n");
  EXPECT_GT(busy.wall_seconds, 1.0);
}

// Its own processes take the CPU from each other: that is no reason to wait for it.
TEST_F(SandboxTest, AProgramThatStarvesItselfGainsNoTime) {
  const OneCpu one;
  Limits limits = quick_limits(1.0);
  limits.cpu_seconds = 100;
  const Outcome starved = run(python("import os\nfor i in range(5): os.fork() or exec('while True: pass')\nwhile True: pass"), limits);
  EXPECT_EQ(starved.end, End::kTimeout) << end_name(starved.end) << starved.reason;
  EXPECT_LE(starved.waited_seconds, std::max(0.0, starved.wall_seconds - starved.cpu_seconds) + 0.2)
      << "of " << starved.wall_seconds << " s it had " << starved.cpu_seconds << " s of CPU";
}

TEST_F(SandboxTest, WhatCannotStartSaysWhy) {
  Program program;
  program.argv = {"/usr/bin/no-such-program"};
  Outcome o = run(program);
  EXPECT_EQ(o.end, End::kFailedToStart);
  EXPECT_NE(o.reason.find("No such file"), std::string::npos) << o.reason;
  program = shell("true");
  program.directory = "/nowhere";
  o = run(program);
  EXPECT_EQ(o.end, End::kFailedToStart);
  EXPECT_NE(o.reason.find("directory"), std::string::npos) << o.reason;
  program = shell("true");
  program.mounts = {{"/no/such/folder", "/x", false}};
  o = run(program);
  EXPECT_EQ(o.end, End::kFailedToStart);
  EXPECT_NE(o.reason.find("exist"), std::string::npos) << o.reason;
  program = shell("true");
  program.files = {{"big", std::string(20 << 20, 'x')}};  // disk_bytes is 16 MiB
  o = run(program);
  EXPECT_EQ(o.end, End::kFailedToStart);
  EXPECT_NE(o.reason.find("disk_bytes"), std::string::npos) << o.reason;
  program = shell("true");
  program.argv.push_back(std::string(3 << 20, 'x'));
  o = run(program);
  EXPECT_EQ(o.end, End::kFailedToStart);
  EXPECT_NE(o.reason.find("Argument list too long"), std::string::npos) << o.reason;
}

TEST_F(SandboxTest, WrongProgramsAreRefused) {
  const auto refused = [&](const Program& program, const Limits& limits = quick_limits(1)) {
    EXPECT_THROW(box_->run(program, limits), Error);
  };
  refused(Program{});
  for (const char* path : {"", "/etc/x", "../x", "a/../../x", "a/", "a//b/.", "."}) {
    Program program = shell("true");
    program.files = {{path, "x"}};
    refused(program);
  }
  Program program = shell("true");
  program.files = {{std::string("a\0b", 3), "x"}};
  refused(program);
  program = shell("true");
  program.env = {{"A=B", "x"}};
  refused(program);
  program = shell("true");
  program.mounts = {{"/usr", "relative", false}};
  refused(program);
  program.mounts = {{"/usr", "/", false}};
  refused(program);
  Limits limits = quick_limits(1);
  limits.wall_seconds = 0;
  refused(shell("true"), limits);
  limits = quick_limits(1);
  limits.memory_bytes = 1;
  refused(shell("true"), limits);
}

TEST_F(SandboxTest, LimitsAreInForceInside) {
  Limits limits = quick_limits(20);
  limits.open_files = 50;
  limits.processes = 9;
  const Outcome o = run(python(R"(
import os, resource
print(resource.getrlimit(resource.RLIMIT_NOFILE)[1], resource.getrlimit(resource.RLIMIT_FSIZE)[1] >> 20)
n = 0
try:
    for i in range(100):
        if os.fork() == 0:
            import time
            time.sleep(100)
        n += 1
except OSError:
    pass
print(n)
s = os.statvfs("/box")
print(s.f_blocks * s.f_bsize >> 20)
)"),
                        limits);
  EXPECT_EQ(o.out, "50 16\n8\n16\n") << o.err << o.reason;
}

TEST_F(SandboxTest, OneFileSystemForAllThatIsWritten) {
  const Outcome o = run(python(R"(
import errno
total = 0
try:
    for name in ("/box/a", "/tmp/b", "/dev/shm/c"):
        with open(name, "wb", 0) as f:
            for i in range(8): total += f.write(bytes(1 << 20))
except OSError as e:
    print(e.errno == errno.ENOSPC, total >> 20 <= 16)
)"));
  EXPECT_EQ(o.out, "True True\n") << o.err << o.reason;
}

// ---- fail closed ----
TEST_F(SandboxTest, AMissingLayerIsRefusedByName) {
  for (const Layer layer : {Layer::kSeccomp, Layer::kRlimits, Layer::kCgroup, Layer::kLandlock}) {
    Policy policy = lenient_policy();
    std::erase(policy.may_miss, layer);
    policy.pretend_missing = {layer};
    try {
      Sandbox refused(policy);
      ADD_FAILURE() << layer_name(layer) << " was not refused";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(layer_name(layer)), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("doctor"), std::string::npos) << error.what();
    }
    policy.may_miss.push_back(layer);
    const Outcome o = Sandbox(policy).run(shell("echo still here"), quick_limits(20));
    EXPECT_EQ(o.out, "still here\n") << layer_name(layer) << o.reason;
  }
  // Nobody may agree to run on the host.
  EXPECT_THROW(Sandbox({{Layer::kNamespaces}, {Layer::kNamespaces}}), Error);
}

TEST(SandboxDoctor, NamesEveryLayerOnce) {
  const auto states = examine();
  ASSERT_EQ(states.size(), 5u);
  for (const LayerState& state : states) {
    EXPECT_FALSE(state.detail.empty()) << layer_name(state.layer);
    EXPECT_EQ(std::count_if(states.begin(), states.end(), [&](const LayerState& s) { return s.layer == state.layer; }), 1);
    std::printf("  %s: %s: %s\n", layer_name(state.layer), state.available ? "there" : "MISSING", state.detail.c_str());
  }
}

// Tests skip for what examine() does not find, so it must find what the kernel gives: asked here with bare system calls.
TEST(SandboxDoctor, FindsWhatTheKernelGives) {
  const auto child_does = [](const std::function<bool()>& work) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(work() ? 0 : 1);
    int status = 0;
    return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  };
  const bool namespaces = child_does([&] {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0) return false;
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
    return child_does([] { return ::mount("proc", "/proc", "proc", 0, nullptr) == 0; });
  });
  const bool seccomp = ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, nullptr) != 0 && errno == EFAULT;
  const bool landlock = ::syscall(SYS_landlock_create_ruleset, nullptr, size_t{0}, 1u /* LANDLOCK_CREATE_RULESET_VERSION */) >= 1;
  if (namespaces) {
    EXPECT_TRUE(has_layer(Layer::kNamespaces));
  }
  if (seccomp) {
    EXPECT_TRUE(has_layer(Layer::kSeccomp));
  }
  if (landlock) {
    EXPECT_TRUE(has_layer(Layer::kLandlock));
  }
  EXPECT_TRUE(has_layer(Layer::kRlimits)) << "every Linux has them";
}

// Without the control group the limits of single processes and the watch on memory take over.
TEST_F(SandboxTest, MemoryIsBoundedWithoutACgroup) {
  const Sandbox box({lenient_policy().may_miss, {Layer::kCgroup}});
  Limits limits = quick_limits(15);
  Outcome o = box.run(python("x = bytearray(1 << 30)"), limits);
  EXPECT_NE(o.err.find("MemoryError"), std::string::npos) << end_name(o.end) << o.reason;
  o = box.run(python("import mmap, time\nx = mmap.mmap(-1, 1 << 28)\nfor i in range(0, 1 << 28, 4096): x[i] = 1\ntime.sleep(100)"), limits);
  EXPECT_EQ(o.end, End::kMemory) << end_name(o.end) << o.reason << o.err;
  limits.cpu_seconds = 0.5;
  o = box.run(shell("for i in 1 2 3; do (while :; do :; done) & done; wait"), limits);
  EXPECT_EQ(o.end, End::kCpuTime) << end_name(o.end) << o.reason;
}

// ---- started ahead, killed, abandoned ----
TEST_F(SandboxTest, AProcessStartedAheadWaitsForItsInput) {
  Program program = python("import sys; print(sum(map(int, sys.stdin.read().split())))");
  program.input = "1 2\n";
  Limits limits = quick_limits(2);
  auto process = box_->start(program, limits);
  ::usleep(2'500'000 / 2);  // its clock does not run yet
  const Outcome o = process->finish("3 4\n");
  EXPECT_EQ(o.out, "10\n") << o.err << o.reason;
  EXPECT_THROW(process->finish(), Error);
}

TEST_F(SandboxTest, TheThreadThatStartedItMayEnd) {
  std::unique_ptr<Process> process;
  std::thread([&] { process = box_->start(shell("cat"), quick_limits(10)); }).join();
  ::usleep(100'000);  // a parent-death signal would have come by now
  EXPECT_EQ(process->finish("alive").out, "alive");
}

TEST_F(SandboxTest, KillFromAnotherThread) {
  const auto process = box_->start(shell("sleep 1000"), quick_limits(30));
  const auto from = Clock::now();
  std::thread killer([&] {
    ::usleep(200'000);
    process->kill();
  });
  const Outcome o = process->finish();
  killer.join();
  EXPECT_LT(seconds_since(from), 5);
  EXPECT_EQ(o.end, End::kSignalled);
  EXPECT_NE(o.reason.find("killed"), std::string::npos) << o.reason;
}

TEST_F(SandboxTest, AbandonedProcessesLeaveNothing) {
  const Leftovers before;
  for (int i = 0; i < 10; ++i) {
    Program program = shell("sleep 1000 & (setsid sleep 1000 &); sleep 1000");
    program.env.emplace_back("R1_MARK", "r1abandoned");
    const auto process = box_->start(program, quick_limits(30));
    if (i % 2) ::usleep(useconds_t(i) * 7000);  // at different points of the way up
  }
  EXPECT_EQ(before.found("r1abandoned"), "");
}

// The host process is killed: what it had started goes too, and so do the groups it made.
TEST_F(SandboxTest, TheHostsDeathEndsEverything) {
  const std::string mark = "r1orphan" + std::to_string(::getpid());
  const auto orphans = [&] {
    size_t n = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      std::stringstream text;
      text << std::ifstream(entry.path() / "environ", std::ios::binary).rdbuf();
      if (entry.path().filename() != std::to_string(::getpid())) n += text.str().find(mark) != std::string::npos;
    }
    return n;
  };
  Program program = shell("trap '' TERM HUP; (setsid sleep 1000 &); while :; do sleep 1000; done");
  program.env.emplace_back("R1_MARK", mark);
  const pid_t host = ::fork();  // this process has one thread here
  if (host == 0) {
    const auto process = box_->start(program, quick_limits(1000));
    ::usleep(100'000'000);
    ::_exit(0);
  }
  size_t seen = 0;  // some come and go
  for (int i = 0; i < 400 && seen < 3; ++i) {
    ::usleep(25'000);
    seen = std::max(seen, orphans());
  }
  EXPECT_GE(seen, 2u);
  ::kill(host, SIGKILL);
  ::waitpid(host, nullptr, 0);
  for (int i = 0; i < 80 && orphans() > 0; ++i) ::usleep(25'000);
  EXPECT_EQ(orphans(), 0u);
  ::usleep(100'000);  // the group is removed right after
  std::error_code error;
  const std::string group = "r1-sandbox-" + std::to_string(host) + "-";
  if (std::filesystem::exists("/sys/fs/cgroup")) {
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator("/sys/fs/cgroup", std::filesystem::directory_options::skip_permission_denied, error))
      EXPECT_FALSE(entry.path().filename().string().starts_with(group)) << entry.path();
  }
}

TEST_F(SandboxTest, ManyThreadsAtOnce) {
  const Leftovers before;
  std::vector<std::function<void()>> jobs;
  for (int i = 0; i < 48; ++i) {
    jobs.push_back([&, i] {
      const std::string text = std::to_string(i);
      Program program = shell("read x; echo $x $x; echo " + text + " >&2; exit " + text);
      program.env.emplace_back("R1_MARK", "r1threads");
      program.input = text + "\n";
      const Outcome o = run(program);
      EXPECT_EQ(o.out, text + " " + text + "\n") << o.reason;
      EXPECT_EQ(o.err, text + "\n");
      EXPECT_EQ(o.status, i);
    });
  }
  in_parallel(jobs, 8);
  EXPECT_EQ(before.found("r1threads"), "");
}

// A trainer maps tens of GB: starting a program from it must not copy page tables.
TEST_F(SandboxTest, ALargeHostProcessStartsAsFast) {
  const auto median = [&] {
    std::vector<double> times;
    for (int i = 0; i < 9; ++i) {
      const auto from = Clock::now();
      EXPECT_EQ(run(shell(":")).end, End::kExited);
      times.push_back(seconds_since(from));
    }
    std::nth_element(times.begin(), times.begin() + 4, times.end());
    return times[4];
  };
  const double small = median();
  constexpr size_t kBytes = size_t{1} << 30;
  void* memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  ::madvise(memory, kBytes, MADV_NOHUGEPAGE);
  for (size_t i = 0; i < kBytes; i += 4096) static_cast<volatile char*>(memory)[i] = 1;
  const double large = median();
  ::munmap(memory, kBytes);
  EXPECT_LT(large, 3 * small + 0.05) << small << " s before, " << large << " s with a GiB of small pages";
}

TEST_F(SandboxTest, AChannelIsDescriptor3AndNothingElseIsOpen) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);  // without close-on-exec: what the host leaks must not come along
  Program program = shell("echo verdict >&3; ls /proc/self/fd | wc -l; readlink /proc/self/fd/4 || echo none");
  program.channel_fd = ends[1];
  const Outcome o = run(program);
  ::close(ends[1]);
  char text[32] = {};
  EXPECT_EQ(::read(ends[0], text, sizeof text), 8);
  EXPECT_STREQ(text, "verdict\n");
  ::close(ends[0]);
  EXPECT_EQ(o.out, "5\nnone\n") << o.err;  // 0 to 3 and the folder that ls reads
}

}  // namespace
}  // namespace r1::verify::sandbox
