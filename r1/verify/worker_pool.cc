#include "r1/verify/worker_pool.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>

#include "r1/base/error.h"
#include "r1/verify/verify.h"

namespace r1::verify {
namespace {

using Clock = std::chrono::steady_clock;

// Waits for the socket; with a deadline, until then.
bool ready(int fd, short events, const Clock::time_point* until) {
  for (;;) {
    const auto left = until ? std::chrono::duration_cast<std::chrono::milliseconds>(*until - Clock::now()).count() : -1;
    if (until && left <= 0) return false;
    pollfd p{fd, events, 0};
    const int n = ::poll(&p, 1, int(left));
    if (n < 0 && errno == EINTR) continue;
    return n > 0;
  }
}
bool send_all(int fd, const char* data, size_t n, const Clock::time_point* until, bool* late) {
  while (n) {
    if (until && !ready(fd, POLLOUT, until)) return *late = true, false;
    const ssize_t sent = ::send(fd, data, n, MSG_NOSIGNAL | (until ? MSG_DONTWAIT : 0));
    if (sent < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (sent <= 0) return false;
    data += sent, n -= size_t(sent);
  }
  return true;
}
// false: closed, or (with a deadline) too late, which `late` says.
bool receive_all(int fd, char* data, size_t n, const Clock::time_point* until, bool* late) {
  while (n) {
    if (until && !ready(fd, POLLIN, until)) return *late = true, false;
    const ssize_t got = ::recv(fd, data, n, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    data += got, n -= size_t(got);
  }
  return true;
}

struct Header {
  uint32_t first, second, code;
};
bool send_message(int fd, std::string_view a, std::string_view b, uint32_t code, const Clock::time_point* until, bool* late) {
  const Header h{uint32_t(a.size()), uint32_t(b.size()), code};
  std::string all(reinterpret_cast<const char*>(&h), sizeof h);
  all.append(a).append(b);
  return send_all(fd, all.data(), all.size(), until, late);
}
bool receive_message(int fd, std::string& a, std::string& b, uint32_t& code, const Clock::time_point* until, bool* late) {
  Header h;
  if (!receive_all(fd, reinterpret_cast<char*>(&h), sizeof h, until, late)) return false;
  if (h.first > 1'000'000 || h.second > 1'000'000) return false;
  a.resize(h.first);
  b.resize(h.second);
  code = h.code;
  return receive_all(fd, a.data(), a.size(), until, late) && receive_all(fd, b.data(), b.size(), until, late);
}

void close_all_but(int fd) {
  if (fd > 3) ::syscall(SYS_close_range, 3u, unsigned(fd) - 1, 0u);
  ::syscall(SYS_close_range, unsigned(fd) + 1, ~0u, 0u);
}

[[noreturn]] void work(int fd, const EqualityOptions& options) {
  close_all_but(fd);
  ::signal(SIGINT, SIG_IGN);  // the parent decides when a run ends
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  std::string gold, answer;
  for (uint32_t fault = 0;;) {
    if (!receive_message(fd, gold, answer, fault, nullptr, nullptr)) ::_exit(0);
    if (fault == 2) ::_exit(66);
    while (fault == 1) ::pause();
    AnswerCheck out{AnswerVerdict::kCrash, "", "the check failed"};
    try {
      bool exhausted = false;
      out = check_texts(gold, answer, options, kLargeBudget, &exhausted);
    } catch (const std::exception& e) {
      out.reason = e.what();
    }
    if (!send_message(fd, out.extracted, out.reason, uint32_t(out.verdict), nullptr, nullptr)) ::_exit(0);
  }
}

}  // namespace

WorkerPool::WorkerPool(int size, EqualityOptions options) : size_(size), options_(options) {}

WorkerPool::~WorkerPool() {
  for (Worker& w : idle_) stop(w);
  std::lock_guard lock(mutex_);
  reap(true);
}

WorkerPool::Worker WorkerPool::start() const {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return {};
  const pid_t pid = ::fork();
  if (pid == 0) work(ends[1], options_);
  ::close(ends[1]);
  if (pid < 0) {
    ::close(ends[0]);
    return {};
  }
  return {pid, ends[0]};
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

AnswerCheck WorkerPool::check(std::string_view gold, std::string_view answer, double deadline, int fault) {
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
  if (worker.pid < 0) worker = start();
  AnswerCheck out{AnswerVerdict::kCrash, "", "no worker process could be started"};
  bool good = false, late = false;
  if (worker.pid >= 0) {
    uint32_t verdict = 0;
    good = send_message(worker.socket, gold, answer, uint32_t(fault), &until, &late) &&
           receive_message(worker.socket, out.extracted, out.reason, verdict, &until, &late) && verdict <= uint32_t(AnswerVerdict::kCrash);
    if (good)
      out.verdict = AnswerVerdict(verdict);
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
