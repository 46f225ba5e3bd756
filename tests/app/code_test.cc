// r1 code complete and r1 code tests end to end, on models that are scripted to say what a test wants.
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/app/program.h"
#include "tests/app/scripted_model.h"
#include "tests/sandbox_lacking.h"

namespace r1::app {
namespace {

using testing::byte_parts;
using testing::ProgramResult;
using testing::run_r1;
using testing::ScriptedModel;

constexpr int64_t kEos = 256, kSays = 260;

class Code : public ::testing::Test {
 protected:
  void SetUp() override { make_folder(root_); }
  void TearDown() override { fs::remove_all(root_); }
  std::string path(const std::string& name) const { return (root_ / name).string(); }
  std::string file(const std::string& name, const std::string& text) const {
    write_file_atomic(root_ / name, text);
    return path(name);
  }
  // A model that says `text` after the token `after`, then ends.
  void model(const std::string& text, int64_t after, bool fim) const {
    std::vector<text::AddedToken> added = {{.content = "<eos>", .special = true}};
    for (const char* name : {"prefix", "suffix", "middle"})
      added.push_back({.content = str(fim ? "<|fim_" : "<|no_", name, "|>"), .special = true});
    added.push_back({.content = text});
    text::TokenizerParts parts = byte_parts(added);
    parts.eos = "<eos>";
    ScriptedModel m;
    m.vocab_size = kSays + 1;
    m.chain({after, kSays, kEos});
    m.write(root_ / "model");
    text::Tokenizer::from_parts(std::move(parts)).save(root_ / "model");
  }
  ProgramResult complete(const std::string& place, Arguments more = {}) const {
    Arguments all = {"code", "complete", place, "--model", path("model"), "--max_new_tokens", "32"};
    all.insert(all.end(), more.begin(), more.end());
    return run_r1(all);
  }
  const fs::path root_ = fs::temp_directory_path() / str("r1_code_", ::getpid());
};

TEST_F(Code, FillsInAndStopsAtTheBlocksEnd) {
  model("return a + b\n\ndef g():\n    pass\n", /*fim_middle*/ 259, true);
  const std::string code = file("a.py", "def add(a, b):\n    \n\nprint(add(1, 2))\n");
  ProgramResult r = complete(code + ":2", {"--quiet"});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(r.out, "return a + b\n");
  r = complete(code + ":2:5", {"--quiet", "--json"});
  ASSERT_EQ(r.code, 0) << r.err;
  const Json json = parse_json(r.out, "stdout");
  EXPECT_EQ(json["text"], "return a + b");
  EXPECT_EQ(json["finish_reason"], "stop");
  EXPECT_EQ(json["stop_reason"], "block");
  EXPECT_EQ(json["language"], "python");
  EXPECT_EQ(json["fim"], "qwen");
  EXPECT_EQ(json["truncated"], false);
  EXPECT_EQ(complete(code + ":2", {"--quiet", "--stop_at", "none"}).out, "return a + b\n\ndef g():\n    pass\n\n");
}

TEST_F(Code, AModelWithoutTokensGoesOnAndSaysSo) {
  model("1\n", '=', false);
  const std::string code = file("a.py", "x =\ny = 2\n");
  const ProgramResult r = complete(code + ":1");
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_TRUE(r.out.starts_with("1\n")) << r.out;
  EXPECT_NE(r.err.find("no fill-in-the-middle tokens"), std::string::npos) << r.err;
}

TEST_F(Code, WrongPlacesAreToldBeforeAnythingIsLoaded) {
  const std::string code = file("a.py", "x = 1\r\né = 2");
  const auto says = [&](const std::string& place) {
    const ProgramResult r = complete(place);
    EXPECT_EQ(r.code, 2) << place;
    return r.err;
  };
  EXPECT_NE(says(code).find("FILE:LINE"), std::string::npos);
  EXPECT_NE(says(code + ":0").find("counted from 1"), std::string::npos);
  EXPECT_NE(says(code + ":3").find("has 2 lines"), std::string::npos);
  EXPECT_NE(says(code + ":2:7").find("ends at column 6"), std::string::npos);
  EXPECT_NE(says(code + ":1:7").find("ends at column 6"), std::string::npos) << "\\r\\n is no column";
  EXPECT_NE(complete(path("none.py") + ":1").code, 0);
}

TEST_F(Code, TestsAreRunAndOnlyGoodOnesComeBack) {
  if (const std::string lacking = verify::sandbox::lacking_any(); !lacking.empty()) GTEST_SKIP() << lacking;
  model("4) == 5\nassert f(5) == 6\nassert f(0) == 9\nassert f(1) == f(1)\nassert f(7) or True\nassert f(-1) == 0\nassert f(4) == 5\n", '(',
        true);
  const std::string code = file("increment.py", "def f(x):\n    return x + 1\n\n\ndef _g():\n    pass\n");
  const Arguments arguments = {"code", "tests", code, "--model", path("model"), "--num_samples", "2", "--max_new_tokens", "16"};
  ProgramResult r = run_r1(arguments);
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(r.out,
            "from increment import f\n\n\ndef test_f_1():\n    assert f(4) == 5\n\n\ndef test_f_2():\n    assert f(5) == 6\n\n\ndef "
            "test_f_3():\n    assert f(-1) == 0\n");
  EXPECT_NE(r.err.find("3 tests of 5"), std::string::npos) << r.err;
  Arguments more = arguments;
  more.insert(more.end(), {"--json", "--quiet", "--mutants", "5", "--output", path("test_increment.py")});
  r = run_r1(more);
  ASSERT_EQ(r.code, 0) << r.err;
  const Json json = parse_json(r.out, "stdout");
  EXPECT_EQ(json["tests"].size(), 3u);
  EXPECT_EQ(json["failing"], 1);
  EXPECT_EQ(json["not_asserting"], 1);
  for (const Json& m : json["mutants"]) EXPECT_EQ(m["noticed"], true) << m;
  EXPECT_TRUE(read_file(path("test_increment.py")).starts_with("from increment import f\n"));
}

TEST_F(Code, WithoutAGoodTestTheExitCodeSaysSo) {
  if (const std::string lacking = verify::sandbox::lacking_any(); !lacking.empty()) GTEST_SKIP() << lacking;
  model("1) == 7\n", '(', true);
  const std::string code = file("a.py", "def f(x):\n    return x + 1\n");
  const auto tests = [&](Arguments more) {
    Arguments all = {"code", "tests", code, "--model", path("model"), "--num_samples", "1", "--max_new_tokens", "8"};
    all.insert(all.end(), more.begin(), more.end());
    return run_r1(all);
  };
  const ProgramResult r = tests({});
  EXPECT_EQ(r.code, 1);
  EXPECT_EQ(r.out, "");
  EXPECT_NE(tests({"--function", "g"}).err.find("it has: f"), std::string::npos);
  file("a.py", "def f(:\n");
  EXPECT_NE(tests({}).err.find("no Python"), std::string::npos);
}

}  // namespace
}  // namespace r1::app
