#include "r1/tasks/file_task.h"

#include <cstdlib>

#include "r1/base/error.h"
#include "r1/data/find_files.h"
#include "r1/data/rows.h"
#include "r1/tasks/generated.h"

namespace r1::tasks {

FileTask::Files FileTask::file_options(OptionReader& options, bool fraction) {
  Files files;
  const std::string data = options.text("data", ""), train = options.text("train", ""), test = options.text("test", "");
  files.limit = options.integer("limit", 0, 0, INT64_MAX);
  if ((fraction_ = fraction)) files.train_fraction = options.number("train_fraction", 0, 0, 1);
  files.columns = options.texts("columns");
  if (options.describing()) return files;
  const std::string task = str("task ", name_, ": ");
  if (!train.empty()) files.train = data::find_files({train}, task + "train", data::Split::kTrain);
  if (!test.empty()) files.test = data::find_files({test}, task + "test", data::Split::kTest);
  find(data, files);
  if (files.train.empty() && files.test.empty())
    fail_usage(task, "option 'data' is missing: a file of problems (--data FILE), or their folder; or set R1_DATA to the folder that ",
               name_, "/ lies in (r1 eval --list_tasks ", name_, ")");
  return files;
}

// What `data` names, for the splits that have no files of their own.
void FileTask::find(const std::string& data, Files& files) const {
  std::string place = data.empty() ? "" : data::find_data(data);
  if (data.empty() && files.train.empty() && files.test.empty() && std::getenv("R1_DATA"))
    place = data::find_data((fs::path(std::getenv("R1_DATA")) / name_).string());
  const std::string option = str("task ", name_, ": data");
  if (place.empty() || !fs::is_directory(place)) {
    if (files.test.empty() && !(place.empty() && data.empty())) files.test = data::find_files({place.empty() ? data : place}, option);
    return;
  }
  const auto all = data::files_in(place);
  const bool given = !files.train.empty() || !files.test.empty();
  const auto split_of = [&](const std::string& file) { return data::split_in_name(fs::path(file).lexically_relative(place)); };
  if (files.train.empty() && all.size() > 1) {
    files.train = data::files_of(all, place, data::Split::kTrain);
    if (!files.train.empty() && split_of(files.train[0]) != "train") files.train.clear();
  } else if (files.train.empty() && all.size() == 1 && split_of(all[0]) == "train") {
    files.train = all;
  }
  if (files.test.empty()) {
    files.test = data::files_of(all, place, data::Split::kTest);
    if (all.size() == 1 && files.train.empty() && !given) files.test = all;
  }
  if (!files.train.empty() || !files.test.empty()) return;
  std::string names;
  for (size_t i = 0; i < all.size() && i < 5; ++i) names += (i ? ", " : "") + fs::path(all[i]).filename().string();
  fail_usage("task ", name_, ": ", place, " has ", all.empty() ? "no data files" : names + (all.size() > 5 ? ", .." : ""),
             all.empty() ? "" : ", none of which says train or test in its name", "; give the files as options 'train' and 'test'");
}

void FileTask::load(const Files& files) {
  for (const std::string& path : files.train) load_file(path, "train", files);
  for (const std::string& path : files.test) load_file(path, "test", files);
}

std::vector<std::string> FileTask::files(const std::string& split) const {
  return split == "train" ? train_files_ : test_files_;
}

bool FileTask::full(const std::string& split, const Files& files) const {
  return files.limit && int64_t((split == "train" ? train_ : test_).size()) >= files.limit;
}

void FileTask::load_file(const std::string& path, const std::string& split, const Files& files) {
  const bool other_side = splits_by_row_ || (split == "test" && files.train_fraction > 0);
  if (full(split, files) && !(other_side && !full(split == "test" ? "train" : "test", files))) return;
  const size_t train = train_.size(), test = test_.size();
  int64_t rows = 0;
  data::RowReader reader(path);
  for (std::optional<Json> row; !(full("train", files) && full("test", files)) && (row = reader.next());) {
    ++rows;
    if (!files.columns.empty()) data::apply_columns(*row, files.columns, reader.where());
    const std::string side = split_of(*row, split, reader.where());
    const bool divided = side == "test" && files.train_fraction > 0;
    if (side.empty() || (full(side, files) && (!divided || full("train", files)))) {
      if (!splits_by_row_) break;  // whatever follows goes the same way
      continue;
    }
    add(read_row(*row, reader.where()), side, files);
  }
  if (rows == 0 || (train_.size() + test_.size() == train + test && !files.limit)) fail(path, ": no problems in it");
  if (train_.size() > train) train_files_.push_back(path);
  if (test_.size() > test) test_files_.push_back(path);
}

void FileTask::add(std::optional<Problem> problem, std::string split, const Files& files) {
  if (!problem) return;
  const bool divided = split == "test" && files.train_fraction > 0;
  if (divided && double(problem_hash(problem->id) >> 11) * 0x1p-53 < files.train_fraction) split = "train";
  if (full(split, files)) return;
  std::vector<Problem>& out = split == "train" ? train_ : test_;
  problem->id = str(name_, "/", split, "/", problem->id.empty() ? std::to_string(out.size()) : problem->id);
  out.push_back(std::move(*problem));
}

const std::vector<Problem>& FileTask::rows(const std::string& split) const {
  if (split != "train" && split != "test") fail_usage("task ", name_, ": unknown split '", split, "'; there are train and test");
  return split == "train" ? train_ : test_;
}

Problem FileTask::problem(const std::string& split, int64_t index) const {
  const auto& all = rows(split);
  if (all.empty())
    fail_usage("task ", name_, ": split '", split, "' has no problems; give its file as option '", split, "'",
               fraction_ && split == "train" ? ", or set train_fraction" : "");
  if (index < 0 || index >= int64_t(all.size()))
    fail("[", name_, "] expected an index below ", all.size(), " in split ", split, ", got ", index);
  return all[size_t(index)];
}

const Json* field(const Json& row, const std::string& named, const std::vector<const char*>& keys, const std::string& where) {
  if (!row.is_object()) fail(where, ": expected a JSON object, got ", row.type_name());
  if (!named.empty()) {
    const auto at = row.find(named);
    if (at == row.end()) fail(where, ": key '", named, "' is missing; found: ", data::keys_of(row));
    return &*at;
  }
  for (const char* key : keys)
    if (const auto at = row.find(key); at != row.end() && !at->is_null()) return &*at;
  return nullptr;
}

std::string row_text(const Json& row, const char* key, const std::string& where) {
  if (!row.contains(key)) fail(where, ": key '", key, "' is missing", found_keys(row, key));
  return json_get<std::string>(row, key, where);
}

std::string found_keys(const Json& row, const std::string& name) {
  return str("; found: ", data::keys_of(row), "; --columns.", name, "=KEY names yours");
}

}  // namespace r1::tasks
