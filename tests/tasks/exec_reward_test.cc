#include "r1/tasks/exec_reward.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "tests/sandbox_lacking.h"

namespace r1::tasks {
namespace {

namespace fs = std::filesystem;
using verify::sandbox::End;
using verify::sandbox::Limits;
using verify::sandbox::Outcome;
using verify::sandbox::Program;
using Values = std::vector<std::optional<double>>;

Problem problem() {
  Problem p;
  p.id = "t/1";
  p.question = "2+2?";
  p.prompt = "2+2=";
  p.messages = {{"user", "2+2?"}};
  p.gold = "4";
  p.extra = {{"numbers", {2, 2}}};
  return p;
}

std::vector<RewardInput> group(const Problem& p, const std::vector<std::string>& texts) {
  std::vector<RewardInput> out;
  for (size_t i = 0; i < texts.size(); ++i) out.push_back({&p, texts[i], int64_t(i), i == 1, {Verdict::kRight, 1, "4"}});
  return out;
}

// The reward with a program that is this function.
std::unique_ptr<Reward> reward_of(ProgramRunner run, const std::string& command = "python3 x.py", const Json& options = Json::object()) {
  OptionReader reader(options, "reward exec");
  auto out = make_exec_reward(command, reader, std::move(run));
  reader.finish();
  return out;
}
ProgramRunner says(const std::string& out, End end = End::kExited, int status = 0) {
  return [=](const Program&, const Limits&) { return Outcome{.end = end, .status = status, .out = out}; };
}

TEST(ExecReward, TheProtocol) {
  const Problem p = problem();
  const auto inputs = group(p, {"a\nb", "caf\xc3\xa9 \xff"});
  Program seen;
  Limits limits;
  const auto reward = reward_of(
      [&](const Program& program, const Limits& l) {
        seen = program;
        limits = l;
        return Outcome{.end = End::kExited, .out = "{\"reward\": 0.5, \"why\": \"x\"}\n{\"reward\":null}"};
      },
      "python3 -c 'a b'", {{"timeout", 3}, {"memory_mb", 64}});
  EXPECT_EQ((*reward)(inputs), (Values{0.5, std::nullopt})) << "a missing last line break is fine";
  EXPECT_TRUE(reward->take_failures().empty()) << "null is an answer";
  EXPECT_EQ(seen.argv, (std::vector<std::string>{"/usr/bin/env", "python3", "-c", "a b"}));
  EXPECT_DOUBLE_EQ(limits.wall_seconds, 3);
  EXPECT_EQ(limits.memory_bytes, 64 << 20);
  const size_t end = seen.input.find('\n');
  ASSERT_EQ(std::count(seen.input.begin(), seen.input.end(), '\n'), 2) << "one line a completion, whatever is in it";
  const Json first = parse_json(seen.input.substr(0, end), "1"), second = parse_json(seen.input.substr(end + 1), "2");
  EXPECT_EQ(dump_json(first), dump_json(Json{{"id", "t/1"},
                                             {"question", "2+2?"},
                                             {"prompt", "2+2="},
                                             {"messages", {{{"role", "user"}, {"content", "2+2?"}}}},
                                             {"gold", "4"},
                                             {"task", {{"numbers", {2, 2}}}},
                                             {"completion", "a\nb"},
                                             {"tokens", 0},
                                             {"truncated", false},
                                             {"verdict", "right"},
                                             {"accuracy", 1.0},
                                             {"extracted", "4"}}));
  EXPECT_EQ(second.at("completion"), "café \xef\xbf\xbd") << "bytes that are no UTF-8 arrive as U+FFFD";
  EXPECT_EQ(second.at("truncated"), true);
}

TEST(ExecReward, FailuresAreTypedAndNeverZero) {
  const Problem p = problem();
  const auto inputs = group(p, {"a", "b", "c"});
  const std::string good = "{\"reward\": 1}\n{\"reward\": 1}\n{\"reward\": 1}\n";
  const std::vector<std::tuple<ProgramRunner, const char*>> cases = {
      {says(good, End::kTimeout), "timeout"},
      {says(good, End::kCpuTime), "timeout"},
      {says(good, End::kSignalled, 11), "crash"},
      {says(good, End::kExited, 1), "crash"},
      {says(good, End::kMemory), "memory"},
      {says(good, End::kOutput), "output"},
      {says("", End::kFailedToStart), "not_started"},
      {says(""), "malformed"},
      {says("{\"reward\": 1}\n{\"reward\": 1}\n"), "malformed"},
      {says(good + "{\"reward\": 1}\n"), "malformed"},
      {says("1\n1\n1\n"), "malformed"},
      {says("{\"reward\": 1}\n\n{\"reward\": 1}\n"), "malformed"},
      {says("{\"reward\": 1}\n{\"score\": 1}\n{\"reward\": 1}\n"), "malformed"},
      {says("{\"reward\": 1}\n{\"reward\": \"1\"}\n{\"reward\": 1}\n"), "malformed"},
      {says("{\"reward\": 1}\n{\"reward\": 1e999}\n{\"reward\": 1}\n"), "malformed"},
      {says("{\"reward\": NaN}\n{\"reward\": 1}\n{\"reward\": 1}\n"), "malformed"},
      {says("hello\n" + good), "malformed"}};
  for (const auto& [run, kind] : cases) {
    const auto reward = reward_of(run);
    EXPECT_EQ((*reward)(inputs), Values(3)) << kind;
    EXPECT_EQ(reward->take_failures(), (std::map<std::string, int64_t>{{kind, 3}}));
    EXPECT_TRUE(reward->take_failures().empty()) << "taken";
  }
}

TEST(ExecReward, TheUsersProgramIsMounted) {
  const fs::path folder = fs::temp_directory_path() / str("r1_exec_reward_", ::getpid());
  fs::create_directories(folder);
  std::ofstream(folder / "my reward.py") << "print(1)\n";
  const Problem p = problem();
  Program seen;
  const auto reward = reward_of(
      [&](const Program& program, const Limits&) {
        seen = program;
        return Outcome{.end = End::kExited, .out = "{\"reward\": 2}\n"};
      },
      "/usr/bin/python3 '" + (folder / "my reward.py").string() + "' --in " + folder.string());
  EXPECT_EQ((*reward)(group(p, {"a"})), Values{2.0});
  EXPECT_EQ(seen.argv, (std::vector<std::string>{"/usr/bin/env", "/usr/bin/python3", "/reward/my reward.py", "--in", folder.string()}));
  ASSERT_EQ(seen.mounts.size(), 1u);
  EXPECT_EQ(seen.mounts[0].host, folder);
  EXPECT_EQ(seen.mounts[0].inside, "/reward");
  EXPECT_FALSE(seen.mounts[0].writable);
  fs::remove_all(folder);
}

// The real sandbox around real programs.
class ExecInSandbox : public testing::Test {
 protected:
  ExecInSandbox() { fs::create_directories(folder); }
  ~ExecInSandbox() override { fs::remove_all(folder); }
  void SetUp() override {
    if (const std::string why = verify::sandbox::lacking({}); !why.empty()) GTEST_SKIP() << why;
    if (!fs::exists("/usr/bin/python3")) GTEST_SKIP() << "no /usr/bin/python3 here";
  }
  std::unique_ptr<Reward> python(const std::string& body, Json options = Json::object()) {
    std::ofstream(folder / "helper.py") << "def half(x): return x / 2\n";
    std::ofstream(folder / "mine.py") << "import json, os, sys, time\nimport helper\nlines = [json.loads(l) for l in sys.stdin]\n" << body;
    options["may_miss"] = "cgroup, landlock,seccomp";
    return make_reward("exec:python3 " + (folder / "mine.py").string(), options);
  }
  const fs::path folder = fs::temp_directory_path() / str("r1_exec_sandbox_", ::getpid());
  const Problem p = problem();
};

TEST_F(ExecInSandbox, AUsersProgramGivesTheReward) {
  const auto reward =
      python("for c in lines: print(json.dumps({'reward': helper.half(len(c['completion'])) if c['completion'] else None}))\n");
  EXPECT_EQ((*reward)(group(p, {"four", "", "好"})), (Values{2.0, std::nullopt, 0.5}));
  EXPECT_TRUE(reward->take_failures().empty());
}

TEST_F(ExecInSandbox, WhatGoesWrongIsTyped) {
  const auto inputs = group(p, {"a", "b"});
  const std::vector<std::tuple<std::string, const char*, Json>> cases = {
      {"time.sleep(60)\n", "timeout", {{"timeout", 0.3}}},
      {"while True: pass\n", "timeout", {{"timeout", 0.3}}},
      {"sys.exit(3)\n", "crash", Json::object()},
      {"os.kill(os.getpid(), 11)\n", "crash", Json::object()},
      {"print('x' * 5000)\n", "output", {{"output_kb", 1}}},
      {"print('no')\n", "malformed", Json::object()},
      {"open('/reward/mine.py', 'w')\n", "crash", Json::object()},
      {"import socket\nsocket.create_connection(('127.0.0.1', 22), 1)\n", "crash", Json::object()}};
  for (const auto& [body, kind, options] : cases) {
    const auto reward = python(body, options);
    EXPECT_EQ((*reward)(inputs), Values(2)) << body;
    EXPECT_EQ(reward->take_failures(), (std::map<std::string, int64_t>{{kind, 2}})) << body;
  }
}

TEST_F(ExecInSandbox, MissingLayersAreRefusedOrAgreedTo) {
  EXPECT_THROW(make_reward("exec:python3", {{"may_miss", "cgroop"}}), Error);
  bool all = true;
  for (const auto& layer : verify::sandbox::examine()) all &= layer.available;
  if (all)
    EXPECT_NO_THROW(make_reward("exec:python3"));
  else
    EXPECT_THROW(make_reward("exec:python3"), Error) << "fail closed";
}

TEST(ExecReward, CommandsAreSplit) {
  EXPECT_EQ(split_command(" a  'b c'\td\"e 'f\"g '' "), (std::vector<std::string>{"a", "b c", "de 'fg", ""}));
  EXPECT_TRUE(split_command("  ").empty());
  EXPECT_THROW(split_command("a 'b"), Error);
  EXPECT_THROW(reward_of(says(""), " "), Error);
  EXPECT_THROW(reward_of(says(""), "a", {{"timeuot", 1}}), Error);
}

TEST(ExecReward, AnyOutputIsBorne) {
  Rng rng(4);
  const std::vector<std::string> pieces = {"{\"reward\":", "1", "}", "\n", "null", "[", "\xff", "{\"reward\": 1}\n", "\"", "-", "e5", " "};
  int good = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (uint64_t k = rng.below(8); k-- > 0;) text += pieces[rng.below(pieces.size())];
    try {
      EXPECT_EQ(parse_exec_output(text, 2).size(), 2u);
      ++good;
    } catch (const Error&) {
    }
  }
  EXPECT_GT(good, 10);
}

}  // namespace
}  // namespace r1::tasks
