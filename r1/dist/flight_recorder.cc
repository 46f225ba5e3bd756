#include "r1/dist/flight_recorder.h"

#include <chrono>

#include "r1/base/error.h"

namespace r1::dist {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

std::string named_operation(const char* operation, int64_t sequence, const std::string& group) {
  return str(operation, " ", sequence, group == kWorld ? "" : " of " + group);
}

int64_t FlightRecorder::begin(const char* operation, const std::string& group, int64_t sequence, int64_t bytes) {
  const std::lock_guard lock(mutex_);
  const Entry entry{next_, sequence, bytes, operation, group, now(), 0};
  const size_t at = size_t(next_ - 1) % kKept;
  if (at < ring_.size())
    ring_[at] = entry;
  else
    ring_.push_back(entry);
  return next_++;
}

void FlightRecorder::end(int64_t number) {
  const std::lock_guard lock(mutex_);
  Entry& entry = ring_[size_t(number - 1) % kKept];
  if (entry.number == number) entry.done = now();
}

std::string FlightRecorder::last() const {
  const std::lock_guard lock(mutex_);
  if (ring_.empty()) return "none yet";
  const Entry& entry = ring_[size_t(next_ - 2) % kKept];
  return str(named_operation(entry.operation, entry.sequence, entry.group), " (", entry.bytes, " bytes), ",
             entry.done > 0 ? "done" : "under way");
}

Json FlightRecorder::json() const {
  const std::lock_guard lock(mutex_);
  Json all = Json::array();
  const int64_t first = std::max<int64_t>(1, next_ - int64_t(ring_.size()));
  for (int64_t i = first; i < next_; ++i) {
    const Entry& entry = ring_[size_t(i - 1) % kKept];
    all.push_back({{"sequence", entry.sequence},
                   {"group", entry.group},
                   {"operation", entry.operation},
                   {"bytes", entry.bytes},
                   {"started", entry.started},
                   {"done", entry.done > 0 ? Json(entry.done) : Json(nullptr)}});
  }
  return all;
}

}  // namespace r1::dist
