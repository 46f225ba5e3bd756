// Threads that run handlers, first come, first served.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace r1::http {

class WorkerPool {
 public:
  explicit WorkerPool(int64_t threads);
  ~WorkerPool();  // stop()
  // Ignored after stop(). `work` does not throw.
  void post(std::function<void()> work);
  // Drops what waits and joins the threads when they are done with what they are at.
  void stop();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace r1::http
