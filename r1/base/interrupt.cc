#include "r1/base/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "r1/base/error.h"

namespace r1 {
namespace {

std::atomic<bool> requested{false}, announces{true};
static_assert(std::atomic<bool>::is_always_lock_free);

void handle(int) {
  if (requested.exchange(true)) _exit(static_cast<int>(ErrorKind::kInterrupted));
  if (!announces) return;
  static const char text[] = "\nstopping after this step; once more to end at once\n";
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
  return requested.load(std::memory_order_relaxed);
}
void request_interrupt() {
  requested = true;
}
void clear_interrupt() {
  requested = false;
}

void throw_if_interrupted() {
  if (interrupted()) throw Error("interrupted", ErrorKind::kInterrupted);
}

}  // namespace r1
