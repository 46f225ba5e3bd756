// The visitor that turns a config into a list of fields with pointers; all the work on that list is in config_io.cc.
#pragma once

namespace r1 {

using FieldPointer = std::variant<bool*, int64_t*, uint64_t*, double*, std::string*, std::vector<bool>*, std::vector<int64_t>*,
                                  std::vector<uint64_t>*, std::vector<double>*, std::vector<std::string>*, FreeForm*>;

struct Field {
  std::string key, help;
  FieldPointer value;
  std::optional<Range> range;
  std::vector<std::string> one_of;
  bool required = false;
};

class FieldList {
 public:
  template <class Config>
  explicit FieldList(Config& config) {
    config.visit(*this);
  }

  template <class T, class... Limits>
  void operator()(const char* key, T& field, const char* help, Limits... limits) {
    static_assert(std::is_constructible_v<FieldPointer, T*>,
                  "config fields are bool, int64_t, uint64_t, double, std::string, vectors of these, and FreeForm");
    Field added{prefix_ + key, help, &field, {}, {}, false};
    (limit(added, limits), ...);
    add(std::move(added));
  }

  // An empty name merges the group's keys into this level.
  template <class Config>
  void group(const char* name, Config& config, const char* help = "") {
    const std::string outer = prefix_;
    if (*name) prefix_ += std::string(name) + ".";
    if (*help) group_help_[prefix_] = help;
    config.visit(*this);
    prefix_ = outer;
  }

  void alias(const char* name, const char* key) { aliases_.emplace_back(prefix_ + name, prefix_ + key); }

  const std::vector<Field>& fields() const { return fields_; }
  const Field* find(std::string_view key) const;  // by key or alias; nullptr
  std::vector<std::string> names(bool with_aliases) const;
  std::vector<std::string> aliases_of(std::string_view key) const;
  std::string group_help(const std::string& prefix) const;

 private:
  static void limit(Field& field, const Range& range) { field.range = range; }
  static void limit(Field& field, const OneOf& list) { field.one_of = list.values; }
  static void limit(Field& field, Required) { field.required = true; }
  void add(Field field);

  std::string prefix_;
  std::vector<Field> fields_;
  std::vector<std::pair<std::string, std::string>> aliases_;
  std::map<std::string, std::string> group_help_;
};

std::vector<FieldInfo> fields_info(const FieldList& list);
void apply_to_fields(const FieldList& list, const std::vector<Setting>& settings);
std::vector<Setting> fields_environment(const FieldList& list);
Json fields_to_json(const FieldList& list);
std::string fields_to_yaml(const FieldList& list);
std::string fields_help(const FieldList& list);

template <class Config>
std::vector<FieldInfo> config_fields(Config& config) {
  return fields_info(FieldList(config));
}
template <class Config>
void apply_settings(Config& config, const std::vector<Setting>& settings) {
  apply_to_fields(FieldList(config), settings);
}
template <class Config>
std::vector<Setting> environment_settings(Config& config) {
  return fields_environment(FieldList(config));
}
template <class Config>
Json config_to_json(const Config& config) {
  Config copy = config;
  return fields_to_json(FieldList(copy));
}
template <class Config>
std::string config_to_yaml(const Config& config) {
  Config copy = config;
  return fields_to_yaml(FieldList(copy));
}
template <class Config>
std::string config_help(Config& config) {
  return fields_help(FieldList(config));
}
template <class Config>
std::string config_diff(const Config& before, const Config& after) {
  return json_diff(config_to_json(before), config_to_json(after));
}

}  // namespace r1
