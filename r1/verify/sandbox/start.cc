#include "r1/verify/sandbox/start.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>

#include "r1/base/error.h"
#include "r1/verify/sandbox/setup.h"
#include "r1/verify/sandbox/setup_format.h"
#include "r1/verify/sandbox/spawn.h"
#include "r1/verify/sandbox/usage.h"

namespace r1::verify::sandbox {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kLookEvery = 0.05;  // seconds between looks at memory and CPU time
constexpr double kMostStretch = 10;  // of the wall time limit, for a program that waits for a CPU
constexpr double kPatience = 0.6;    // for the supervisor to end everything before it is killed itself
constexpr double kLastPatience = 0.2;

double seconds_since(Clock::time_point from) {
  return std::chrono::duration<double>(Clock::now() - from).count();
}

void set_nonblocking(int fd) {
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
}

// The user that bubblewrap runs as must be able to write there.
void give_writable_mounts(const Machine& machine, const Program& program) {
  for (const Mount& mount : program.mounts) {
    if (!mount.writable || machine.uid == R1_NO_UID) continue;
    check(::chown(mount.host.c_str(), machine.uid, machine.uid) == 0, "[sandbox] cannot give ", mount.host.string(), " to user ",
          machine.uid, ": ", std::strerror(errno));
  }
}

// So that the program can open /dev/stdout and the like: a pipe belongs to who made it.
void give_pipes(const Machine& machine, std::initializer_list<const Pipe*> pipes) {
  if (machine.uid == R1_NO_UID) return;
  for (const Pipe* pipe : pipes) {
    check(::fchown(pipe->read.get(), machine.uid, machine.uid) == 0, "[sandbox] cannot give a pipe to user ", machine.uid, ": ",
          std::strerror(errno));
  }
}

// One of stdout and stderr, up to the cap.
struct Capture {
  Fd fd;
  std::string text;
  bool over = false;

  // Reads what is there. Closes at the end.
  void read(size_t cap) {
    char buffer[65536];
    for (;;) {
      const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) return fd.reset();
      const size_t room = cap - text.size();
      text.append(buffer, std::min(size_t(n), room));
      if (size_t(n) > room) {
        over = true;
        return;
      }
    }
  }
};

// stdin. The reading end stays open here as well, so that a program that doesn't read raises no SIGPIPE in this process.
struct Feed {
  Fd write, read;
  std::string text;
  size_t done = 0;

  void push() {
    while (write && done < text.size()) {
      const ssize_t n = ::write(write.get(), text.data() + done, text.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return;
      done += size_t(n);
    }
  }
  void close() { write.reset(), read.reset(); }
};

class Running : public Process {
 public:
  Running(const Machine& machine, const Layers& layers, const Program& program, const Limits& limits);
  ~Running() override;
  Outcome finish(std::string_view input) override;
  void kill() override {
    killed_ = true;
    ask_to_end();
  }

 private:
  enum class Stop { kNone, kTimeout, kCpuTime, kMemory, kOutput };

  void ask_to_end() const { ::send(supervisor_.control.get(), "K", 1, MSG_NOSIGNAL | MSG_DONTWAIT); }
  void stop(Stop why);
  void loop();
  void wait_for_events(double seconds);
  void read_final();
  void look();
  void force_end();
  void clean_up();
  void remove_group();
  void read_status();
  void judge(Outcome& outcome) const;
  double waited() const;
  std::string failure() const;

  const Limits limits_;
  std::unique_ptr<Cgroup> cgroup_;
  bool counts_memory_ = false;
  Supervisor supervisor_;
  Capture out_, err_;
  Feed in_;
  Fd status_;
  std::atomic<bool> killed_ = false;

  bool done_ = false, gone_ = false;  // the supervisor's last word, or its end without one
  bool forced_ = false;
  Stop stop_ = Stop::kNone;
  Clock::time_point begin_, stopped_at_, last_look_;
  r1_final final_ = {};
  std::optional<r1_status> started_, failed_, ended_;
  double cpu_seconds_ = 0, waited_ = 0;
};

Running::Running(const Machine& machine, const Layers& layers, const Program& program, const Limits& limits) : limits_(limits) {
  check_program(program, limits);
  give_writable_mounts(machine, program);
  if (layers.cgroup) cgroup_ = machine.cgroups.make(limits);
  counts_memory_ = cgroup_ && machine.cgroups.has_memory();
  Pipe in = make_pipe(), out = make_pipe(), err = make_pipe(), status = make_pipe();
  give_pipes(machine, {&in, &out, &err});
  const Fd setup = memory_file("r1-sandbox", setup_bytes(machine, layers, program, limits, cgroup_.get()));
  const Fd nothing(program.channel_fd < 0 ? ::open("/dev/null", O_RDONLY | O_CLOEXEC) : -1);
  std::vector<Fd> own;  // each run reads these from their start
  for (const Fd* file : {&machine.filter, &machine.launcher, &machine.passwd, &machine.group, &machine.hosts})
    own.push_back(reopen_for_reading(*file));
  std::vector<int> fds = {out.write.get(), err.write.get(), nothing ? nothing.get() : program.channel_fd,
                          in.read.get(),   setup.get(),     status.write.get()};
  for (const Fd& file : own) fds.push_back(file.get());
  if (cgroup_) {
    for (const Fd& file : cgroup_->join_files()) fds.push_back(file.get());
  }
  supervisor_ = spawn_supervisor(machine.launcher, fds);
  out_.fd = std::move(out.read);
  err_.fd = std::move(err.read);
  in_.write = std::move(in.write);
  in_.read = std::move(in.read);
  in_.text = program.input;
  status_ = std::move(status.read);
  for (const int fd : {out_.fd.get(), err_.fd.get(), in_.write.get(), status_.get()}) set_nonblocking(fd);
  in_.push();
}

Running::~Running() {
  if (done_ || gone_) return;
  in_.close();
  stop(Stop::kTimeout);
  loop();
  clean_up();
  remove_group();
}

void Running::stop(Stop why) {
  if (stop_ != Stop::kNone) return;
  stop_ = why;
  stopped_at_ = Clock::now();
  ask_to_end();
}

Outcome Running::finish(std::string_view input) {
  check(!done_ && !gone_, "[sandbox] finish() was called before");
  begin_ = last_look_ = Clock::now();
  in_.text.append(input);
  loop();
  Outcome outcome;
  outcome.wall_seconds = seconds_since(begin_);
  outcome.waited_seconds = waited_;
  clean_up();
  judge(outcome);
  remove_group();
  outcome.out = std::move(out_.text);
  outcome.err = std::move(err_.text);
  return outcome;
}

// Until the supervisor has spoken, or a bounded time after it should have.
void Running::loop() {
  while (!done_ && !gone_) {
    in_.push();
    if (in_.done == in_.text.size()) in_.close();
    double wait;
    if (stop_ != Stop::kNone) {
      const double since = seconds_since(stopped_at_);
      if (since > kPatience && !forced_) force_end();
      if (since > kPatience + kLastPatience) break;
      wait = 0.02;
    } else {
      double left = limits_.wall_seconds + waited_ - seconds_since(begin_);
      if (left <= 0) {
        waited_ = std::max(waited_, waited());
        left = limits_.wall_seconds + waited_ - seconds_since(begin_);
      }
      if (left <= 0) {
        stop(Stop::kTimeout);
        continue;
      }
      if (seconds_since(last_look_) >= kLookEvery) look();
      wait = std::min(left, kLookEvery);
    }
    wait_for_events(wait);
  }
}

// On a busy machine a program is not to blame for the time in which it was ready and others had the CPUs: a verdict does not depend on load.
// What its own processes ran is no such time: a program that starves itself gains nothing.
double Running::waited() const {
  const Usage usage = usage_below(supervisor_.pid);
  const double cpu = std::max(cgroup_ ? cgroup_->cpu_seconds() : -1, usage.cpu_seconds);
  return std::clamp(std::min(usage.waited_seconds, seconds_since(begin_) - cpu), 0.0, (kMostStretch - 1) * limits_.wall_seconds);
}

void Running::wait_for_events(double seconds) {
  const bool over = out_.over || err_.over;
  pollfd on[4] = {{supervisor_.control.get(), POLLIN, 0},
                  {over ? -1 : out_.fd.get(), POLLIN, 0},
                  {over ? -1 : err_.fd.get(), POLLIN, 0},
                  {in_.write.get(), POLLOUT, 0}};
  const auto nanoseconds = int64_t(std::max(0.0, seconds) * 1e9);
  const timespec timeout{time_t(nanoseconds / 1'000'000'000), long(nanoseconds % 1'000'000'000)};
  if (::ppoll(on, 4, &timeout, nullptr) <= 0) return;
  if (on[1].revents) out_.read(size_t(limits_.output_bytes));
  if (on[2].revents) err_.read(size_t(limits_.output_bytes));
  if (out_.over || err_.over) stop(Stop::kOutput);
  if (on[0].revents) read_final();
}

void Running::read_final() {
  const ssize_t n = ::recv(supervisor_.control.get(), &final_, sizeof final_, MSG_DONTWAIT | MSG_WAITALL);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  (n == ssize_t(sizeof final_) ? done_ : gone_) = true;
}

// Has a cap been passed that no event tells of?
void Running::look() {
  last_look_ = Clock::now();
  double cpu = cgroup_ ? cgroup_->cpu_seconds() : -1;
  if (cgroup_ && cgroup_->memory_kills() > 0) return stop(Stop::kMemory);
  if (cpu < 0 || !counts_memory_) {
    const Usage usage = usage_below(supervisor_.pid);
    if (cpu < 0) cpu = usage.cpu_seconds;
    if (!counts_memory_ && usage.memory_bytes > limits_.memory_bytes) return stop(Stop::kMemory);
  }
  cpu_seconds_ = std::max(cpu_seconds_, cpu);
  if (cpu > limits_.cpu_seconds) stop(Stop::kCpuTime);
}

// The supervisor did not manage: its death is bubblewrap's, and that is the namespace's.
void Running::force_end() {
  forced_ = true;
  if (cgroup_) cgroup_->kill_all();
  ::kill(supervisor_.pid, SIGKILL);
}

void Running::clean_up() {
  gone_ = !done_;
  // It leaves right after its last word; a few ms at most, unless the machine is on its knees.
  for (int i = 0; i < 400; ++i) {
    const pid_t got = ::waitpid(supervisor_.pid, nullptr, WNOHANG);
    if (got == supervisor_.pid || (got < 0 && errno == ECHILD)) break;
    const timespec pause{0, i < 20 ? 50'000 : 1'000'000};
    ::nanosleep(&pause, nullptr);
  }
  if (!out_.over && out_.fd) out_.read(size_t(limits_.output_bytes));
  if (!err_.over && err_.fd) err_.read(size_t(limits_.output_bytes));
  in_.close();
  read_status();
  if (!cgroup_) return;
  cpu_seconds_ = std::max(cpu_seconds_, cgroup_->cpu_seconds());
}

// Empty as soon as the supervisor has spoken; a little later if it had to be killed.
void Running::remove_group() {
  for (int i = 0; cgroup_ && !cgroup_->remove() && i < 100; ++i) {
    cgroup_->kill_all();
    const timespec pause{0, 2'000'000};
    ::nanosleep(&pause, nullptr);
  }
}

void Running::read_status() {
  r1_status row;
  while (::read(status_.get(), &row, sizeof row) == ssize_t(sizeof row)) {
    if (row.kind == R1_STARTED) started_ = row;
    if (row.kind == R1_FAILED) failed_ = row;
    if (row.kind == R1_ENDED) ended_ = row;
  }
}

std::string Running::failure() const {
  if (!failed_) return "bubblewrap could not set the sandbox up: " + (err_.text.empty() ? "no word from it" : err_.text);
  const char* text = std::strerror(failed_->code);
  switch (failed_->step) {
    case R1_STEP_SETUP:
      return str("the setup could not be read: ", text);
    case R1_STEP_CGROUP:
      return str("the control group could not be joined: ", text);
    case R1_STEP_STAGE:
      return str("a mount could not be prepared (does it exist?): ", text);
    case R1_STEP_USER:
      return str("user ", failed_->which, " could not be taken: ", text);
    case R1_STEP_BUBBLEWRAP:
      return str("bubblewrap could not be executed: ", text);
    case R1_STEP_FILE:
      return str("file ", failed_->which, " could not be written (disk_bytes, memory_bytes?): ", text);
    case R1_STEP_FORK:
      return str("no process could be made: ", text);
    case R1_STEP_RLIMIT:
      return str("limit ", failed_->which, " could not be set: ", text);
    case R1_STEP_LANDLOCK:
      return str("Landlock could not be applied: ", text);
    case R1_STEP_DIRECTORY:
      return str("the directory could not be entered: ", text);
    default:
      return str("the program could not be executed: ", text);
  }
}

void Running::judge(Outcome& outcome) const {
  const int64_t kills = cgroup_ ? cgroup_->memory_kills() : 0;
  outcome.peak_memory = counts_memory_ ? cgroup_->peak_memory() : int64_t(ended_ ? ended_->max_rss_kb : final_.max_rss_kb) * 1024;
  outcome.cpu_seconds = ended_ ? double(ended_->cpu_us) * 1e-6 : std::max(cpu_seconds_, double(final_.cpu_us) * 1e-6);
  if (cgroup_ && cgroup_->cpu_seconds() >= 0) outcome.cpu_seconds = cgroup_->cpu_seconds();
  outcome.status = SIGKILL;
  outcome.end = End::kSignalled;
  if (killed_) {
    outcome.reason = "killed by its owner";
  } else if (kills > 0 || stop_ == Stop::kMemory) {
    outcome.end = End::kMemory;
    outcome.reason = str("over ", limits_.memory_bytes, " bytes of memory");
  } else if (failed_ || (!started_ && stop_ == Stop::kNone)) {
    outcome.end = End::kFailedToStart;
    outcome.status = 0;
    outcome.reason = failure();
  } else if (out_.over || err_.over) {
    outcome.end = End::kOutput;
    outcome.reason = str("wrote more than ", limits_.output_bytes, " bytes to ", out_.over ? "stdout" : "stderr");
  } else if (stop_ == Stop::kCpuTime || (ended_ && WIFSIGNALED(ended_->code) && outcome.cpu_seconds >= limits_.cpu_seconds &&
                                         (WTERMSIG(ended_->code) == SIGXCPU || WTERMSIG(ended_->code) == SIGKILL))) {
    outcome.end = End::kCpuTime;
    outcome.reason = str("used ", outcome.cpu_seconds, " s of CPU time, allowed ", limits_.cpu_seconds);
  } else if (stop_ == Stop::kTimeout && !ended_) {
    outcome.end = End::kTimeout;
    outcome.reason = str("ran longer than ", limits_.wall_seconds, " s");
  } else if (ended_ && WIFEXITED(ended_->code)) {
    outcome.end = End::kExited;
    outcome.status = WEXITSTATUS(ended_->code);
  } else if (ended_) {
    outcome.status = WTERMSIG(ended_->code);
  } else {
    outcome.reason = "ended without a word";
  }
  if (cgroup_ && cgroup_->processes_refused() > 0)
    outcome.reason += str(outcome.reason.empty() ? "" : "; ", "the cap of ", limits_.processes, " processes refused some");
}

}  // namespace

std::unique_ptr<Process> start_process(const Machine& machine, const Layers& layers, const Program& program, const Limits& limits) {
  return std::make_unique<Running>(machine, layers, program, limits);
}

}  // namespace r1::verify::sandbox
