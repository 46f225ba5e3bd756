#include "r1/tasks/options.h"

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "r1/base/config_io.h"
#include "r1/base/error.h"

namespace r1::tasks {

namespace {
constexpr const char* kDescribe = "?";

std::string number_text(double x) {
  std::ostringstream out;
  out << x;
  return out.str();
}
}  // namespace

Json describe_options() {
  return {{kDescribe, true}};
}

OptionReader::OptionReader(const Json& options, std::string where)
    : options_(options.is_null() ? Json::object() : options), where_(std::move(where)) {
  if (!options_.is_object()) fail_usage(where_, ": expected options as a JSON object, got ", options_.type_name());
  describing_ = options_.contains(kDescribe);
}

const Json* OptionReader::find(const char* key, const std::string& fallback, const std::string& limits) {
  if (describing_) {
    const auto given = options_.find(key);  // a task's own default
    described_.push_back({key, given == options_.end() ? fallback : given->dump(), limits});
  }
  known_.push_back(key);
  const auto it = options_.find(key);
  return it == options_.end() || it->is_null() ? nullptr : &*it;
}

void OptionReader::wrong(const char* key, const std::string& expected, const Json& got) const {
  fail_usage(where_, ": option '", key, "' expected ", expected, ", got ", dump_json(got));
}

double OptionReader::number(const char* key, double fallback, double lo, double hi) {
  const Json* value = find(key, number_text(fallback), str(lo, " to ", hi));
  if (!value) return fallback;
  const std::string expected = str("a number in [", lo, ", ", hi, "]");
  double x = 0;
  if (value->is_number()) {
    x = value->get<double>();
  } else if (value->is_string()) {
    const std::string text = value->get<std::string>();
    char* end = nullptr;
    x = std::strtod(text.c_str(), &end);
    if (text.empty() || *end) wrong(key, expected, *value);
  } else {
    wrong(key, expected, *value);
  }
  if (!(x >= lo && x <= hi)) wrong(key, expected, *value);
  return x;
}

int64_t OptionReader::integer(const char* key, int64_t fallback, int64_t lo, int64_t hi) {
  const Json* value = find(key, std::to_string(fallback), hi == INT64_MAX ? str("from ", lo) : str(lo, " to ", hi));
  if (!value) return fallback;
  const std::string expected = str("an integer in [", lo, ", ", hi, "]");
  int64_t x = 0;
  if (value->is_number_integer()) {
    x = value->get<int64_t>();
  } else if (value->is_string()) {
    const std::string text = value->get<std::string>();
    char* end = nullptr;
    errno = 0;
    x = std::strtoll(text.c_str(), &end, 10);
    if (text.empty() || *end || errno) wrong(key, expected, *value);
  } else {
    wrong(key, expected, *value);
  }
  if (x < lo || x > hi) wrong(key, expected, *value);
  return x;
}

bool OptionReader::boolean(const char* key, bool fallback) {
  const Json* value = find(key, fallback ? "true" : "false");
  if (!value) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  if (value->is_string() && (*value == "true" || *value == "false")) return *value == "true";
  wrong(key, "true or false", *value);
}

std::string OptionReader::text(const char* key, std::string fallback) {
  const Json* value = find(key, fallback);
  if (!value) return fallback;
  if (!value->is_string()) wrong(key, "a string", *value);
  return value->get<std::string>();
}

std::string OptionReader::required_text(const char* key, const char* what) {
  std::string value = text(key, "");
  if (value.empty() && !describing_) fail_usage(where_, ": option '", key, "' is missing: ", what);
  return value;
}

std::string OptionReader::one_of(const char* key, std::string fallback, const std::vector<std::string>& allowed) {
  const std::string value = text(key, std::move(fallback));
  if (describing_)
    for (const std::string& a : allowed) described_.back().limits += (described_.back().limits.empty() ? "" : " | ") + a;
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return value;
  std::string list;
  for (const std::string& a : allowed) list += (list.empty() ? "" : ", ") + a;
  const std::string near = nearest_name(value, allowed);
  fail_usage(where_, ": option '", key, "' expected one of ", list, "; got '", value, "'",
             near.empty() ? "" : "; did you mean '" + near + "'?");
}

std::map<std::string, std::string> OptionReader::texts(const char* key) {
  std::map<std::string, std::string> out;
  const Json* value = find(key, "");
  if (!value) return out;
  if (!value->is_object()) wrong(key, "an object of texts", *value);
  for (const auto& [name, text] : value->items()) {
    if (!text.is_string()) wrong(key, "an object of texts", *value);
    out[name] = text.get<std::string>();
  }
  return out;
}

void OptionReader::finish() const {
  if (describing_) throw DescribedOptions{described_};
  for (const auto& [key, value] : options_.items()) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    const std::string near = nearest_name(key, known_);
    std::string list;
    for (const std::string& k : known_) list += (list.empty() ? "" : ", ") + k;
    fail_usage(where_, ": unknown option '", key, "'", near.empty() ? "; known: " + list : "; did you mean '" + near + "'?");
  }
}

}  // namespace r1::tasks
