// Fills and writes configs that follow base/config.h. Order of precedence: --key=value, R1_* environment, YAML file, default.
// An unknown key is an error that names the nearest known one; so are duplicate keys, values out of range and wrong types. All are ErrorKind::kUsage.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "r1/base/config.h"
#include "r1/base/json.h"

namespace r1 {

// One leaf, as text, with where it came from ("recipes/tiny.yaml:12", "--learning_rate", "R1_LEARNING_RATE").
struct Setting {
  std::string key, where;
  Json value;
};

struct FieldInfo {
  std::string key, type, help, limits;
  Json default_value;
  bool required = false;
};

// A YAML file (or its text) as flat settings: nested maps become dotted keys, lists stay lists. Caps on size and depth; duplicate keys are errors.
std::vector<Setting> read_yaml(const std::filesystem::path& path);
std::vector<Setting> parse_yaml(std::string_view text, std::string_view where);
// "--a.b=c", "--a.b c", "--flag" (true), "--no-flag"; dashes in keys read as underscores. Values are typed later, by the field.
std::vector<Setting> parse_overrides(const std::vector<std::string>& arguments);

// Nearest of `known` by edit distance, or "" if nothing is near.
std::string nearest_name(std::string_view name, const std::vector<std::string>& known);

template <class Config>
std::vector<FieldInfo> config_fields(Config& config);
// Applies the settings in order (later ones win), checks every field's limits and that required ones are there.
template <class Config>
void apply_settings(Config& config, const std::vector<Setting>& settings);
// Settings of the environment: R1_<KEY> with dots as double underscores, upper case; only for keys that exist.
template <class Config>
std::vector<Setting> environment_settings(Config& config);
template <class Config>
Json config_to_json(const Config& config);
template <class Config>
std::string config_to_yaml(const Config& config);
// The --help text: key, type, default, limits, help.
template <class Config>
std::string config_help(Config& config);

}  // namespace r1

#include "r1/base/config_io_inl.h"
