#include "r1/verify/judge/pool.h"

#include <unistd.h>

#include <algorithm>

#include "r1/base/error.h"
#include "r1/base/log.h"
#include "r1/verify/judge/python_source.h"
#include "r1/verify/judge/value.h"

namespace r1::verify::judge {
namespace {

constexpr double kStartSeconds = 10;  // a launcher that has not answered by then is broken

sandbox::Limits sandbox_limits(const LauncherLimits& limits) {
  sandbox::Limits out;
  out.wall_seconds = 1;  // counts from finish() on, which is called when the channel has closed
  out.cpu_seconds = limits.cpu_seconds;
  out.memory_bytes = limits.memory_bytes;
  out.disk_bytes = int64_t{256} << 20;
  out.processes = 64;
  return out;
}

}  // namespace

sandbox::Outcome Launcher::end() {
  channel.close();
  return process->finish();
}

std::string compile_launcher(const sandbox::Sandbox& sandbox) {
  sandbox::Program program;
  program.argv = {kPython, "-I", "-S", "-c",
                  "import sys, marshal; sys.stdout.buffer.write(marshal.dumps(compile(sys.stdin.buffer.read(), 'judge', 'exec')))"};
  program.input = python_source();
  const auto outcome = sandbox.run(program, {});
  if (outcome.end != sandbox::End::kExited || outcome.status != 0)
    fail("[judge] ", kPython, " could not be run in the sandbox (", sandbox::end_name(outcome.end), " ", outcome.status,
         "): ", outcome.reason.empty() ? outcome.err.substr(0, 400) : outcome.reason, "; programs are judged through a Python 3 there");
  return outcome.out;
}

LauncherPool::LauncherPool(const sandbox::Sandbox& sandbox, std::string code, LauncherLimits limits, int warm, bool alone)
    : sandbox_(sandbox), code_(std::move(code)), limits_(std::move(limits)), warm_(warm), alone_(alone) {
  if (warm_ > 0) tender_ = std::thread([this] { tend(); });
}

LauncherPool::~LauncherPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wanted_.notify_all();
  if (tender_.joinable()) tender_.join();
}

std::unique_ptr<Launcher> LauncherPool::start(const LauncherLimits& limits) const {
  const auto [ours, theirs] = channel_pair();
  auto launcher = std::make_unique<Launcher>();
  launcher->channel = Channel(ours);
  sandbox::Program program;
  program.argv = {kPython, "-I", "-S", "-B", "-X", "utf8", "-c", "import marshal; exec(marshal.loads(open('/box/.judge', 'rb').read()))"};
  if (alone_) program.argv.push_back("--alone");
  program.files = {{".judge", code_}};
  program.mounts = limits.mounts;
  program.channel_fd = theirs;
  program.adopts_orphans = true;
  try {
    launcher->process = sandbox_.start(program, sandbox_limits(limits));
  } catch (...) {
    ::close(theirs);
    throw;
  }
  ::close(theirs);
  return launcher;
}

std::unique_ptr<Launcher> LauncherPool::start_warm() const {
  auto launcher = start(limits_);
  const auto until = after(kStartSeconds);
  std::string answer;
  if (launcher->channel.send(encode_value(Value::list({Value::of(std::string_view("warm"))})), until) != ChannelStatus::kOk ||
      launcher->channel.receive(answer, until) != ChannelStatus::kOk) {
    const auto outcome = launcher->end();
    fail("[judge] a launcher did not start: ", sandbox::end_name(outcome.end), " ", outcome.status, " ", outcome.reason,
         outcome.err.substr(0, 400));
  }
  return launcher;
}

// The pool's own thread: ends used launchers, starts new ones.
void LauncherPool::tend() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (int(idle_.size()) < warm_ && failures_ < 10) {
      lock.unlock();
      std::unique_ptr<Launcher> fresh;
      std::string error;
      try {
        fresh = start_warm();
      } catch (const std::exception& e) {
        error = e.what();
      }
      lock.lock();
      failures_ = fresh ? 0 : failures_ + 1;
      if (!fresh) log_warning(error, failures_ < 10 ? "" : "; no warm launchers from now on");
      if (fresh) idle_.push_back(std::move(fresh));
      ready_.notify_all();
      if (fresh == nullptr && failures_ < 10) wanted_.wait_for(lock, std::chrono::milliseconds(100), [this] { return stopping_; });
      continue;
    }
    if (!used_.empty()) {
      auto old = std::move(used_.front());
      used_.pop_front();
      lock.unlock();
      old.reset();
      lock.lock();
      continue;
    }
    wanted_.wait(lock, [this] { return stopping_ || !used_.empty() || (int(idle_.size()) < warm_ && failures_ < 10); });
  }
}

std::unique_ptr<Launcher> LauncherPool::take(const LauncherLimits& limits) {
  if (warm_ > 0 && limits == limits_) {
    std::unique_ptr<Launcher> launcher;
    {
      std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        launcher = std::move(idle_.front());
        idle_.pop_front();
      }
    }
    wanted_.notify_one();
    if (launcher) return launcher;
  }
  return start(limits);
}

void LauncherPool::give_back(std::unique_ptr<Launcher> launcher) {
  if (!launcher) return;
  launcher->channel.close();
  if (warm_ <= 0) return;  // ends here
  launcher->process->kill();
  {
    std::lock_guard lock(mutex_);
    // Under a steady load the pool's thread only starts new ones: who is faster than it ends his own, or they pile up with all that they hold.
    if (int(used_.size()) < std::max(4, warm_)) used_.push_back(std::move(launcher));
  }
  launcher.reset();
  wanted_.notify_one();
}

void LauncherPool::wait_until_warm() {
  std::unique_lock lock(mutex_);
  ready_.wait(lock, [this] { return int(idle_.size()) >= warm_ || failures_ >= 10; });
}

}  // namespace r1::verify::judge
