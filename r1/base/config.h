// A config's fields are listed once. A struct describes itself with a visit function:
//
//   struct SftConfig {
//     double learning_rate = 2e-5;
//     std::vector<std::string> reward_funcs;
//     ModelArgs model;                                        // a nested group: keys model.x
//     void visit(Fields& v);
//   };
//   void SftConfig::visit(Fields& v) {                        // in the .cc
//     v("learning_rate", learning_rate, "peak learning rate", Range{0.0, 10.0});
//     v("lr_scheduler_type", lr_scheduler_type, "shape of the schedule", OneOf{"cosine", "linear", "constant", "wsd"});
//     v.group("model", model);
//     v.alias("lr", "learning_rate");                         // another spelling that users type
//   }
//
// Defaults, YAML, --key=value, R1_KEY environment, --help, the resolved config in a checkpoint and config diffs all come from that one list
// (base/config_io.h). Field types: bool, int64_t, uint64_t, double, std::string, std::vector of these, and FreeForm. Enumerations are
// strings with OneOf.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace r1 {

struct Range {
  double lo = -std::numeric_limits<double>::infinity(), hi = std::numeric_limits<double>::infinity();
};
struct OneOf {
  std::vector<std::string> values;
  OneOf(std::initializer_list<const char*> list) : values(list.begin(), list.end()) {}
};
// Keys below this field that somebody else knows (a task's own options): task_options.digits=3. Whoever reads them refuses unknown ones.
using FreeForm = std::map<std::string, std::string>;

// A value must be given (file paths, model names).
struct Required {};
using Limit = std::variant<std::monostate, Range, OneOf, Required>;

using FieldPointer = std::variant<bool*, int64_t*, uint64_t*, double*, std::string*, std::vector<bool>*, std::vector<int64_t>*,
                                  std::vector<uint64_t>*, std::vector<double>*, std::vector<std::string>*, FreeForm*>;

struct Field {
  std::string key, help;
  FieldPointer value;
  std::optional<Range> range;
  std::vector<std::string> one_of;
  bool required = false;
};

// The list that visit() fills: a config's fields with pointers into it, in their order. It is valid while the config stands where it is.
class Fields {
 public:
  template <class Config>
  explicit Fields(Config& config) {
    config.visit(*this);
  }

  template <class T>
  void operator()(const char* key, T& field, const char* help, Limit first = {}, Limit second = {}) {
    add(key, FieldPointer(&field), help, std::move(first), std::move(second));
  }

  // An empty name merges the group's keys into this level.
  template <class Config>
  void group(const char* name, Config& config, const char* help = "") {
    const std::string outer = enter(name, help);
    config.visit(*this);
    prefix_ = outer;
  }

  void alias(const char* name, const char* key) { aliases_.emplace_back(prefix_ + name, prefix_ + key); }

  const std::vector<Field>& list() const { return list_; }
  const Field* find(std::string_view key) const;  // by key or alias; nullptr
  std::vector<std::string> names(bool with_aliases) const;
  std::vector<std::string> aliases_of(std::string_view key) const;
  std::string group_help(const std::string& prefix) const;

 private:
  void add(const char* key, FieldPointer field, const char* help, Limit first, Limit second);
  std::string enter(const char* name, const char* help);  // the prefix before

  std::string prefix_;
  std::vector<Field> list_;
  std::vector<std::pair<std::string, std::string>> aliases_;
  std::map<std::string, std::string> group_help_;
};

}  // namespace r1
