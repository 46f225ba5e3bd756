// Where a result comes from: the model's and the data's files by hash, the words that were typed, the moment. What two results are compared by.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "r1/base/json.h"

namespace r1::eval {

// {"path", "sha256", "files": {name: sha256}}: the files that say what a model does (weights, config, tokenizer, template) in a HF folder or
// of a GGUF file with its parts; `sha256` is of them all. Reads every byte.
Json model_facts(const std::filesystem::path& model);
// [{"path", "sha256"}, ..]
Json data_facts(const std::vector<std::string>& files);

// A word as a shell takes it: quoted if need be.
std::string shell_word(const std::string& word);
// The command line of this process as a shell takes it; "" where it is not known.
std::string command_line();
// "2026-01-31T12:00:00Z"
std::string now_utc();

}  // namespace r1::eval
