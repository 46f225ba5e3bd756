// Messages between a WorkerPool and its worker processes, over a socket pair: two texts, a number and the options. Both ends are built
// together, so there are no versions.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "r1/verify/equality.h"

namespace r1::verify {

static_assert(std::is_trivially_copyable_v<EqualityOptions>, "options are sent as their bytes");

struct WorkerMessage {
  std::string first, second;  // gold and answer there; extracted text and reason back
  uint32_t code = 0;          // a WorkerFault there; a verdict back
  EqualityOptions options;
};
enum WorkerFault : uint32_t { kWorkerWorks, kWorkerHangs, kWorkerDies };  // the last two: tests

// `until`: nullptr waits without limit. false: the other end is gone, or (`late`) the time is up.
using WorkerClock = std::chrono::steady_clock;
bool send_message(int socket, const WorkerMessage& message, const WorkerClock::time_point* until, bool* late);
bool receive_message(int socket, WorkerMessage& message, const WorkerClock::time_point* until, bool* late);

}  // namespace r1::verify
