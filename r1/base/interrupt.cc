#include "r1/base/interrupt.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "r1/base/error.h"

namespace r1 {
namespace {

constexpr int64_t kTogether = 200'000'000;  // nanoseconds

std::atomic<int64_t> first{0};  // when the first signal came, by the clock below; 0: none
std::atomic<bool> announces{true};
static_assert(std::atomic<int64_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

// What a signal handler may call, and never 0.
int64_t now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return std::max<int64_t>(1, int64_t(t.tv_sec) * 1'000'000'000 + t.tv_nsec);
}

void handle(int) {
  const int64_t at = now();
  int64_t before = 0;
  if (!first.compare_exchange_strong(before, at)) {
    if (at - before > kTogether) _exit(static_cast<int>(ErrorKind::kInterrupted));
    return;
  }
  if (!announces) return;
  static const char text[] = "\nstopping at the next safe point; once more to end at once\n";
  [[maybe_unused]] const auto n = ::write(2, text, sizeof text - 1);
}

}  // namespace

void install_interrupt_handler(bool announce) {
  announces = announce;
  struct sigaction action {};
  action.sa_handler = handle;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() {
  return first.load(std::memory_order_relaxed) != 0;
}
double seconds_since_interrupt() {
  const int64_t at = first.load(std::memory_order_relaxed);
  return at == 0 ? 0.0 : double(now() - at) * 1e-9;
}
void request_interrupt() {
  int64_t none = 0;
  first.compare_exchange_strong(none, now());
}
void clear_interrupt() {
  first = 0;
}

void throw_if_interrupted() {
  if (interrupted()) throw Error("interrupted", ErrorKind::kInterrupted);
}

}  // namespace r1
