// What an earlier run left is never written over silently: it is taken as it is, or refused with what differs and the ways out.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "r1/base/json.h"

namespace r1::stages {

// A config without the settings that change nothing in what a run makes: where it stands, how often it saves and logs, how it is started.
Json without_habits(const Json& config);
// "key: old -> new", a line each, of what matters between two configs; "" if nothing does. Paths that name the same place are equal.
std::string changes(const Json& before, const Json& after);

// For commands whose result is a few files (eval, rejection) and not a run folder.
struct ResultPlace {
  std::string what;                          // who asks: "eval"
  std::filesystem::path record;              // JSON with "config" and "results", written last (write_record)
  std::vector<std::filesystem::path> files;  // what would be written over
  std::string option;                        // that says where it goes: "output_dir"
  bool overwrite = false;                    // the user's word
  Json inputs = Json::object();              // what the config names by path, by content: {"model": identity(...)}
};

// What stands at a path, by content as far as that is cheap: the hashes of a run's weights; else names and sizes of the files, and of those that
// make a model (weights, config, tokenizer) pieces of 4 KiB from all over them, 1 MiB at most: a fine-tune or another download of one size is
// another model. "": nothing.
std::string identity(const std::filesystem::path& path);
// A model's weight files, its config and its tokenizer's files, each by its SHA-256: nothing that it computes can differ. `model`: a folder or
// a .gguf file (model::find_model).
std::string model_sha256(const std::filesystem::path& model);

// Nothing: write there. The results of the record: the same config has been run before, nothing is left to do. A usage error: files stand
// there that another config, or somebody else, has made. Asked before a model is loaded.
std::optional<Json> earlier_results(const ResultPlace& place, const Json& config);
// {"what", "version", "date", "config", "inputs", "results"}
void write_record(const ResultPlace& place, const Json& config, const Json& results);

}  // namespace r1::stages
