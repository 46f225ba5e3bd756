#include "r1/tasks/code.h"

#include "r1/base/error.h"
#include "r1/tasks/program_task.h"
#include "r1/tasks/prompt_style.h"
#include "r1/verify/judge/language.h"
#include "r1/verify/judge/suite_json.h"

namespace r1::tasks {
namespace {

using verify::judge::Suite;
using verify::judge::Test;

constexpr char kLeetCodeImports[] =
    "import sys, math, re, string, random, heapq, bisect, itertools, functools, collections, copy, operator\n"
    "from typing import *\nfrom collections import *\nfrom itertools import *\nfrom functools import *\nfrom heapq import *\n"
    "from bisect import *\nfrom math import *\n";

std::string first_text(const Json& row, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const auto it = row.find(key);
    if (it != row.end() && it->is_string() && !it->get<std::string>().empty()) return it->get<std::string>();
  }
  return "";
}

// row[key] as an object or list, also where it is the JSON text of one. Null: not there, or empty.
Json unpacked(const Json& row, const char* key, const std::string& where) {
  const auto it = row.find(key);
  if (it == row.end() || it->is_null()) return {};
  if (!it->is_string()) return *it;
  const std::string text = it->get<std::string>();
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return {};
  if (text[first] != '{' && text[first] != '[')
    fail(where, ": '", key, "' is neither JSON nor its text; a packed (pickled) form is not read, unpack it with the data set's own tool");
  return parse_json(text, where + ": " + key);
}

// A test's input or output: texts stay, lists of lines are joined (APPS), other values become JSON.
std::string as_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return dump_json(value);
  std::string out;
  for (const Json& line : value) out += (line.is_string() ? line.get<std::string>() : dump_json(line)) + "\n";
  return out;
}

Suite calls_suite(const std::string& entry) {
  Suite suite{.kind = Suite::Kind::kCalls, .entry = entry, .prelude = kLeetCodeImports};
  return suite;
}

// open-r1 and LiveCodeBench: a call's input is a JSON list of arguments or an argument a line.
Test call_test(const std::string& input, const std::string& output, const std::string& where) {
  const Json suite = {{"entry_point", "f"}, {"tests", Json::array({{{"input", input}, {"output", output}}})}};
  return verify::judge::suite_from_json(suite, where).tests[0];
}

Suite from_cases(const Json& cases, const std::string& entry, const char* kind_key, const std::string& where) {
  check(cases.is_array() && !cases.empty(), where, ": the tests must be a list that is not empty");
  const bool calls = !entry.empty();
  Suite suite = calls ? calls_suite(entry) : Suite{};
  for (const Json& c : cases) {
    const std::string kind = json_get_or<std::string>(c, kind_key, calls ? "functional" : "stdin", where);
    check(calls == (kind.find("func") != std::string::npos), where, ": a test is '", kind, "', but the problem ",
          calls ? "names a function" : "names no function");
    const std::string input = as_text(c.value("input", Json(""))), output = as_text(c.value("output", Json("")));
    if (calls)
      suite.tests.push_back(call_test(input, output, where));
    else
      suite.tests.push_back({.input = input, .expected = output});
  }
  return suite;
}

Suite from_open_r1(const Json& info, std::string& language, const std::string& where) {
  language = json_get_or<std::string>(info, "language", language, where);
  const Json cases = info.value("test_cases", Json());
  check(cases.is_array() && !cases.empty(), where, ": verification_info has no test_cases");
  return from_cases(cases, json_get_or<std::string>(cases.front(), "fn_name", "", where), "type", where);
}

Suite from_apps(const Json& io, const std::string& where) {
  const std::string entry = json_get_or<std::string>(io, "fn_name", "", where);
  const Json inputs = io.value("inputs", Json()), outputs = io.value("outputs", Json());
  check(inputs.is_array() && outputs.is_array() && inputs.size() == outputs.size() && !inputs.empty(), where,
        ": input_output expected as many outputs as inputs, and at least one");
  Suite suite = entry.empty() ? Suite{} : calls_suite(entry);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (entry.empty()) {
      suite.tests.push_back({.input = as_text(inputs[i]), .expected = as_text(outputs[i])});
      continue;
    }
    const bool texts = inputs[i].is_string();
    Test test = texts ? call_test(inputs[i].get<std::string>(), as_text(outputs[i]), where)
                      : Test{.input = dump_json(inputs[i]), .expected = dump_json(outputs[i])};
    if (outputs[i].is_array() && outputs[i].size() == 1) test.also.push_back(dump_json(outputs[i][0]));
    suite.tests.push_back(std::move(test));
  }
  return suite;
}

Suite from_live_code_bench(const Json& row, const std::string& where) {
  Json cases = unpacked(row, "public_test_cases", where);
  if (cases.is_null()) cases = Json::array();
  const Json hidden = unpacked(row, "private_test_cases", where);
  if (hidden.is_array()) cases.insert(cases.end(), hidden.begin(), hidden.end());
  const Json metadata = unpacked(row, "metadata", where);
  return from_cases(cases, metadata.is_object() ? json_get_or<std::string>(metadata, "func_name", "", where) : "", "testtype", where);
}

Suite from_statements(const Json& row, const std::string& where) {
  std::string setup = first_text(row, {"test_setup_code"});
  if (const Json imports = unpacked(row, "test_imports", where); imports.is_array())
    for (const Json& line : imports) setup += (setup.empty() ? "" : "\n") + as_text(line);
  const Json json = {{"tests", unpacked(row, "test_list", where)}, {"setup", setup}};
  Suite suite = verify::judge::suite_from_json(json, where);
  // Some functions have a name of Python's own, such as sum: the worked program says which is meant.
  const std::string code = first_text(row, {"code"}), first = suite.tests[0].input;
  for (size_t at = code.find("def "); at != std::string::npos; at = code.find("def ", at + 4)) {
    const std::string name = code.substr(at + 4, code.find('(', at) - at - 4);
    if (first.find(name + "(") != std::string::npos) suite.entry = name;
  }
  return suite;
}

Suite from_test_code(const Json& row, const std::string& code, const std::string& where) {
  const std::string entry = first_text(row, {"entry_point"});
  if (code.find("def check(") != std::string::npos && !entry.empty()) {
    Suite suite{.kind = Suite::Kind::kCheck, .entry = entry, .context = first_text(row, {"prompt"}), .code = code};
    return suite;
  }
  Suite suite{.kind = Suite::Kind::kUnit, .files = {{"test_solution.py", code}}};
  suite.module = json_get_or<std::string>(row, "module", "solution", where);
  return suite;
}

}  // namespace

std::optional<Suite> suite_of_row(const Json& row, std::string& language, const std::string& where) {
  if (const Json suite = unpacked(row, "suite", where); suite.is_object()) return verify::judge::suite_from_json(suite, where);
  if (const Json info = unpacked(row, "verification_info", where); info.is_object()) return from_open_r1(info, language, where);
  if (const Json io = unpacked(row, "input_output", where); io.is_object()) return from_apps(io, where);
  if (row.contains("public_test_cases") || row.contains("private_test_cases")) return from_live_code_bench(row, where);
  if (row.contains("test_list")) return from_statements(row, where);
  for (const char* key : {"test", "tests"}) {
    const auto it = row.find(key);
    if (it == row.end() || it->is_null()) continue;
    if (it->is_string()) return from_test_code(row, it->get<std::string>(), where);
    return verify::judge::suite_from_json({{"tests", *it}, {"entry_point", first_text(row, {"entry_point"})}}, where);
  }
  return std::nullopt;
}

namespace {

// What the problem leaves unsaid: how the program is given its input, and where to put it.
std::string request_of(const Suite& suite, const std::string& language) {
  std::string how;
  if (suite.kind == Suite::Kind::kStdin)
    how = "Write a " + language + " program that reads from standard input and writes the answer to standard output.";
  else if (!suite.entry.empty())
    how = "Write " + language + " code that defines `" + suite.entry + "`.";
  else
    how = "Write " + language + " code with the names that the problem asks for.";
  return how + " Put the whole program into one block ```" + language + " .. ```.";
}

class Code : public ProgramTask {
 public:
  explicit Code(OptionReader o) : ProgramTask("code", o, o.boolean("partial_credit", false)) {
    language_ = o.text("language", "python");
    if (!verify::judge::find_language(language_))
      fail_usage("task code: option 'language' names no language that is known: '", language_, "'");
    const Files files = file_options(o);
    style_ = o.one_of("prompt_style", "plain", {"plain", "r1_zero"});
    system_ = o.text("system", "");
    skip_untested_ = o.boolean("skip_untested", false);
    o.finish();
    load(files);
  }

 private:
  std::optional<Problem> read_row(const Json& row, const std::string& where) override {
    std::string language = json_get_or<std::string>(row, "language", language_, where);
    const auto suite = suite_of_row(row, language, where);
    if (!suite && skip_untested_) return std::nullopt;
    if (!suite) fail(where, ": no tests; give option skip_untested=true to leave such rows out", found_keys(row, "tests"));
    const auto* known = verify::judge::find_language(language);
    if (!known) fail(where, ": unknown language '", language, "'");
    return make(row, *suite, known->name, where);
  }

  Problem make(const Json& row, const Suite& suite, const std::string& language, const std::string& where) const {
    Problem p;
    p.question = first_text(row, {"prompt", "question", "problem", "question_content", "text", "description"});
    if (p.question.empty())
      fail(where, ": no problem text: expected 'prompt', 'question', 'problem', 'question_content', 'text' or 'description'",
           found_keys(row, "prompt"));
    if (const std::string starter = first_text(row, {"starter_code"}); !starter.empty())
      p.question += "\n\nBegin with this code:\n```" + language + "\n" + starter + "\n```";
    p.question += "\n\n" + request_of(suite, language);
    p.gold = first_text(row, {"canonical_solution", "gold_standard_solution", "solution", "code"});
    if (!p.gold.empty()) {
      const std::string block = "```" + language + "\n" + p.gold + (p.gold.back() == '\n' ? "" : "\n") + "```";
      p.solution = style_ == "r1_zero" ? styled_solution(style_, "The tests decide; here is the program.", block) : block;
    }
    apply_prompt_style(p, style_, system_);
    p.extra = {{"language", language}, {"suite", verify::judge::suite_to_json(suite)}};
    return p;
  }

  std::string language_, style_, system_;
  bool skip_untested_ = false;
};

}  // namespace

std::unique_ptr<Task> make_code_task(const Json& options) {
  return std::make_unique<Code>(OptionReader(options, "task code"));
}

}  // namespace r1::tasks
