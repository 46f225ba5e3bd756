// From what a user names to files: a file, a folder (the data files in it and below, by name), a pattern (*, ?, [..], {a,b}). A relative
// name that is not there is looked for in the folder R1_DATA. Sorted, so a run does not depend on a file system's order.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace r1::data {

// Which files of a folder are meant: in names, a word says it ("train-00000.jsonl", "gsm8k_test.csv"). kTrain: those that say train; none
// does: all that say nothing. kValidation and kTest: validation (valid, val, dev, eval) or test, the other one if there is none.
enum class Split { kAny, kTrain, kValidation, kTest };

// "train", "validation", "test", or "" where a file's name says nothing.
std::string split_in_name(const std::filesystem::path& file);

// The name as it stands, else below R1_DATA; "" if neither is there.
std::string find_data(const std::string& name);

// The data files in a folder and below: JSON, CSV, TSV and text, compressed or not, and Parquet (whose reader says what to do with it). Left
// out are hidden ones and dataset_info.json and its like.
std::vector<std::string> files_in(const std::filesystem::path& folder);
// Of these, those of a split; may be none.
std::vector<std::string> files_of(const std::vector<std::string>& files, Split split);

// Usage errors name `option` and say what is there.
std::vector<std::string> find_files(const std::vector<std::string>& named, const std::string& option, Split split = Split::kAny);

}  // namespace r1::data
