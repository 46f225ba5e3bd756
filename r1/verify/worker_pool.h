// Worker processes for the checks that a small budget cannot decide. A worker is a fork that keeps only its own socket; it answers one
// request at a time and leaves when the socket closes. The parent waits with poll() up to the deadline, then kills the worker and forgets
// it; the next check that needs one forks another.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string_view>
#include <vector>

#include "r1/verify/equality.h"

namespace r1::verify {

struct AnswerCheck;

class WorkerPool {
 public:
  WorkerPool(int size, EqualityOptions options);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // At most `deadline` seconds, the wait for a free worker included. `fault` (tests): 1 hangs, 2 dies.
  AnswerCheck check(std::string_view gold, std::string_view answer, double deadline, int fault);
  int64_t replaced() const;

 private:
  struct Worker {
    int pid = -1, socket = -1;
  };
  Worker start() const;
  // Kills it. A process that takes its time to die is waited for later: the caller's deadline comes first.
  void stop(Worker& worker);
  void reap(bool wait);  // under mutex_

  const int size_;
  const EqualityOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<Worker> idle_;
  std::vector<int> dying_;
  int busy_ = 0;
  int64_t replaced_ = 0;
};

}  // namespace r1::verify
