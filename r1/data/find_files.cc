#include "r1/data/find_files.h"

#include <glob.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <set>

#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/data/unpack.h"
#include "r1/data/webdataset.h"

namespace r1::data {
namespace {

namespace fs = std::filesystem;

const std::set<std::string> kExtensions = {".jsonl", ".ndjson", ".json",    ".csv",   ".tsv",    ".tab",
                                           ".txt",   ".text",   ".parquet", ".arrow", ".feather"};
const std::set<std::string> kNoData = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"};

bool is_data_file(const fs::path& path) {
  if (kNoData.contains(path.filename().string()) || is_fetch_ledger(path)) return false;
  if (is_tar_name(path)) return true;
  const std::string extension = path.extension().string();
  return kExtensions.contains(is_packed_ending(extension) ? path.stem().extension().string() : extension);
}

bool exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// `above`: the folders that this one lies in, as they really are.
void walk(const fs::path& folder, std::vector<fs::path>& above, std::vector<fs::path>& out) {
  std::error_code failed;
  const fs::path here = fs::canonical(folder, failed);
  if (std::find(above.begin(), above.end(), here) != above.end()) return;
  fs::directory_iterator entry(folder, failed);
  if (failed) fail_usage(folder.string(), ": cannot read the folder: ", failed.message());
  above.push_back(here);
  for (const fs::directory_iterator end; entry != end;) {
    std::error_code ignored;
    if (!entry->path().filename().string().starts_with('.')) {
      if (entry->is_directory(ignored))
        walk(entry->path(), above, out);
      else if (entry->is_regular_file(ignored))
        out.push_back(entry->path());
    }
    entry.increment(failed);
    if (failed) fail_usage(folder.string(), ": cannot read the folder: ", failed.message());
  }
  above.pop_back();
}

std::vector<std::string> matches(const std::string& pattern) {
  std::vector<std::string> out;
  glob_t found{};
  if (glob(pattern.c_str(), GLOB_BRACE, nullptr, &found) == 0)
    for (size_t i = 0; i < found.gl_pathc; ++i)
      if (exists(found.gl_pathv[i])) out.push_back(found.gl_pathv[i]);  // with braces, what does not exist comes back as it is
  globfree(&found);
  return out;
}

std::string below_data(const std::string& name) {
  const char* folder = std::getenv("R1_DATA");
  return folder && *folder && fs::path(name).is_relative() ? (fs::path(folder) / name).string() : "";
}

std::vector<std::string> with_split(const std::vector<std::string>& files, const fs::path& folder, const std::string& split) {
  std::vector<std::string> out;
  for (const std::string& file : files)
    if (split_in_name(fs::path(file).lexically_relative(folder)) == split) out.push_back(file);
  return out;
}

std::string listed(const std::vector<std::string>& files) {
  std::string text;
  for (size_t i = 0; i < files.size() && i < 5; ++i) text += (i ? ", " : "") + fs::path(files[i]).filename().string();
  return text + (files.size() > 5 ? ", .." : "");
}

std::vector<std::string> in_folder(const std::string& folder, const std::string& option, Split split) {
  const std::vector<std::string> all = files_in(folder), chosen = files_of(all, folder, split);
  if (all.empty())
    fail_usage(option, ": no data files in folder '", folder,
               "' (.jsonl, .json, .csv, .tsv, .parquet, .tar, .txt, also .gz, .zst, .bz2 or .xz)");
  if (chosen.empty())
    fail_usage(option, ": folder '", folder, "' has ", listed(all), ", by their names all of another split; name the files");
  return chosen;
}

}  // namespace

std::string split_in_name(const fs::path& path) {
  const std::vector<fs::path> names(path.begin(), path.end());
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    std::string word;
    for (const char c : lower_ascii(name->string()) + ".") {
      if (std::isalpha(static_cast<unsigned char>(c))) {
        word += c;
        continue;
      }
      if (word == "train" || word == "training") return "train";
      if (word == "test" || word == "testing") return "test";
      if (word == "validation" || word == "valid" || word == "val" || word == "dev" || word == "eval" || word == "evaluation")
        return "validation";
      word.clear();
    }
  }
  return "";
}

bool is_fetch_ledger(const fs::path& path) {
  std::error_code ignored;
  return path.filename() == "fetch.jsonl" && fs::is_directory(path.parent_path() / ".fetch", ignored);
}

std::string find_data(const std::string& name) {
  if (exists(name)) return name;
  const std::string below = below_data(name);
  return !below.empty() && exists(below) ? below : "";
}

std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> out, above;
  walk(folder, above, out);
  return out;
}

std::vector<std::string> files_in(const fs::path& folder) {
  std::vector<std::string> out;
  for (const fs::path& path : files_below(folder))
    if (is_data_file(path)) out.push_back(path.string());
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::string> files_of(const std::vector<std::string>& files, const fs::path& folder, Split split) {
  if (split == Split::kAny) return files;
  const char* first = split == Split::kTrain ? "train" : split == Split::kTest ? "test" : "validation";
  const char* second = split == Split::kTrain ? "" : split == Split::kTest ? "validation" : "test";
  const auto out = with_split(files, folder, first);
  return out.empty() ? with_split(files, folder, second) : out;
}

std::vector<std::string> find_files(const std::vector<std::string>& named, const std::string& option, Split split) {
  std::vector<std::string> out;
  const auto take = [&](std::vector<std::string> files) { out.insert(out.end(), files.begin(), files.end()); };
  for (const std::string& name : named) {
    if (const std::string found = find_data(name); !found.empty()) {
      std::error_code ignored;
      fs::is_directory(found, ignored) ? take(in_folder(found, option, split)) : take({found});
      continue;
    }
    const bool pattern = name.find_first_of("*?[{") != std::string::npos;
    std::vector<std::string> found = pattern ? matches(name) : std::vector<std::string>{};
    if (const std::string below = below_data(name); pattern && found.empty() && !below.empty()) found = matches(below);
    if (found.empty())
      fail_usage(option, ": no file ", pattern ? "matches '" : "'", name, "'", below_data(name).empty() ? "" : ", nor below R1_DATA");
    take(found);
  }
  return out;
}

}  // namespace r1::data
