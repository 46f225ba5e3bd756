// What tasks over files share: options for the two splits, reading their rows (data/rows.h: JSON lines, JSON, CSV, TSV), ids, and the
// errors. A task says how one row becomes a problem; everything else is here.
//
// Where the files are: `train` and `test` name them, a file, a folder or a pattern each; `data` names a folder, whose files say in their
// names which split they are (a single file is split test), or one file, which is split test. Without any of them, a folder that is called
// as the task, below R1_DATA. A split without a file has size 0; problem() then throws, naming the option that is missing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "r1/base/file.h"
#include "r1/data/columns.h"
#include "r1/data/rows.h"
#include "r1/tasks/options.h"
#include "r1/tasks/task.h"

namespace r1::tasks {

using data::field_text;

class FileTask : public Task {
 public:
  const std::string& name() const override { return name_; }
  int64_t size(const std::string& split) const override { return int64_t(rows(split).size()); }
  Problem problem(const std::string& split, int64_t index) const override;
  std::vector<std::string> files(const std::string& split) const override;

 protected:
  explicit FileTask(std::string name) : name_(std::move(name)) {}

  struct Files {
    std::vector<std::string> train, test;
    int64_t limit = 0;          // problems a split; 0: all
    double train_fraction = 0;  // share of the rows of `test`, by a hash of their ids, that become split train
    data::Columns columns;
  };
  // Reads options data, train, test, limit and columns. `fraction`: option train_fraction as well, for data without a split of its own.
  Files file_options(OptionReader& options, bool fraction = false);
  // Calls read_row() for each row of the files, its keys renamed by `columns`.
  void load(const Files& files);
  // One row's problem, its id what the row calls itself ("": it is numbered); it becomes "<task>/<split>/<id>". nullopt: leave it out.
  virtual std::optional<Problem> read_row(const Json& row, const std::string& where) = 0;
  // Where a row belongs that stands in a file of `split`, for data sets that say so in the row (splits_by_row_); "": nowhere.
  virtual std::string split_of(const Json& row, const std::string& split, const std::string& where) const {
    (void)row, (void)where;
    return split;
  }

  bool splits_by_row_ = false;

 private:
  const std::vector<Problem>& rows(const std::string& split) const;
  void find(const std::string& data, Files& files) const;
  void load_file(const std::string& path, const std::string& split, const Files& files);
  void add(std::optional<Problem> problem, std::string split, const Files& files);
  bool full(const std::string& split, const Files& files) const;

  std::string name_;
  bool fraction_ = false;
  std::vector<Problem> train_, test_;
  std::vector<std::string> train_files_, test_files_;
};

// The first of `keys` (or `named`, if not empty) that the row has; nullptr if none. A named key that is missing is an error.
const Json* field(const Json& row, const std::string& named, const std::vector<const char*>& keys, const std::string& where);
// row[key], a text; where it is missing the error names the keys found and --columns.
std::string row_text(const Json& row, const char* key, const std::string& where);
// "; found: a, b; --columns.question=KEY names yours": the end of an error about a row in which something is not found.
std::string found_keys(const Json& row, const std::string& name);

}  // namespace r1::tasks
