// The last collectives of a rank, so that afterwards one can say who was where when a run stood still. Safe from several threads.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "r1/base/json.h"

namespace r1::dist {

class FlightRecorder {
 public:
  static constexpr size_t kKept = 256;

  int64_t begin(const char* operation, int64_t bytes);  // its sequence number, from 1
  void end(int64_t sequence);

  // "all_reduce 12 (4096 bytes), under way" or ".., done"; "none yet".
  std::string last() const;
  // [{"sequence", "operation", "bytes", "started", "done"}], oldest first; times in seconds since 1970, done null if it never was.
  Json json() const;

 private:
  struct Entry {
    int64_t sequence = 0, bytes = 0;
    const char* operation = "";
    double started = 0, done = 0;
  };
  mutable std::mutex mutex_;
  std::vector<Entry> ring_;
  int64_t next_ = 1;
};

}  // namespace r1::dist
