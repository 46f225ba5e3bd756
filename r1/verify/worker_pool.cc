#include "r1/verify/worker_pool.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "r1/base/error.h"
#include "r1/verify/sandbox/fd.h"
#include "r1/verify/worker_image.h"

namespace r1::verify {
namespace {

using Clock = WorkerClock;
using sandbox::Fd;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int64_t kLimit = 0;  // a sanitizer's shadow memory counts as data
#else
constexpr int64_t kLimit = kWorkerBytes;
#endif

// The socket as descriptor 0, nothing at 1, all signals as at birth, a session of its own: Ctrl-C in our terminal is ours to handle.
int spawn(pid_t* pid, const char* path, int socket) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, socket, 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawnattr_init(&attributes);
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
  char name[] = "r1-verify";
  std::string limit = std::to_string(kLimit);
  char* argv[] = {name, limit.data(), nullptr};
  const int bad = ::posix_spawn(pid, path, &actions, &attributes, argv, ::environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  return bad;
}

}  // namespace

WorkerPool::WorkerPool(int size, EqualityOptions options) : size_(size), options_(options) {}

WorkerPool::~WorkerPool() {
  for (Worker& w : idle_) stop(w);
  std::lock_guard lock(mutex_);
  reap(true);
}

WorkerPool::Worker WorkerPool::start() {
  static const Fd program = sandbox::memory_file("r1-verify", worker_image(), true);
  int ends[2];
  const bool made = ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0;  // before errno is asked
  r1::check(made, "no socket pair: ", std::strerror(errno), "; raise the limit on open files (ulimit -n)");
  Fd ours(ends[0]);
  const Fd theirs(ends[1]);
  pid_t pid = -1;
  const int bad = spawn(&pid, str("/proc/self/fd/", program.get()).c_str(), theirs.get());
  r1::check(bad == 0, std::strerror(bad), bad == EACCES ? "; is vm.memfd_noexec 2? Workers need 0 or 1" : "");
  return {pid, ours.release()};
}

void WorkerPool::stop(Worker& worker) {
  if (worker.pid < 0) return;
  ::close(worker.socket);
  ::kill(worker.pid, SIGKILL);
  std::lock_guard lock(mutex_);
  dying_.push_back(worker.pid);
  worker = {};
  reap(false);
}

void WorkerPool::reap(bool wait) {
  std::erase_if(dying_, [&](int pid) {
    int done;
    while ((done = ::waitpid(pid, nullptr, wait ? 0 : WNOHANG)) < 0 && errno == EINTR) continue;
    return done != 0;
  });
}

int64_t WorkerPool::replaced() const {
  std::lock_guard lock(mutex_);
  return replaced_;
}

AnswerCheck WorkerPool::check(std::string_view gold, std::string_view answer, double deadline, WorkerFault fault) {
  const auto until = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(deadline));
  Worker worker;
  {
    std::unique_lock lock(mutex_);
    if (!freed_.wait_until(lock, until, [&] { return busy_ < size_; }))
      return {AnswerVerdict::kTimeout, "", "no worker free before the deadline"};
    ++busy_;
    if (!idle_.empty()) {
      worker = idle_.back();
      idle_.pop_back();
    }
  }
  // one that died while it was idle (the system was short of memory, say) is no verdict on this check
  char none;
  if (worker.pid >= 0 && ::recv(worker.socket, &none, 1, MSG_PEEK | MSG_DONTWAIT) == 0) stop(worker);
  AnswerCheck out{AnswerVerdict::kCrash, "", ""};
  try {
    if (worker.pid < 0) worker = start();
  } catch (const std::exception& e) {
    out.reason = str("no worker process could be started: ", e.what());
  }
  bool good = false, late = false;
  if (worker.pid >= 0) {
    WorkerMessage message{std::string(gold), std::string(answer), fault, options_};
    good = send_message(worker.socket, message, &until, &late) && receive_message(worker.socket, message, &until, &late) &&
           message.code <= uint32_t(AnswerVerdict::kCrash);
    if (good)
      out = {AnswerVerdict(message.code), std::move(message.first), std::move(message.second)};
    else
      out = {late ? AnswerVerdict::kTimeout : AnswerVerdict::kCrash, "", late ? "deadline" : "the worker died"};
    if (!good) stop(worker);
  }
  {
    std::lock_guard lock(mutex_);
    --busy_;
    if (good)
      idle_.push_back(worker);
    else
      ++replaced_;
  }
  freed_.notify_one();
  return out;
}

}  // namespace r1::verify
