// Fills and writes configs that follow base/config.h. Order of precedence: --key=value, R1_* environment, YAML file, default.
// An unknown key is an error that names the nearest known one; so are duplicate keys, values out of range and wrong types. All are
// ErrorKind::kUsage. The grammar users see is in docs/formats.md, "Configs".
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "r1/base/config.h"
#include "r1/base/json.h"

namespace r1 {

inline constexpr size_t kMaxYamlBytes = 1 << 20, kMaxYamlNodes = 100'000;
inline constexpr int kMaxYamlDepth = 32;

// One leaf, untyped, with where it came from ("recipes/tiny.yaml:12", "--learning_rate", "R1_LEARNING_RATE"). Scalars of YAML, the command
// line and the environment are strings until the field types them; null leaves the field as it is. Values out of a JSON config keep their
// JSON type.
struct Setting {
  std::string key, where;
  Json value;
};

struct FieldInfo {
  std::string key, type, help, limits;
  Json default_value;
  bool required = false;
};

// A YAML file (or its text) as flat settings: nested maps become dotted keys, lists stay lists. Caps on size and depth; duplicate keys are
// errors.
std::vector<Setting> read_yaml(const std::filesystem::path& path);
std::vector<Setting> parse_yaml(std::string_view text, std::string_view where);
// The same document as one nested value (scalars are strings), for files that are more than a flat config (a recipe's list of stages).
Json parse_yaml_document(std::string_view text, std::string_view where);
// Nested JSON (a resolved config out of a checkpoint, one stage of a recipe) as settings.
std::vector<Setting> json_settings(const Json& object, std::string_view where);
// "--a.b=c", "--a.b c", "--a.b c d" (a list; an option that stands twice adds to its list), "--flag" (true), "--no-flag", "-m x"; dashes in
// keys read as underscores. Values are typed later, by the field.
std::vector<Setting> parse_overrides(const std::vector<std::string>& arguments);

// The items of a setting of a list of string. One rule for all of them: a text is one string as it is, nothing is split or trimmed. On the
// command line and in the environment, which know no lists, a text that is a JSON list of strings stands for its items. Empty strings are
// refused, but for words after "--".
Json string_items(const Setting& setting);

// Nearest of `known` by edit distance, or "" if nothing is near.
std::string nearest_name(std::string_view name, const std::vector<std::string>& known);
// ", did you mean 'x'?" or "".
std::string did_you_mean(std::string_view name, const std::vector<std::string>& known);

std::vector<FieldInfo> fields_info(const Fields& fields);
// Applies the settings in order (later ones win), checks every field's limits and that required ones are there.
void apply_to_fields(const Fields& fields, const std::vector<Setting>& settings);
// The same checks before every value is known: of a null only the key is checked, and required fields may still be missing.
void check_against_fields(const Fields& fields, const std::vector<Setting>& settings);
// Settings of the environment: R1_<KEY> with dots as double underscores, upper case; only for keys that exist.
// Not taken: R1_DEPS, R1_MODELS, R1_DATA, R1_NUM_THREADS, R1_ORACLE_PYTHON, which the program and its tests use otherwise.
std::vector<Setting> fields_environment(const Fields& fields);
// Nested objects; numbers that JSON lacks (inf, nan) are strings. json_settings() reads it back.
Json fields_to_json(const Fields& fields);
std::string fields_to_yaml(const Fields& fields);
// The --help text: key, type, default, limits, help.
std::string fields_help(const Fields& fields);
// One line a differing key: "learning_rate: 2e-05 -> 0.0001"; "" when equal. Also for two JSON configs.
std::string json_diff(const Json& before, const Json& after);

// The same over a config.
template <class Config>
std::vector<FieldInfo> config_fields(Config& config) {
  return fields_info(Fields(config));
}
template <class Config>
void apply_settings(Config& config, const std::vector<Setting>& settings) {
  apply_to_fields(Fields(config), settings);
}
template <class Config>
std::vector<Setting> environment_settings(Config& config) {
  return fields_environment(Fields(config));
}
template <class Config>
Json config_to_json(Config config) {
  return fields_to_json(Fields(config));
}
template <class Config>
std::string config_to_yaml(Config config) {
  return fields_to_yaml(Fields(config));
}
template <class Config>
std::string config_help(Config& config) {
  return fields_help(Fields(config));
}
template <class Config>
std::string config_diff(const Config& before, const Config& after) {
  return json_diff(config_to_json(before), config_to_json(after));
}

}  // namespace r1
