#include "r1/tasks/file_task.h"

#include "r1/base/error.h"
#include "r1/data/jsonl.h"

namespace r1::tasks {

FileTask::Files FileTask::file_options(OptionReader& options, const char* data_split) const {
  Files files;
  const fs::path data = options.text("data", "");
  files.train = options.text("train", "");
  files.test = options.text("test", "");
  files.limit = options.integer("limit", 0, 0, INT64_MAX);
  fs::path& own = std::string_view(data_split) == "train" ? files.train : files.test;
  if (!data.empty() && fs::is_directory(data)) {
    for (auto [file, name] : {std::pair{&files.train, "train.jsonl"}, std::pair{&files.test, "test.jsonl"}})
      if (file->empty() && fs::exists(data / name)) *file = data / name;
  } else if (!data.empty() && own.empty()) {
    own = data;
  }
  if (files.train.empty() && files.test.empty())
    fail_usage("task ", name_, ": option 'data' is missing: a file of JSON lines, or the folder with train.jsonl and test.jsonl");
  return files;
}

void FileTask::load(const Files& files) {
  if (!files.train.empty()) load_split(files.train, "train", files.limit, train_);
  if (!files.test.empty()) load_split(files.test, "test", files.limit, test_);
}

void FileTask::load_split(const fs::path& path, const std::string& split, int64_t limit, std::vector<Problem>& out) {
  data::JsonlReader reader(path);
  while (auto row = reader.next()) {
    if (limit && int64_t(out.size()) >= limit) break;
    add_line(*row, reader.where(), split, out);
  }
  if (out.empty()) fail(path.string(), ": no problems in it");
}

const std::vector<Problem>& FileTask::rows(const std::string& split) const {
  if (split != "train" && split != "test") fail_usage("task ", name_, ": unknown split '", split, "'; there are train and test");
  const auto& all = split == "train" ? train_ : test_;
  if (all.empty()) fail_usage("task ", name_, ": split '", split, "' has no file; give option '", split, "'");
  return all;
}

Problem FileTask::problem(const std::string& split, int64_t index) const {
  const auto& all = rows(split);
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
