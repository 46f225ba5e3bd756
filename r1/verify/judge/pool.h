// Launchers: sandboxes with a Python interpreter that waits on a channel for what to do (python_source.h). Each is used for one check and
// thrown away. A pool keeps some started ahead of time.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "r1/verify/judge/channel.h"
#include "r1/verify/sandbox/sandbox.h"

namespace r1::verify::judge {

struct Launcher {
  std::unique_ptr<sandbox::Process> process;
  Channel channel;
  // The channel has closed: how did it end? Waits for the end of its process, which is near.
  sandbox::Outcome end();
};

struct LauncherLimits {
  int64_t memory_bytes = int64_t{512} << 20;
  double cpu_seconds = 120;
  std::vector<sandbox::Mount> mounts;
  bool operator==(const LauncherLimits& other) const {
    return memory_bytes == other.memory_bytes && cpu_seconds == other.cpu_seconds && mounts.empty() && other.mounts.empty();
  }
};

class LauncherPool {
 public:
  // `code`: the launcher, compiled by the very interpreter that will run it. `alone`: it has a pid namespace of its own.
  LauncherPool(const sandbox::Sandbox& sandbox, std::string code, LauncherLimits limits, int warm, bool alone);
  ~LauncherPool();

  // A warm one if there is one and the limits are the pool's, else a new one.
  std::unique_ptr<Launcher> take(const LauncherLimits& limits);
  // Used up; its end costs milliseconds, which a pool with warm launchers pays behind the caller's back, as long as few wait for it.
  void give_back(std::unique_ptr<Launcher> launcher);
  void wait_until_warm();
  const LauncherLimits& limits() const { return limits_; }

 private:
  std::unique_ptr<Launcher> start(const LauncherLimits& limits) const;
  std::unique_ptr<Launcher> start_warm() const;
  void tend();

  const sandbox::Sandbox& sandbox_;
  const std::string code_;
  const LauncherLimits limits_;
  const int warm_;
  const bool alone_;
  std::mutex mutex_;
  std::condition_variable wanted_, ready_;
  std::deque<std::unique_ptr<Launcher>> idle_, used_;
  bool stopping_ = false;
  int failures_ = 0;
  std::thread tender_;
};

// Compiles python_source() with the interpreter in the sandbox. Throws Error saying what went wrong.
std::string compile_launcher(const sandbox::Sandbox& sandbox);

inline constexpr const char* kPython = "/usr/bin/python3";

}  // namespace r1::verify::judge
