// Warnings that come again: one of a thousand shards, rows or steps says the same as the one before it.
#pragma once

namespace r1 {

// While one of these lives, a warning whose text was logged before is counted instead. It is said again with its count at the 10th, 100th,
// 1000th ... time, and at the end once more with the count of all, if that is three or more (a file that is read twice is no news).
class CountRepeatedWarnings {
 public:
  CountRepeatedWarnings();
  ~CountRepeatedWarnings();
  CountRepeatedWarnings(const CountRepeatedWarnings&) = delete;
  CountRepeatedWarnings& operator=(const CountRepeatedWarnings&) = delete;
};

}  // namespace r1
