// A task's or reward's options: a JSON object read key by key; an unknown key is a usage error that names the nearest known one.
//   OptionReader o(options, "task arithmetic");
//   digits = o.integer("digits", 3, 1, 18);
//   o.finish();
// Numbers and booleans may come as strings (from a command line).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "r1/base/json.h"

namespace r1::tasks {

// An option as its reader asks for it: "limit", "0", "0 to 9223372036854775807".
struct OptionInfo {
  std::string key, fallback, limits;
};
struct DescribedOptions {
  std::vector<OptionInfo> options;
};
Json describe_options();

class OptionReader {
 public:
  OptionReader(const Json& options, std::string where);

  int64_t integer(const char* key, int64_t fallback, int64_t lo, int64_t hi);
  double number(const char* key, double fallback, double lo, double hi);
  bool boolean(const char* key, bool fallback);
  std::string text(const char* key, std::string fallback);
  // A path or other value without a default.
  std::string required_text(const char* key, const char* what);
  std::string one_of(const char* key, std::string fallback, const std::vector<std::string>& allowed);
  // An object of texts; empty if it is not there.
  std::map<std::string, std::string> texts(const char* key);
  // Refuses keys that nobody asked for.
  void finish() const;

  // Instead of reading: the list of what is asked for. Constructing a task whose options are describe_options() throws DescribedOptions in
  // finish(), before any file is opened.
  bool describing() const { return describing_; }

 private:
  const Json* find(const char* key, const std::string& fallback, const std::string& limits = "");
  [[noreturn]] void wrong(const char* key, const std::string& expected, const Json& got) const;

  const Json options_;
  std::string where_;
  std::vector<std::string> known_;
  bool describing_ = false;
  std::vector<OptionInfo> described_;
};

}  // namespace r1::tasks
