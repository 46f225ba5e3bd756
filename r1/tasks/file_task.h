// What tasks over files share: options for the two splits, reading their rows, ids, and the errors. A task says how one row becomes a
// problem; everything else is here.
//
// A split without a file has size 0; problem() then throws, naming the option that is missing.
#pragma once

#include <optional>
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

  struct Files {
    fs::path train, test;
    int64_t limit = 0;          // problems a split; 0: all
    double train_fraction = 0;  // share of the rows of `test`, by a hash of their ids, that become split train
  };
  // Reads options data, train, test and limit. `data`: a folder with train.jsonl and test.jsonl (either may be missing), or one file, whose
  // rows are split test. `fraction`: option train_fraction as well, for data without a split of its own.
  Files file_options(OptionReader& options, bool fraction = false);
  // Calls read_row() for each row of the files: JSON objects one a line, also gzipped, or one JSON list of objects.
  void load(const Files& files);
  // One row's problem, its id what the row calls itself ("": it is numbered); it becomes "<task>/<split>/<id>". nullopt: leave it out.
  virtual std::optional<Problem> read_row(const Json& row, const std::string& where) = 0;

 private:
  const std::vector<Problem>& rows(const std::string& split) const;
  void load_file(const fs::path& path, const std::string& split, const Files& files);
  void add(std::optional<Problem> problem, std::string split, const Files& files);
  bool full(const std::string& split, const Files& files) const;

  std::string name_;
  bool fraction_ = false;
  std::vector<Problem> train_, test_;
};

// The first of `keys` (or `named`, if not empty) that the line has; nullptr if none. A named key that is missing is an error.
const Json* field(const Json& row, const std::string& named, const std::vector<const char*>& keys, const std::string& where);
// Text or number of a field as text.
std::string field_text(const Json& value, const std::string& key, const std::string& where);

}  // namespace r1::tasks
