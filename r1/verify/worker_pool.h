// Worker processes for the checks that a small budget cannot decide. A worker is a program of its own (worker_main.cc, carried in memory
// and executed from there), so it has nothing of the caller's: no pages, no descriptors, no locks. It answers one request at a time and
// leaves when its socket closes. The parent waits with poll() up to the deadline, then kills the worker and forgets it; the next check that
// needs one starts another.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "r1/verify/check.h"
#include "r1/verify/worker_channel.h"

namespace r1::verify {

// The most that one worker takes, held by a limit of its own (RLIMIT_DATA), its program included. Measured: 16 MB at the peak
// (worker_peak_bytes of Verify.WorkersStayWithinTheMemoryThatIsPlanned).
inline constexpr int64_t kWorkerBytes = int64_t{256} << 20;

class WorkerPool {
 public:
  WorkerPool(int size, EqualityOptions options);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // At most `deadline` seconds, the wait for a free worker included.
  AnswerCheck check(std::string_view gold, std::string_view answer, double deadline, WorkerFault fault = kWorkerWorks);
  int64_t replaced() const;

 private:
  struct Worker {
    int pid = -1, socket = -1;
  };
  // Throws Error if this machine lets no program be started.
  static Worker start();
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
