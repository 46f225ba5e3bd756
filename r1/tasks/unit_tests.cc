#include "r1/tasks/unit_tests.h"

#include <algorithm>
#include <set>

#include "r1/base/error.h"
#include "r1/tasks/unit_tests_py.h"

namespace r1::tasks {
namespace {

using verify::judge::CheckOptions;
using verify::judge::Report;
using verify::judge::Suite;
using verify::judge::TestReport;
namespace sandbox = verify::sandbox;

constexpr const char* kFile = "test_code.py";

std::string indented(const std::string& text) {
  std::string out = "    ";
  for (char c : text) {
    out += c;
    if (c == '\n') out += "    ";
  }
  return out;
}

std::string part(const std::string& name, const std::string& body) {
  return "\n\ndef " + name + "():\n" + indented(body) + "\n";
}

std::string head(const std::vector<UnitTest>& tests, const std::string& module) {
  std::set<std::string> imports, uses;
  for (const UnitTest& t : tests) {
    imports.insert(t.imports.begin(), t.imports.end());
    uses.insert(t.uses.begin(), t.uses.end());
  }
  std::string out, names;
  for (const std::string& line : imports) out += line + "\n";
  for (const std::string& name : uses) names += (names.empty() ? "" : ", ") + name;
  if (!imports.empty() && !names.empty()) out += "\n";
  return names.empty() ? out : out + "from " + module + " import " + names + "\n";
}

std::vector<std::string> strings(const Json& list) {
  return list.get<std::vector<std::string>>();
}

}  // namespace

std::string test_file(const std::vector<UnitTest>& tests, const std::string& module) {
  std::string out = head(tests, module);
  std::map<std::string, int> number;
  for (const UnitTest& t : tests) out += part("test_" + t.target + "_" + std::to_string(++number[t.target]), t.body);
  return out;
}

bool MutantRun::killed() const {
  return std::ranges::find(failed_by, true) != failed_by.end();
}

UnitTests::UnitTests(const verify::judge::Judge& judge) : judge_(judge) {
  if (!judge.unavailable().empty()) fail("tests cannot be run on this machine: ", judge.unavailable());
}
UnitTests::~UnitTests() = default;

Json UnitTests::ask(const Json& request) const {
  sandbox::Program program{.argv = {"/usr/bin/python3", "-I", "/box/read.py"},
                           .env = {},
                           .files = {{"read.py", kUnitTestsPython}},
                           .mounts = {},
                           .input = dump_json(request)};
  const sandbox::Outcome o = sandbox_.run(program, {.wall_seconds = 20, .cpu_seconds = 20, .output_bytes = 16 << 20});
  if (o.end != sandbox::End::kExited || o.status != 0)
    fail("[tests] reading Python code ended with ", sandbox::end_name(o.end), " ", o.status, ": ",
         o.err.substr(o.err.size() - std::min<size_t>(o.err.size(), 300)));
  const Json answer = parse_json(o.out, "[tests] the reader's answer");
  if (answer.contains("error")) fail("[tests] the code is no Python: ", json_get<std::string>(answer, "error", "[tests]"));
  return answer;
}

std::vector<CodeFunction> UnitTests::functions(const std::string& code) const {
  std::vector<CodeFunction> out;
  const Json answer = ask({{"do", "functions"}, {"code", code}});
  for (const Json& f : answer.at("functions")) out.push_back({f.at("name"), f.at("source"), f.at("method")});
  return out;
}

TestReading UnitTests::read(const std::string& code, const std::vector<std::string>& answers, const UnitTestOptions& options) const {
  const Json answer =
      ask({{"do", "read"}, {"code", code}, {"answers", answers}, {"functions", options.functions}, {"limit", options.max_candidates}});
  TestReading out;
  for (const Json& t : answer.at("tests"))
    out.tests.push_back({t.at("target"), strings(t.at("imports")), strings(t.at("uses")), t.at("body")});
  for (const auto& [why, count] : answer.at("dropped").items()) out.dropped[why] = count.get<int64_t>();
  return out;
}

// Which tests pass. With `probe` nothing counts (all pass) if the code cannot even be imported.
std::vector<bool> UnitTests::run(const std::string& code, const std::vector<UnitTest>& tests, const UnitTestOptions& options,
                                 bool probe) const {
  std::string file = head(tests, options.module);
  if (probe) file += part("test_0", "import " + options.module);
  for (size_t i = 0; i < tests.size(); ++i) file += part("test_" + std::to_string(i + 1), tests[i].body);
  Suite suite{.kind = Suite::Kind::kUnit, .files = {{kFile, file}}};
  suite.module = options.module;
  CheckOptions check;
  check.test_seconds = options.test_seconds;
  check.deadline = options.deadline;
  const Report report = judge_.check({"python", code}, suite, check);
  std::map<std::string, bool> passed;
  for (const TestReport& t : report.tests) passed[t.name] = t.verdict == verify::judge::Verdict::kPass;
  const auto name = [](size_t i) { return str(kFile, "::test_", i); };
  const bool counts = !probe || passed[name(0)];
  std::vector<bool> out;
  for (size_t i = 0; i < tests.size(); ++i) out.push_back(!counts || passed[name(i + 1)]);
  return out;
}

TestSelection UnitTests::select(const std::string& code, const std::vector<UnitTest>& tests, const UnitTestOptions& options) const {
  TestSelection out;
  out.candidates = int64_t(tests.size());
  if (tests.empty()) return out;
  const std::vector<bool> first = run(code, tests, options, false);
  std::vector<UnitTest> passing;
  for (size_t i = 0; i < tests.size(); ++i)
    if (first[i]) passing.push_back(tests[i]);
  out.failing = out.candidates - int64_t(passing.size());
  if (passing.empty()) return out;
  const std::vector<bool> again = run(code, passing, options, false);
  std::vector<bool> seen_failing(passing.size(), false);
  for (const std::string& stub : strings(ask({{"do", "stubs"}, {"code", code}}).at("stubs"))) {
    const std::vector<bool> passes = run(stub, passing, options, true);
    for (size_t i = 0; i < passing.size(); ++i)
      if (!passes[i]) seen_failing[i] = true;
  }
  for (size_t i = 0; i < passing.size(); ++i) {
    if (!again[i])
      ++out.flaky;
    else if (!seen_failing[i])
      ++out.not_asserting;
    else
      out.tests.push_back(passing[i]);
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> UnitTests::mutants(const std::string& code, const UnitTestOptions& options,
                                                                    int64_t count) const {
  std::vector<std::pair<std::string, std::string>> out;
  if (count <= 0) return out;
  const Json answer = ask({{"do", "mutants"}, {"code", code}, {"functions", options.functions}, {"count", count}});
  for (const Json& m : answer.at("mutants")) out.emplace_back(m.at(0), m.at(1));
  return out;
}

std::vector<MutantRun> UnitTests::run_mutants(const std::vector<std::pair<std::string, std::string>>& mutants,
                                              const std::vector<UnitTest>& tests, const UnitTestOptions& options) const {
  std::vector<MutantRun> out;
  for (const auto& [change, code] : mutants) {
    MutantRun run{change, std::vector<bool>(tests.size(), false)};
    if (!tests.empty()) {
      const std::vector<bool> passes = this->run(code, tests, options, false);
      for (size_t i = 0; i < tests.size(); ++i) run.failed_by[i] = !passes[i];
    }
    out.push_back(std::move(run));
  }
  return out;
}

}  // namespace r1::tasks
