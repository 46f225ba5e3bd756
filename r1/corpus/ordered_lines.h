// Lines in the order of a key, more of them than memory holds: sorted runs in files, merged when they are read.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "r1/base/file.h"
#include "r1/data/jsonl.h"

namespace r1::corpus {

class OrderedLines {
 public:
  // Runs of about `memory_bytes` are written to files <folder>/<name>.0, .1, ... when one is not enough; they go with this.
  OrderedLines(fs::path folder, std::string name, size_t memory_bytes = size_t{256} << 20);
  ~OrderedLines();
  OrderedLines(const OrderedLines&) = delete;
  OrderedLines& operator=(const OrderedLines&) = delete;
  // Lines of one key come in rising order of `tie`, those of one tie too as they were added.
  void add(double key, uint64_t tie, std::string line);
  // The first line again, after all of them were added.
  void rewind();
  bool next(std::string& line);

 private:
  struct Row {
    double key;
    uint64_t tie, number;
    std::string line;
  };
  struct Run;
  fs::path path(size_t run) const;
  void sort_run();
  void spill();

  fs::path folder_;
  std::string name_;
  size_t memory_bytes_, bytes_ = 0, at_ = 0, runs_ = 0;
  uint64_t number_ = 0;
  std::vector<Row> rows_;
  std::vector<std::unique_ptr<Run>> open_;
};

}  // namespace r1::corpus
