#include "r1/tasks/generated.h"

namespace r1::tasks {

uint64_t problem_hash(std::string_view key) {
  uint64_t h = 0xCBF29CE484222325ull;
  for (const unsigned char c : key) h = (h ^ c) * 0x100000001B3ull;
  h = (h ^ (h >> 31)) * 0x9E3779B97F4A7C15ull;  // FNV's low bits alone are weak
  return h ^ (h >> 29);
}

bool is_test_problem(std::string_view key) {
  return problem_hash(key) % 8 == 0;
}

GeneratedTask::GeneratedTask(std::string name, OptionReader& options) : name_(std::move(name)) {
  seed_ = uint64_t(options.integer("seed", 0, 0, INT64_MAX));
  train_size_ = options.integer("train_size", 100'000, 0, INT64_MAX);
  test_size_ = options.integer("test_size", 1'000, 0, INT64_MAX);
  strict_ = options.boolean("strict", true);
}

int64_t GeneratedTask::size(const std::string& split) const {
  if (split == "train") return train_size_;
  if (split == "test") return test_size_;
  fail_usage("task ", name_, ": unknown split '", split, "'; there are train and test");
}

GeneratedTask::Stream GeneratedTask::stream_of(const std::string& split, int64_t index) const {
  if (size(split) == 0) fail_usage("task ", name_, ": split '", split, "' has no problems; set ", split, "_size");
  if (index < 0 || index >= size(split)) fail("[", name_, "] expected an index below ", size(split), " in split ", split, ", got ", index);
  return split == "train" ? kTrain : kTest;
}

}  // namespace r1::tasks
