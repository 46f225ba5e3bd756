// The last collectives of a rank, so that afterwards one can say who was where when a run stood still. Safe from several threads.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "r1/base/json.h"

namespace r1::dist {

inline constexpr const char* kWorld = "world";
// "all_reduce 12", and of which group if it is not the world.
std::string named_operation(const char* operation, int64_t sequence, const std::string& group);

class FlightRecorder {
 public:
  static constexpr size_t kKept = 256;

  // `sequence`: the operation's number in its group, from 1, the same on all of the group's ranks. Returns what end() is to be told.
  int64_t begin(const char* operation, const std::string& group, int64_t sequence, int64_t bytes);
  void end(int64_t entry);

  // "all_reduce 12 (4096 bytes), under way" or ".., done"; "none yet". Of another group than the world "all_reduce 12 of tensor/0 (..".
  std::string last() const;
  // [{"sequence", "group", "operation", "bytes", "started", "done"}], oldest first; times in seconds since 1970, done null if it never was.
  Json json() const;

 private:
  struct Entry {
    int64_t number = 0, sequence = 0, bytes = 0;
    const char* operation = "";
    std::string group;
    double started = 0, done = 0;
  };
  mutable std::mutex mutex_;
  std::vector<Entry> ring_;
  int64_t next_ = 1;
};

}  // namespace r1::dist
