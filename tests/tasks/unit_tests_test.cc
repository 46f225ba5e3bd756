#include "r1/tasks/unit_tests.h"

#include <gtest/gtest.h>

#include <random>

#include "r1/base/error.h"
#include "tests/message_of.h"
#include "tests/sandbox_lacking.h"

namespace r1::tasks {
namespace {

using verify::judge::Judge;

constexpr const char* kCode = R"(
import math

def add(a, b):
    """Adds."""
    return a + b

def clamp(x, low, high):
    if x < low:
        return low
    return min(x, high)

class Stack:
    def __init__(self):
        self.items = []
    def push(self, item):
        self.items.append(item)
        return len(self.items)

def _hidden():
    pass
)";

class UnitTestsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { judge_ = new Judge({.workers = 2, .warm = 2}); }
  static void TearDownTestSuite() {
    delete judge_;
    judge_ = nullptr;
  }
  void SetUp() override {
    if (const std::string lacking = verify::sandbox::lacking_any(); !lacking.empty()) GTEST_SKIP() << lacking;
  }
  static std::vector<std::string> bodies(const std::vector<UnitTest>& tests) {
    std::vector<std::string> out;
    for (const UnitTest& t : tests) out.push_back(t.body);
    return out;
  }
  static std::vector<std::string> read(const std::string& answer, const UnitTestOptions& options = {}, const std::string& code = kCode) {
    return bodies(UnitTests(*judge_).read(code, {answer}, options).tests);
  }
  static Judge* judge_;
};
Judge* UnitTestsTest::judge_ = nullptr;

using Bodies = std::vector<std::string>;

TEST_F(UnitTestsTest, FunctionsOfTheCode) {
  const auto functions = UnitTests(*judge_).functions(kCode);
  ASSERT_EQ(functions.size(), 3u);
  EXPECT_EQ(functions[0].name, "add");
  EXPECT_EQ(functions[0].source, "def add(a, b):\n    \"\"\"Adds.\"\"\"\n    return a + b");
  EXPECT_TRUE(functions[2].method);
  EXPECT_NE(message_of([] { UnitTests(*judge_).functions("def f(:\n"); }).find("line 1"), std::string::npos);
}

TEST_F(UnitTestsTest, AssertsAtTheMarginAndWhatTheyNeed) {
  EXPECT_EQ(read("Sure!\n```python\nassert add(1, 2) == 3\nx = [1]\nassert add(x, x) == [1, 1], 'lists'\n```\nThat is all."),
            (Bodies{"assert add(1, 2) == 3", "x = [1]\nassert add(x, x) == [1, 1], 'lists'"}));
  EXPECT_EQ(read("assert add(1, 1) == 2\ns = Stack()\ns.push(1)\nassert s.push(7) == 2\n```\n"),
            (Bodies{"assert add(1, 1) == 2", "s = Stack()\ns.push(1)\nassert s.push(7) == 2"}));
}

TEST_F(UnitTestsTest, AFunctionOfSeveralAssertsBecomesATestEach) {
  EXPECT_EQ(
      read("import pytest\nfrom solution import add\n\ndef test_add():\n    \"\"\"doc\"\"\"\n    a = 2\n    assert add(a, 2) == 4\n    b = "
           "add(a, a)\n    assert b == 4\n"
           "    with pytest.raises(TypeError):\n        add(1, 'x')\n"),
      (Bodies{"a = 2\nassert add(a, 2) == 4", "a = 2\nb = add(a, a)\nassert b == 4", "with pytest.raises(TypeError):\n    add(1, 'x')"}));
  EXPECT_EQ(read("def test_loop():\n    for i in range(3):\n        assert add(i, 0) == i\n"),
            (Bodies{"for i in range(3):\n    assert add(i, 0) == i"}));
}

TEST_F(UnitTestsTest, UnittestAndHumanEvalsForm) {
  EXPECT_EQ(read("class TestAdd(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(add(1, 2), 3)\n        "
                 "self.assertTrue(add(1, 0))\n"
                 "        self.assertAlmostEqual(add(0.1, 0.2), 0.3, 2)\n        self.assertRaises(TypeError, add, 1, 'x')\n"),
            (Bodies{"assert add(1, 2) == 3", "assert add(1, 0)", "assert add(0.1, 0.2) == pytest.approx(0.3, abs=0.005)",
                    "with pytest.raises(TypeError):\n    add(1, 'x')"}));
  EXPECT_EQ(read("def check(candidate):\n    assert candidate(1, 2) == 3\n", {.functions = {"add"}}), (Bodies{"assert add(1, 2) == 3"}));
}

TEST_F(UnitTestsTest, WhatIsNoTestIsLeftOutAndCounted) {
  const auto dropped = [](const std::string& answer) {
    const TestReading r = UnitTests(*judge_).read(kCode, {answer}, {});
    EXPECT_TRUE(r.tests.empty()) << answer;
    return r.dropped.empty() ? "" : r.dropped.begin()->first;
  };
  EXPECT_EQ(dropped("assert True"), "asserts nothing of the code");
  EXPECT_EQ(dropped("assert 1 + 1 == 2"), "asserts nothing of the code");
  EXPECT_EQ(dropped("assert add(1, 2) == add(1, 2)"), "compares with itself");
  EXPECT_EQ(dropped("assert (add(1, 2), 4)"), "a tuple is always true");
  EXPECT_EQ(dropped("def test_a():\n    add(1, 2)\n"), "no assert");
  EXPECT_EQ(dropped("assert substract(add(1, 2)) == 1"), "unknown name");
  EXPECT_EQ(dropped("import numpy as np\nassert np.add(add(1, 2), 1) == 4"), "unknown name");
  EXPECT_EQ(dropped("def test_a(tmp_path):\n    assert add(1, 2) == 3\n"), "has arguments");
  EXPECT_EQ(dropped("def test_a():\n    add = lambda a, b: 3\n    assert add(1, 2) == 3\n"), "redefines the code");
  // The code of the answer does not take the place of the code.
  EXPECT_EQ(read("def add(a, b):\n    return 4\n\nassert add(2, 2) == 4\n"), (Bodies{"assert add(2, 2) == 4"}));
}

TEST_F(UnitTestsTest, BrokenAnswersGiveWhatIsWhole) {
  EXPECT_EQ(read("assert add(1, 2) == 3\nassert add(2, 2) == 4\nassert add([1, 2"),
            (Bodies{"assert add(1, 2) == 3", "assert add(2, 2) == 4"}));
  EXPECT_EQ(read("assert add(1, 2) = 3\nassert add(2, 2) == 4\n"), (Bodies{"assert add(2, 2) == 4"}));
  EXPECT_EQ(read("<think>assert add(0, 0) == 9</think>\n```python\nassert add(1, 2) == 3\n"), (Bodies{"assert add(1, 2) == 3"}));
  EXPECT_EQ(read(""), Bodies{});
}

TEST_F(UnitTestsTest, OnlyPassingAndAssertingOnesAreSelected) {
  const UnitTests tests(*judge_);
  const std::string answer =
      "assert add(1, 2) == 3\nassert add(1, 2) == 4\nassert add(2, 2) == 4\nassert clamp(5, 1, 3) == 3\nassert clamp(5, 1, 3) or True\n"
      "assert add(1, 1) != add(1, 2)\nassert isinstance(add(1, 1), object)\nassert add('a', 'b') == 'ab'\n"
      "def test_caught():\n    try:\n        assert add(1, 2) == 9\n    except AssertionError:\n        pass\n";
  const TestReading r = tests.read(kCode, {answer, answer}, {});
  EXPECT_EQ(r.tests.size(), 9u);
  EXPECT_EQ(r.dropped.at("duplicate"), 9);
  const TestSelection s = tests.select(kCode, r.tests, {});
  EXPECT_EQ(bodies(s.tests), (Bodies{"assert add(1, 2) == 3", "assert add(2, 2) == 4", "assert clamp(5, 1, 3) == 3",
                                     "assert add(1, 1) != add(1, 2)", "assert add('a', 'b') == 'ab'"}));
  EXPECT_EQ(s.failing, 1);
  EXPECT_EQ(s.not_asserting, 3);
}

TEST_F(UnitTestsTest, ATestThatHangsFails) {
  const UnitTests tests(*judge_);
  const TestReading r = tests.read(kCode, {"def test_hang():\n    while True:\n        assert add(1, 1) == 2\n"}, {});
  const TestSelection s = tests.select(kCode, r.tests, {.functions = {}, .test_seconds = 0.3});
  EXPECT_EQ(s.candidates, 1);
  EXPECT_EQ(s.failing, 1);
}

TEST_F(UnitTestsTest, MutantsAreSmallChangesAndGoodTestsFailOnThem) {
  const UnitTests tests(*judge_);
  const UnitTestOptions options{.functions = {"clamp"}};
  const auto mutants = tests.mutants(kCode, options, 20);
  EXPECT_EQ(mutants, tests.mutants(kCode, options, 20));
  ASSERT_EQ(mutants.size(), 5u);  // the condition, <, both returns, min
  for (const auto& [change, code] : mutants) {
    EXPECT_TRUE(change.starts_with("line ")) << change;
    EXPECT_NE(code.find("return a + b"), std::string::npos) << "only the named function is changed";
  }
  const auto selected =
      tests.select(kCode, tests.read(kCode, {"assert clamp(0, 1, 3) == 1\nassert clamp(5, 1, 3) == 3\n"}, options).tests, options);
  ASSERT_EQ(selected.tests.size(), 2u);
  int killed = 0;
  for (const MutantRun& run : tests.run_mutants(mutants, selected.tests, options)) killed += run.killed();
  EXPECT_EQ(killed, 4);  // x < low and x <= low give the same
  EXPECT_EQ(tests.mutants(kCode, options, 2).size(), 2u);
}

TEST_F(UnitTestsTest, TheFileIsOneThatPytestRuns) {
  const UnitTests tests(*judge_);
  const auto r = tests.read(
      kCode, {"assert math.isclose(add(0.1, 0.2), 0.3)\nassert add(1, 2) == 3\nwith pytest.raises(TypeError):\n    clamp(1)\n"}, {});
  EXPECT_EQ(
      test_file(r.tests, "maths"),
      "import math\nimport pytest\n\nfrom maths import add, clamp\n\n\ndef test_add_1():\n    assert math.isclose(add(0.1, 0.2), 0.3)\n\n\n"
      "def test_add_2():\n    assert add(1, 2) == 3\n\n\ndef test_clamp_1():\n    with pytest.raises(TypeError):\n        clamp(1)\n");
}

// Whatever a model writes: an answer, never an error.
TEST_F(UnitTestsTest, AnyAnswer) {
  std::mt19937 rng(9);
  const std::vector<std::string> words = {"assert ",
                                          "add(",
                                          "1",
                                          ", 2)",
                                          " == ",
                                          "3",
                                          "\n",
                                          "\n    ",
                                          "def test_a():",
                                          "```",
                                          "python",
                                          "class T(unittest.TestCase):",
                                          "self.",
                                          "assertEqual(",
                                          ")",
                                          "'",
                                          "\"\"\"",
                                          "\\",
                                          "é",
                                          std::string(1, '\0'),
                                          "with pytest.raises(E):",
                                          "import x",
                                          "[",
                                          "{",
                                          "lambda: ",
                                          "if 1:",
                                          "</think>"};
  std::vector<std::string> answers = {std::string(3000, '('), std::string(60000, '['), std::string(20000, '\n'), std::string(5000, '-'),
                                      "assert " + std::string(2000, '~') + "add(1, 2)"};
  for (int i = 0; i < 300; ++i) {
    std::string answer;
    for (size_t n = rng() % 40; n > 0; --n) answer += words[rng() % words.size()];
    answers.push_back(answer);
  }
  const TestReading r = UnitTests(*judge_).read(kCode, answers, {.functions = {}, .max_candidates = 20});
  EXPECT_LE(r.tests.size(), 20u);
}

}  // namespace
}  // namespace r1::tasks
