#include "r1/tasks/file_task.h"

#include <fstream>
#include <functional>

#include "r1/base/error.h"
#include "r1/data/jsonl.h"
#include "r1/tasks/generated.h"

namespace r1::tasks {
namespace {

bool is_list(const fs::path& path) {
  std::ifstream in(path);
  char first = 0;
  return in >> first && first == '[';
}

// Until `take` has enough.
void for_each_row(const fs::path& path, const std::function<bool(const Json& row, const std::string& where)>& take) {
  if (is_list(path)) {
    const Json rows = parse_json_file(path);
    for (size_t i = 0; i < rows.size(); ++i)
      if (!take(rows[i], str(path.string(), ", problem ", i))) return;
    return;
  }
  data::JsonlReader reader(path);
  while (auto row = reader.next())
    if (!take(*row, reader.where())) return;
}

}  // namespace

FileTask::Files FileTask::file_options(OptionReader& options, bool fraction) {
  Files files;
  const fs::path data = options.text("data", "");
  files.train = options.text("train", "");
  files.test = options.text("test", "");
  files.limit = options.integer("limit", 0, 0, INT64_MAX);
  if ((fraction_ = fraction)) files.train_fraction = options.number("train_fraction", 0, 0, 1);
  if (!data.empty() && fs::is_directory(data)) {
    for (auto [file, name] : {std::pair{&files.train, "train.jsonl"}, std::pair{&files.test, "test.jsonl"}})
      if (file->empty() && fs::exists(data / name)) *file = data / name;
    if (files.train.empty() && files.test.empty())
      fail_usage("task ", name_, ": ", data.string(),
                 " has neither train.jsonl nor test.jsonl; give the files as options 'train' and 'test'");
  } else if (!data.empty() && files.test.empty()) {
    files.test = data;
  }
  if (files.train.empty() && files.test.empty())
    fail_usage("task ", name_, ": option 'data' is missing: a file of problems, or the folder with train.jsonl and test.jsonl");
  return files;
}

void FileTask::load(const Files& files) {
  if (!files.train.empty()) load_file(files.train, "train", files);
  if (!files.test.empty()) load_file(files.test, "test", files);
}

bool FileTask::full(const std::string& split, const Files& files) const {
  return files.limit && int64_t((split == "train" ? train_ : test_).size()) >= files.limit;
}

void FileTask::load_file(const fs::path& path, const std::string& split, const Files& files) {
  const size_t before = train_.size() + test_.size();
  for_each_row(path, [&](const Json& row, const std::string& where) {
    const bool divided = split == "test" && files.train_fraction > 0;
    if (full(split, files) && (!divided || full("train", files))) return false;
    add(read_row(row, where), split, files);
    return true;
  });
  if (train_.size() + test_.size() == before) fail(path.string(), ": no problems in it");
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
    if (at == row.end()) fail(where, ": key '", named, "' is missing");
    return &*at;
  }
  for (const char* key : keys)
    if (const auto at = row.find(key); at != row.end() && !at->is_null()) return &*at;
  return nullptr;
}

std::string field_text(const Json& value, const std::string& key, const std::string& where) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number()) return value.dump();
  fail(where, ": ", key, " should be text or a number, got ", value.type_name());
}

}  // namespace r1::tasks
