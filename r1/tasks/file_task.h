// What tasks over files share: the two splits and their errors.
#pragma once

#include <string>
#include <vector>

#include "r1/base/file.h"
#include "r1/tasks/options.h"
#include "r1/tasks/task.h"

namespace r1::tasks {

class FileTask : public Task {
 public:
  const std::string& name() const override { return name_; }
  int64_t size(const std::string& split) const override { return int64_t(rows(split).size()); }
  Problem problem(const std::string& split, int64_t index) const override;

 protected:
  explicit FileTask(std::string name) : name_(std::move(name)) {}
  // Reads options data, train, test and limit, and calls add_line() for each line. `data`: a folder with train.jsonl and test.jsonl, or one
  // file, whose lines are split `data_split`.
  struct Files {
    fs::path train, test;
    int64_t limit = 0;
  };
  Files file_options(OptionReader& options, const char* data_split = "test") const;
  void load(const Files& files);
  virtual void add_line(const Json& row, const std::string& where, const std::string& split, std::vector<Problem>& out) = 0;

 private:
  const std::vector<Problem>& rows(const std::string& split) const;
  void load_split(const fs::path& path, const std::string& split, int64_t limit, std::vector<Problem>& out);

  std::string name_;
  std::vector<Problem> train_, test_;
};

// The first of `keys` (or `named`, if not empty) that the line has; nullptr if none. A named key that is missing is an error.
const Json* field(const Json& row, const std::string& named, const std::vector<const char*>& keys, const std::string& where);
// Text or number of a field as text.
std::string field_text(const Json& value, const std::string& key, const std::string& where);

}  // namespace r1::tasks
