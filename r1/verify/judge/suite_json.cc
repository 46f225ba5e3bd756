#include "r1/verify/judge/suite_json.h"

#include <algorithm>

#include "r1/base/config_io.h"
#include "r1/base/error.h"

namespace r1::verify::judge {
namespace {

void refuse_unknown(const Json& json, const std::vector<std::string>& known, std::string_view where) {
  for (const auto& [key, value] : json.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) fail_usage(where, ": unknown key '", key, "'", did_you_mean(key, known));
  }
}

std::string text_or(const Json& json, const char* key, std::string_view where) {
  return json_get_or<std::string>(json, key, "", where);
}

Test test_from_json(const Json& json, bool calls, std::string_view where) {
  refuse_unknown(json, {"input", "output", "arguments", "expected", "call", "value", "also", "name", "weight", "subtask", "seconds"},
                 where);
  Test t;
  t.name = text_or(json, "name", where);
  t.weight = json_get_or<double>(json, "weight", 1.0, where);
  t.subtask = json_get_or<int>(json, "subtask", 0, where);
  t.seconds = json_get_or<double>(json, "seconds", 0.0, where);
  if (json.contains("arguments")) {
    t.input = dump_json(json["arguments"]);
    t.expected = dump_json(json.contains("expected") ? json["expected"] : Json());
    return t;
  }
  if (json.contains("call")) {
    t.input = json_get<std::string>(json, "call", where);
    t.expected = json_get<std::string>(json, "value", where);
    t.also = json_get_or<std::vector<std::string>>(json, "also", {}, where);
    return t;
  }
  t.input = json_get<std::string>(json, "input", where);
  t.expected = json_get<std::string>(json, "output", where);
  t.also = json_get_or<std::vector<std::string>>(json, "also", {}, where);
  if (!calls) return t;
  const size_t arguments = parse_json_values(t.input, where).size();
  std::string list = "[";  // kept as text, so that ints of any size stay what they are
  size_t line = 0;
  for (size_t begin = 0; begin <= t.input.size();) {
    const size_t end = std::min(t.input.find('\n', begin), t.input.size());
    const std::string piece = t.input.substr(begin, end - begin);
    if (piece.find_first_not_of(" \t\r") != std::string::npos) list += (line++ ? ", " : "") + piece;
    begin = end + 1;
  }
  if (line != arguments) fail(where, ": expected an argument a line, got ", arguments, " in ", line, " lines");
  t.input = list + "]";
  return t;
}

void read_tests(const Json& tests, Suite& suite, std::string_view where) {
  if (!tests.is_array() || tests.empty()) fail_usage(where, ": 'tests' must be a list that is not empty");
  const bool statements = tests.front().is_string();
  const bool calls = !statements && !suite.entry.empty();
  suite.kind = statements ? Suite::Kind::kAsserts : calls ? Suite::Kind::kCalls : Suite::Kind::kStdin;
  for (const Json& t : tests) {
    if (t.is_string() != statements || (!statements && !t.is_object()))
      fail_usage(where, ": 'tests' must be all statements or all objects");
    if (statements)
      suite.tests.push_back({.input = t.get<std::string>()});
    else
      suite.tests.push_back(test_from_json(t, calls, where));
  }
}

constexpr std::pair<const char*, OutputRule> kRules[] = {
    {"lines", OutputRule::kLines}, {"tokens", OutputRule::kTokens}, {"exact", OutputRule::kExact}};

}  // namespace

Suite suite_from_json(const Json& json, std::string_view where) {
  if (!json.is_object()) fail_usage(where, ": expected an object with tests, got ", json.type_name());
  refuse_unknown(json,
                 {"tests", "entry_point", "check", "context", "setup", "files", "module", "prelude", "rule", "float_tolerance",
                  "subtask_points", "checker", "interactor"},
                 where);
  Suite suite;
  suite.entry = text_or(json, "entry_point", where);
  suite.context = text_or(json, "context", where);
  suite.prelude = text_or(json, "prelude", where);
  suite.code = text_or(json, "setup", where);
  suite.module = json_get_or<std::string>(json, "module", "solution", where);
  suite.output.float_tolerance = suite.value.float_tolerance = json_get_or<double>(json, "float_tolerance", 0.0, where);
  const std::string rule = json_get_or<std::string>(json, "rule", "lines", where);
  const auto* found = std::find_if(std::begin(kRules), std::end(kRules), [&](const auto& r) { return rule == r.first; });
  if (found == std::end(kRules)) fail_usage(where, ": 'rule' must be lines, tokens or exact, got '", rule, "'");
  suite.output.rule = found->second;
  suite.subtask_points = json_get_or<std::vector<double>>(json, "subtask_points", {}, where);
  for (const char* key : {"checker", "interactor"}) {
    if (!json.contains(key)) continue;
    const Json& checker = json[key];
    if (!checker.is_object()) fail_usage(where, ": '", key, "' must be an object with code and language, got ", checker.type_name());
    if (!suite.checker.code.empty()) fail_usage(where, ": 'checker' and 'interactor' exclude each other: an interactor judges by itself");
    refuse_unknown(checker, {"language", "code"}, where);
    suite.checker.interactive = std::string_view(key) == "interactor";
    suite.checker.language = json_get_or<std::string>(checker, "language", "python", where);
    suite.checker.code = json_get<std::string>(checker, "code", where);
  }
  if (json.contains("check")) {
    suite.kind = Suite::Kind::kCheck;
    suite.code = json_get<std::string>(json, "check", where);
  } else if (json.contains("files")) {
    suite.kind = Suite::Kind::kUnit;
    for (const auto& [name, content] : json["files"].items()) {
      if (!content.is_string()) fail_usage(where, ": files must be texts by name");
      suite.files.emplace_back(name, content.get<std::string>());
    }
  } else if (json.contains("tests")) {
    read_tests(json["tests"], suite, where);
  } else {
    fail_usage(where, ": there are no tests: give 'tests', 'check' or 'files'");
  }
  return suite;
}

Json suite_to_json(const Suite& suite) {
  Json out = Json::object();
  const auto put = [&out](const char* key, const std::string& value) {
    if (!value.empty()) out[key] = value;
  };
  put("entry_point", suite.entry);
  put("context", suite.context);
  put("prelude", suite.prelude);
  if (suite.module != "solution") out["module"] = suite.module;
  for (const auto& [name, rule] : kRules)
    if (rule == suite.output.rule && rule != OutputRule::kLines) out["rule"] = name;
  if (suite.output.float_tolerance > 0) out["float_tolerance"] = suite.output.float_tolerance;
  if (!suite.subtask_points.empty()) out["subtask_points"] = suite.subtask_points;
  if (!suite.checker.code.empty())
    out[suite.checker.interactive ? "interactor" : "checker"] = {{"language", suite.checker.language}, {"code", suite.checker.code}};
  if (suite.kind == Suite::Kind::kCheck) {
    out["check"] = suite.code;
    return out;
  }
  if (suite.kind == Suite::Kind::kUnit) {
    for (const auto& [name, content] : suite.files) out["files"][name] = content;
    return out;
  }
  put("setup", suite.code);
  for (const Test& t : suite.tests) {
    if (suite.kind == Suite::Kind::kAsserts) {
      out["tests"].push_back(t.input);
      continue;
    }
    // Calls as texts: JSON's numbers would not keep large ints.
    Json row = {{"input", t.input}, {"output", t.expected}};
    if (suite.kind == Suite::Kind::kCalls) row = {{"call", t.input}, {"value", t.expected}};
    if (!t.also.empty()) row["also"] = t.also;
    if (!t.name.empty()) row["name"] = t.name;
    if (t.weight != 1) row["weight"] = t.weight;
    if (t.subtask != 0) row["subtask"] = t.subtask;
    if (t.seconds != 0) row["seconds"] = t.seconds;
    out["tests"].push_back(std::move(row));
  }
  return out;
}

Json report_to_json(const Report& report) {
  Json out = {{"verdict", verdict_name(report.verdict)},
              {"passed", report.passes()},
              {"total", report.tests.size()},
              {"score", report.fraction()},
              {"detail", report.detail},
              {"seconds", report.seconds},
              {"tests", Json::array()}};
  for (const TestReport& t : report.tests)
    out["tests"].push_back({{"name", t.name}, {"verdict", verdict_name(t.verdict)}, {"detail", t.detail}, {"seconds", t.seconds}});
  return out;
}

}  // namespace r1::verify::judge
