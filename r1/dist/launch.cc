#include "r1/dist/launch.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string_view>

#include "r1/base/error.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/threads.h"
#include "r1/dist/pulse.h"
#include "r1/dist/store.h"

namespace r1::dist {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A pipe's reading end here, the other end in a rank.
struct PipeEnds {
  int read = -1, write = -1;
};
PipeEnds new_pipe() {
  int ends[2];
  check(pipe2(ends, O_CLOEXEC) == 0, "no pipe: ", std::strerror(errno));
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return {ends[0], ends[1]};
}

constexpr size_t kMostAtOnce = 1 << 20;  // bytes a turn: a rank that says much must not keep the launcher from the others
constexpr size_t kLongLine = 1 << 16;    // is said in pieces
constexpr size_t kLastLines = 20;        // of a rank that is not heard, kept for when it fails

struct Process {
  int64_t rank = 0;
  pid_t pid = -1;
  int output = -1, beats = -1;
  std::string line, beat, doing;  // begun and not ended; the last collective
  std::deque<std::string> last_lines;
  double last_sign = 0;       // 0: none yet
  std::optional<int> status;  // of waitpid
};

int exit_code(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return str("was ended by signal ", WTERMSIG(status), " (", strsignal(WTERMSIG(status)), ")");
  return str("ended with exit code ", WEXITSTATUS(status));
}

// "T" of a process that is stopped.
char state_of(pid_t pid) {
  std::ifstream file(str("/proc/", pid, "/stat"));
  std::string text;
  std::getline(file, text);
  const size_t close = text.rfind(')');
  return close == std::string::npos || close + 2 >= text.size() ? '?' : text[close + 2];
}

class Attempt {
 public:
  Attempt(const LaunchOptions& options, const Store& store, const std::string& run_id, int64_t attempt)
      : options_(options), run_id_(run_id) {
    for (int64_t rank = 0; rank < options.processes; ++rank) processes_.push_back(start(rank, store, attempt));
  }
  ~Attempt() {
    for (Process& p : processes_) end_group(p);
    for (Process& p : processes_) {
      if (!p.status) waitpid(p.pid, nullptr, 0);
      close(p.output);
      close(p.beats);
    }
  }

  // Until all have ended. The code of the first that failed.
  int wait() {
    int code = 0;
    double kill_at = 0, before = now();
    bool told = false;
    for (;;) {
      listen();
      const double time = now();
      // This process itself did not run for a while (Ctrl-Z, a sleeping machine): what it did not hear in that time means nothing.
      if (time - before > 2)
        for (Process& p : processes_) p.last_sign += p.last_sign > 0 ? time - before : 0;
      before = time;
      if (reap(code) && kill_at == 0) kill_at = time + options_.grace;
      if (code == 0 && silent(time, code)) kill_at = time;
      if (interrupted() && !told) {
        told = true;
        for (const Process& p : processes_)
          if (!p.status) kill(p.pid, SIGTERM);
      }
      // Who is stopped has no words to say.
      if (kill_at > 0 && (time >= kill_at || std::all_of(processes_.begin(), processes_.end(),
                                                         [](const Process& p) { return p.status || state_of(p.pid) == 'T'; })))
        for (Process& p : processes_) end_group(p);
      if (std::all_of(processes_.begin(), processes_.end(), [](const Process& p) { return p.status.has_value(); })) break;
    }
    listen();
    // What a rank that is not heard had to say of its end.
    if (failed_first_ && code != static_cast<int>(ErrorKind::kInterrupted))
      for (const std::string& line : failed_first_->last_lines) std::cerr << line << std::flush;
    return code;
  }

 private:
  std::vector<std::string> environment(int64_t rank, const Store& store, int64_t attempt, int beats) const {
    const std::vector<std::pair<std::string, std::string>> set = {{"RANK", std::to_string(rank)},
                                                                  {"LOCAL_RANK", std::to_string(rank)},
                                                                  {"WORLD_SIZE", std::to_string(options_.processes)},
                                                                  {"LOCAL_WORLD_SIZE", std::to_string(options_.processes)},
                                                                  {"MASTER_ADDR", store.address().host},
                                                                  {"MASTER_PORT", std::to_string(store.address().port)},
                                                                  {"TORCHELASTIC_RUN_ID", run_id_},
                                                                  {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                                                                  {"TORCHELASTIC_RESTART_COUNT", std::to_string(attempt)},
                                                                  {"TORCHELASTIC_MAX_RESTARTS", std::to_string(options_.max_restarts)},
                                                                  {kBeatPipe, std::to_string(beats)}};
    std::vector<std::string> out;
    bool threads = false;
    for (char** entry = environ; *entry; ++entry) {
      const std::string text = *entry, name = text.substr(0, text.find('='));
      threads = threads || name == "OMP_NUM_THREADS" || name == "R1_NUM_THREADS";
      if (std::none_of(set.begin(), set.end(), [&](const auto& pair) { return pair.first == name; })) out.push_back(text);
    }
    for (const auto& [name, value] : set) out.push_back(name + "=" + value);
    if (!threads) out.push_back(str("OMP_NUM_THREADS=", std::max<int64_t>(1, usable_cpus() / options_.processes)));
    return out;
  }

  Process start(int64_t rank, const Store& store, int64_t attempt) const {
    Process process{.rank = rank};
    const PipeEnds beats = new_pipe(), output = rank == 0 ? PipeEnds() : new_pipe();
    fcntl(beats.write, F_SETFL, O_NONBLOCK);  // a rank does not wait for a launcher that is stopped
    const auto variables = environment(rank, store, attempt, beats.write);
    std::vector<char*> argv, envp;
    argv.push_back(const_cast<char*>(options_.program.c_str()));
    for (const auto& word : options_.arguments) argv.push_back(const_cast<char*>(word.c_str()));
    for (const auto& word : variables) envp.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    const pid_t parent = getpid();
    process.pid = fork();
    check(process.pid >= 0, "cannot start rank ", rank, ": ", std::strerror(errno));
    if (process.pid == 0) {
      // Between fork and exec only what a signal handler may do. A group of its own: Ctrl-C comes to the launcher, which passes it on once.
      setpgid(0, 0);
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(1);
      const int nothing = open("/dev/null", O_RDONLY);
      dup2(nothing, 0);
      if (rank > 0) {
        dup2(output.write, 1);
        dup2(output.write, 2);
      }
      fcntl(beats.write, F_SETFD, 0);
      execve(argv[0], argv.data(), envp.data());
      _exit(127);
    }
    setpgid(process.pid, process.pid);
    close(beats.write);
    if (output.write >= 0) close(output.write);
    process.beats = beats.read;
    process.output = output.read;
    return process;
  }

  // Reads what came, or waits a moment.
  void listen() {
    std::vector<pollfd> waits;
    for (const Process& p : processes_) {
      waits.push_back({p.output, POLLIN, 0});
      waits.push_back({p.beats, POLLIN, 0});
    }
    poll(waits.data(), waits.size(), 50);
    for (size_t i = 0; i < processes_.size(); ++i) {
      Process& p = processes_[i];
      take(p.output, waits[2 * i].revents, p.line);
      say_lines(p);
      take(p.beats, waits[2 * i + 1].revents, p.beat);
      if (p.beat.size() < kBeatBytes) continue;
      p.beat = p.beat.substr((p.beat.size() / kBeatBytes - 1) * kBeatBytes);
      p.doing = p.beat.substr(0, p.beat.find('\0'));
      p.beat = p.beat.substr(kBeatBytes);
      p.last_sign = now();
    }
  }

  static void take(int& fd, short events, std::string& into) {
    if (fd < 0 || events == 0) return;
    char buffer[65536];
    for (size_t taken = 0; taken < kMostAtOnce;) {
      const auto n = read(fd, buffer, sizeof buffer);
      if (n > 0) {
        into.append(buffer, size_t(n));
        taken += size_t(n);
      }
      if (n < 0 && errno == EINTR) continue;
      if (n == 0) {
        close(fd);
        fd = -1;
      }
      if (n <= 0) return;
    }
  }

  void say_lines(Process& p) const {
    const bool ended = p.status && p.output < 0;
    if (ended && !p.line.empty() && p.line.back() != '\n') p.line += '\n';
    std::string out;
    size_t begin = 0;
    for (;;) {
      const size_t newline = p.line.find('\n', begin), end = std::min(newline, begin + kLongLine);
      if (end >= p.line.size()) break;  // the beginning of a line
      const std::string said = str("[rank ", p.rank, "] ", std::string_view(p.line).substr(begin, end - begin), "\n");
      if (options_.quiet) {
        p.last_lines.push_back(said);
        if (p.last_lines.size() > kLastLines) p.last_lines.pop_front();
      } else {
        out += said;
      }
      begin = end + (end == newline ? 1 : 0);
    }
    p.line.erase(0, begin);
    if (!out.empty()) std::cerr << out << std::flush;
  }

  // True when a rank has failed, now or before.
  bool reap(int& code) {
    bool failed = false;
    for (Process& p : processes_) {
      int status = 0;
      if (!p.status && waitpid(p.pid, &status, WNOHANG) == p.pid) {
        p.status = status;
        kill(-p.pid, SIGKILL);  // what it left behind
        if (code == 0 && exit_code(status) != 0) {
          code = exit_code(status);
          failed_first_ = &p;
          if (code != 2 && code != 130)
            log_error("launch: rank ", p.rank, " (process ", p.pid, ") ", how_it_ended(status),
                      p.doing.empty() ? "" : "; its last collective: ", p.doing);
        }
      }
      // A stop that was asked for is no failure: the others get the time that they need for their checkpoint and report.
      failed = failed || (p.status && exit_code(*p.status) != 0 && exit_code(*p.status) != static_cast<int>(ErrorKind::kInterrupted));
    }
    return failed;
  }

  bool silent(double time, int& code) {
    for (const Process& p : processes_) {
      if (p.status || p.last_sign == 0 || time - p.last_sign < options_.timeout) continue;
      const char state = state_of(p.pid);
      log_error("launch: rank ", p.rank, " (process ", p.pid, ") gave no sign of life for ", int64_t(time - p.last_sign), " s",
                state == 'T' ? " (it is stopped: SIGSTOP)" : "", "; its last collective: ", p.doing);
      code = static_cast<int>(ErrorKind::kFailed);
      failed_first_ = &p;
      return true;
    }
    return false;
  }

  static void end_group(const Process& p) {
    if (p.status || p.pid <= 0) return;
    kill(-p.pid, SIGKILL);
    kill(p.pid, SIGKILL);
  }

  const LaunchOptions& options_;
  std::vector<Process> processes_;
  const std::string run_id_;
  const Process* failed_first_ = nullptr;
};

}  // namespace

int launch(const LaunchOptions& options) {
  install_interrupt_handler(false);  // rank 0 says it
  const Store store(StoreAddress{.host = "127.0.0.1", .port = options.port, .serve = true, .timeout = options.timeout});
  // Of this launch alone, also when a process has the same number another day.
  const std::string run_id = str("r1-", own_host(), "-", getpid(), "-", std::chrono::system_clock::now().time_since_epoch().count());
  for (int64_t attempt = 0;; ++attempt) {
    const int code = Attempt(options, store, run_id, attempt).wait();
    if (code == 0 || code == static_cast<int>(ErrorKind::kUsage) || code == static_cast<int>(ErrorKind::kInterrupted) || interrupted())
      return code;
    if (attempt == options.max_restarts) return code;
    log_warning("launch: all ranks start again, from the last checkpoint if there is one: restart ", attempt + 1, " of ",
                options.max_restarts);
  }
}

}  // namespace r1::dist
