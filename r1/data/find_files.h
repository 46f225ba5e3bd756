// From what a user names to files: a file, a folder (the data files in it and below, by name), a pattern (*, ?, [..], {a,b}). A relative
// name that is not there is looked for in the folder R1_DATA. Sorted, so a run does not depend on a file system's order.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace r1::data {

// Which files of a folder are meant: a word says it in a file's name, or else in that of a folder below ("train-00000.jsonl", "gsm8k_test.csv",
// "train/00000.jsonl.zst"). kTrain: those that say train; none
// does: all that say nothing. kValidation and kTest: validation (valid, val, dev, eval) or test, the other one if there is none.
enum class Split { kAny, kTrain, kValidation, kTest };

// "train", "validation", "test", or "" where no name of the path, the last one first, says anything. `path` begins below the folder that was named.
std::string split_in_name(const std::filesystem::path& path);

// The name as it stands, else below R1_DATA; "" if neither is there.
std::string find_data(const std::string& name);

// All files in a folder and below, in no order; hidden ones are left out. Links to folders are followed, but not to one that they lie in. kUsage for a
// folder that cannot be read.
std::vector<std::filesystem::path> files_below(const std::filesystem::path& folder);

// The data files in a folder and below: JSON, CSV, TSV and text, compressed or not, Parquet, Arrow and tar. Left out are hidden ones and dataset_info.json and its like.
std::vector<std::string> files_in(const std::filesystem::path& folder);
// Of these, which are below `folder`, those of a split; may be none.
std::vector<std::string> files_of(const std::vector<std::string>& files, const std::filesystem::path& folder, Split split);

// The ledger of r1 data fetch in the folder that it filled: no data, whatever its name.
bool is_fetch_ledger(const std::filesystem::path& path);

// Usage errors name `option` and say what is there.
std::vector<std::string> find_files(const std::vector<std::string>& named, const std::string& option, Split split = Split::kAny);

}  // namespace r1::data
