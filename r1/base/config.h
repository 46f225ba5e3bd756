// A config's fields are listed once. A struct describes itself with a visit function:
//
//   struct SftConfig {
//     double learning_rate = 2e-5;
//     std::vector<std::string> reward_funcs;
//     ModelArgs model;                                        // a nested group: keys model.x
//     template <class V> void visit(V& v) {
//       v("learning_rate", learning_rate, "peak learning rate", Range{0.0, 10.0});
//       v("lr_scheduler_type", lr_scheduler_type, "shape of the schedule", OneOf{"cosine", "linear", "constant", "wsd"});
//       v.group("model", model);
//       v.alias("lr", "learning_rate");                       // another spelling that users type
//     }
//   };
//
// Defaults, YAML, --key=value, R1_KEY environment, --help, the resolved config in a checkpoint and config diffs all come from that one list
// (base/config_io.h). Field types: bool, int64_t, uint64_t, double, std::string, std::vector of these, and FreeForm. Enumerations are
// strings with OneOf. A visitor has: template <class T> void operator()(const char* key, T& field, const char* help, Limits... limits);
// group(); alias().
#pragma once

#include <initializer_list>
#include <limits>
#include <map>
#include <string>
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

}  // namespace r1
