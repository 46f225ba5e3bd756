// JSON for configs, checkpoints and the command line: nlohmann's DOM with key order kept, behind a depth limit (its copy and dump recurse)
// and errors that name the file and place. Corpora go through data/jsonl.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace r1 {

using Json = nlohmann::ordered_json;

inline constexpr int kMaxJsonDepth = 128;

// Parses one document. `where` ("config.json", "train.jsonl:17") opens the error message. Duplicate keys: the last one wins unless
// `reject_duplicates`.
Json parse_json(std::string_view text, std::string_view where, bool reject_duplicates = false);
Json parse_json_file(const std::filesystem::path& path, bool reject_duplicates = false);

// dump() that replaces invalid UTF-8 instead of throwing.
std::string dump_json(const Json& value, int indent = -1);

// value[key] as T, or an error that names `where` and the key.
template <class T>
T json_get(const Json& object, const char* key, std::string_view where);
template <class T>
T json_get_or(const Json& object, const char* key, T fallback, std::string_view where);

}  // namespace r1

#include "r1/base/json_inl.h"
