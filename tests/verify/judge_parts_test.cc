// The judge's pieces by themselves: values and their equality, outputs, frames, the relay of an assert run, code in completions, suites,
// scores.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <functional>
#include <thread>

#include "r1/base/error.h"
#include "r1/verify/judge/channel.h"
#include "r1/verify/judge/compare.h"
#include "r1/verify/judge/extract.h"
#include "r1/verify/judge/judge.h"
#include "r1/verify/judge/language.h"
#include "r1/verify/judge/relay.h"
#include "r1/verify/judge/suite_json.h"

namespace r1::verify::judge {
namespace {

Value json(const std::string& text) {
  return parse_json_value(text, "test");
}
bool same(const std::string& expected, const std::string& got, double tolerance = 0) {
  return equal_values(json(expected), json(got), {tolerance});
}
std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(JudgeValue, WireRoundTrip) {
  for (const char* text : {"null",
                           "true",
                           "false",
                           "0",
                           "-1",
                           "9223372036854775807",
                           "-9223372036854775808",
                           "9223372036854775808",
                           "-9223372036854775809",
                           "123456789012345678901234567890",
                           "1.5",
                           "-0.0",
                           "1e300",
                           "NaN",
                           "Infinity",
                           "-Infinity",
                           "\"\"",
                           "\"h\\u00e9\\ud83d\\ude00\"",
                           "\"\\ud800\"",
                           "[]",
                           "[1,[2,[3]]]",
                           "{}",
                           "{\"a\":{\"b\":[null]}}"}) {
    const std::string wire = encode_value(json(text));
    const auto back = decode_value(wire);
    ASSERT_TRUE(back) << text;
    EXPECT_EQ(encode_value(*back), wire) << text;
    EXPECT_TRUE(equal_values(json(text), *back)) << text;
  }
}

TEST(JudgeValue, BadBytesAreNoValue) {
  for (const std::string bytes : {"",
                                  "Q",
                                  "i",
                                  "i;",
                                  "i1",
                                  "ix;",
                                  "i1;i2;",
                                  "i99999999999999999999;",
                                  "s5:abc",
                                  "s-1:",
                                  "s99999999999999:a",
                                  "l2:i1;",
                                  "l1:",
                                  "d1:i1;",
                                  "f;",
                                  "fx;",
                                  "c1.0;",
                                  "I;",
                                  "Iff;",
                                  "I00000000000000000001;",
                                  "I-8000000000000000;",
                                  "IFFFFFFFFFFFFFFFFF;",
                                  "x",
                                  "xi1;N",
                                  "xs1:a",
                                  "l4294967295:",
                                  "l18446744073709551617:N"})
    EXPECT_FALSE(decode_value(bytes)) << bytes;
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "l1:";
  EXPECT_FALSE(decode_value(deep + "N"));
}

TEST(JudgeValue, Equality) {
  EXPECT_TRUE(same("[1, 2]", "[1,2]"));
  EXPECT_FALSE(same("[1, 2]", "[2, 1]"));
  EXPECT_FALSE(same("[1, 2]", "[1]"));
  EXPECT_FALSE(same("[]", "null"));
  EXPECT_FALSE(same("\"1\"", "1"));
  EXPECT_TRUE(same("1", "1.0"));
  EXPECT_TRUE(same("1", "true"));
  EXPECT_FALSE(same("1", "1.0000001"));
  EXPECT_TRUE(same("1.0", "1.0000001", 1e-6));
  EXPECT_FALSE(same("1", "2", 0.5));                                         // ints are exact among themselves
  EXPECT_FALSE(same("1000000000000000001", "1000000000000000000.0", 1e-6));  // and against a whole float
  EXPECT_FALSE(same("1000000007.0", "1000000006", 1e-6));
  EXPECT_TRUE(same("3", "2.9999999", 1e-6));
  EXPECT_TRUE(same("0.0", "-0.0"));
  EXPECT_TRUE(same("NaN", "NaN"));
  EXPECT_FALSE(same("NaN", "1.0"));
  EXPECT_FALSE(same("1.0", "NaN", 1e9));
  EXPECT_TRUE(same("Infinity", "Infinity"));
  EXPECT_FALSE(same("1.0", "Infinity", 1e9));
  // 2^63 and 2^63 + 1: equal as doubles, not as numbers.
  EXPECT_FALSE(same("9223372036854775808", "9223372036854775809"));
  EXPECT_TRUE(same("9223372036854775808", "9223372036854775808.0"));
  EXPECT_FALSE(same("9007199254740993", "9007199254740992.0"));
  EXPECT_TRUE(same("{\"a\": 1, \"b\": 2}", "{\"b\": 2, \"a\": 1}"));
  EXPECT_FALSE(same("{\"a\": 1}", "{\"a\": 1, \"b\": 2}"));
  Value tuple = json("[1, 2]"), set = json("[1, 2]"), ints = *decode_value("d2:i1;s1:ai2;s1:b"), twice = *decode_value("d2:i1;i5;s1:1i5;");
  tuple.kind = Value::Kind::kTuple;
  set.kind = Value::Kind::kSet;
  EXPECT_TRUE(equal_values(json("[1, 2]"), tuple));
  EXPECT_FALSE(equal_values(json("[1, 2]"), set));
  EXPECT_TRUE(equal_values(json("{\"1\": \"a\", \"2\": \"b\"}"), ints));
  EXPECT_FALSE(equal_values(json("{\"1\": 5}"), twice));
  EXPECT_FALSE(equal_values(json("5"), *decode_value("xs4:Evili5;")));
}

TEST(JudgeValue, JsonErrorsNameThePlace) {
  for (const char* text :
       {"", "[", "[1", "[1,]", "{", "{1:2}", "{\"a\"}", "\"abc", "\"\\x\"", "\"\\u12\"", "01", "1.", "1e", "-", "nul", "1 2"})
    EXPECT_NE(error_of([&] { json(text); }).find("test: bad JSON"), std::string::npos) << text;
  EXPECT_NE(error_of([] { json(std::string(10'000, '[')); }).find("nested too deeply"), std::string::npos);
  EXPECT_EQ(parse_json_values(" [1]\n\"a\" 3 ", "test").size(), 3u);
}

TEST(JudgeOutput, Lines) {
  EXPECT_EQ(output_difference("1\n2\n", "1\n2"), "");
  EXPECT_EQ(output_difference("1\n2", "1  \r\n2\t\n\n\n"), "");
  EXPECT_EQ(output_difference("1\n2\n", "1\n"), "expected 2 lines, got 1");  // a prefix is not the answer
  EXPECT_EQ(output_difference("1\n", "1\n2\n"), "expected 1 lines, got 2");
  EXPECT_EQ(output_difference("1\n\n2\n", "1\n2\n"), "line 2: expected '', got '2'");
  EXPECT_EQ(output_difference("a b", "a  b"), "line 1: expected 'a b', got 'a  b'");
  EXPECT_EQ(output_difference(" a", "a"), "line 1: expected ' a', got 'a'");
  EXPECT_EQ(output_difference("", "\n \n"), "");
  EXPECT_EQ(output_difference("1.0", "1.00"), "line 1: expected '1.0', got '1.00'");
  EXPECT_NE(output_difference("x", std::string("x\0", 2)), "");
}

TEST(JudgeOutput, Options) {
  EXPECT_EQ(output_difference("a b\nc", " a   b \nc", {OutputRule::kTokens}), "");
  EXPECT_NE(output_difference("a b", "a\nb", {OutputRule::kTokens}), "");
  EXPECT_NE(output_difference("a\n", "a", {OutputRule::kExact}), "");
  const OutputComparison close{OutputRule::kLines, 1e-6};
  EXPECT_EQ(output_difference("x 0.3333333 1000000", "x 0.33333334 1000000.9", close), "");
  EXPECT_NE(output_difference("0.5", "0.50001", close), "");
  EXPECT_NE(output_difference("1 2", "1", close), "");
  EXPECT_NE(output_difference("1", "0x1", close), "");
  EXPECT_NE(output_difference("1", "nan", close), "");
  EXPECT_NE(output_difference("inf", "1e999", close), "");
  EXPECT_NE(output_difference("nan", "NaN", close), "");
  EXPECT_EQ(output_difference("nan", "nan", close), "");
}

// A tolerance is for floating point: whole numbers are the same or not, of any length and however they are written.
TEST(JudgeOutput, WholeNumbersAreExact) {
  const OutputComparison close{OutputRule::kLines, 1e-6};
  const std::string million(1'000'000, '7');
  for (const auto& [expected, got] : {std::pair<std::string, std::string>{"1000000007", "1000000006"},
                                      {"1000000007", "1000000006.0"},
                                      {"1000000000000000000", "1000000000000000001"},
                                      {"1000000000000000001", "1e18"},
                                      {"-5000000", "-5000001"},
                                      {"5000000", "-5000000"},
                                      {million, million.substr(1) + "8"},
                                      {"12345678901234567890123", "12345678901234567890124"}})
    EXPECT_NE(output_difference(expected, got, close), "") << expected.substr(0, 40) << " | " << got.substr(0, 40);
  for (const auto& [expected, got] : {std::pair<std::string, std::string>{"1000000000000000000", "1e18"},
                                      {"7", "7.0"},
                                      {"7", "+07"},
                                      {"7", "70e-1"},
                                      {"0", "-0.0"},
                                      {"0", "0e5"},
                                      {million, "+" + million},
                                      {"3", "2.9999999"},
                                      {"1000000007.5", "1000000007"}})
    EXPECT_EQ(output_difference(expected, got, close), "") << expected.substr(0, 40) << " | " << got.substr(0, 40);
}

// What differs can be seen in the report: to the last digit, and at the place where it is.
TEST(JudgeOutput, DifferencesAreShown) {
  EXPECT_EQ(show_value(Value::of(0.1 + 0.2)), "0.30000000000000004");
  EXPECT_EQ(show_value(Value::of(0.3)), "0.3");
  EXPECT_EQ(show_value(Value::of(1.0)), "1.0");
  EXPECT_EQ(show_value(json("100000000000000000001")), "100000000000000000001");
  const std::string same(200, 'a');
  EXPECT_EQ(output_difference(same + "x" + same, same + "y" + same), "line 1: expected '.." + std::string(40, 'a') + "x" +
                                                                         std::string(39, 'a') + "..', got '.." + std::string(40, 'a') +
                                                                         "y" + std::string(39, 'a') + "..'");
}

TEST(JudgeChannel, FramesInPieces) {
  FrameReader reader(100);
  std::string all = std::string("\3\0\0\0abc", 7) + std::string("\0\0\0\0", 4) + std::string("\1\0\0\0z", 5);
  std::vector<std::string> got;
  for (const char c : all) {
    reader.append({&c, 1});
    while (auto frame = reader.next()) got.push_back(*frame);
  }
  EXPECT_EQ(got, (std::vector<std::string>{"abc", "", "z"}));
  reader.append(std::string("\x65\0\0\0", 4));
  EXPECT_FALSE(reader.next());
  EXPECT_TRUE(reader.broken());
}

TEST(JudgeChannel, Deadlines) {
  const auto [ours, theirs] = channel_pair();
  Channel a(ours), b(theirs);
  std::string frame;
  EXPECT_EQ(a.receive(frame, after(0.01)), ChannelStatus::kTimeout);
  EXPECT_EQ(b.send("hello", after(1)), ChannelStatus::kOk);
  EXPECT_EQ(a.receive(frame, after(1)), ChannelStatus::kOk);
  EXPECT_EQ(frame, "hello");
  // Who never reads cannot hold the sender beyond its deadline.
  EXPECT_EQ(a.send(std::string(8 << 20, 'x'), after(0.05)), ChannelStatus::kTimeout);
  b.close();
  EXPECT_EQ(a.receive(frame, after(1)), ChannelStatus::kClosed);
  EXPECT_EQ(a.send("x", after(1)), ChannelStatus::kClosed);
}

std::string say(std::vector<Value> items) {
  return encode_value(Value::list(std::move(items)));
}
Value word(const char* s) {
  return Value::of(std::string_view(s));
}

TEST(JudgeRelay, VerdictsOnlyFromTheTester) {
  using Next = AssertRelay::Next;
  AssertRelay relay("nonce");
  EXPECT_EQ(relay.from_tester(say({word("plan"), word("nonce"), Value::list({word("a"), word("b")})})).next, Next::kGoOn);
  EXPECT_EQ(relay.from_tester(say({word("begin"), word("nonce"), Value::of(int64_t{0})})).next, Next::kGoOn);
  // The solution speaks without being asked, in the tester's words.
  const std::string forged = say({word("end"), word("nonce"), Value::of(int64_t{0}), word("pass"), word("")});
  EXPECT_EQ(relay.from_solution(forged).next, Next::kFault);
  EXPECT_FALSE(relay.results()[0]);
  // Asked, what it says goes to the tester and is nothing else.
  const auto asked = relay.from_tester(say({word("rpc"), Value::of_bytes("question")}));
  EXPECT_EQ(asked.next, Next::kToSolution);
  EXPECT_EQ(asked.payload, "question");
  const auto answered = relay.from_solution(forged);
  EXPECT_EQ(answered.next, Next::kToTester);
  EXPECT_EQ(answered.payload, forged);
  EXPECT_FALSE(relay.results()[0]);
  EXPECT_EQ(relay.from_solution(forged).next, Next::kFault);  // once
  EXPECT_EQ(relay.from_tester(forged).next, Next::kGoOn);
  ASSERT_TRUE(relay.results()[0]);
  EXPECT_EQ(relay.results()[0]->verdict, Verdict::kPass);
  EXPECT_FALSE(relay.results()[1]);
}

TEST(JudgeRelay, RefusesWhatIsOutOfOrder) {
  using Next = AssertRelay::Next;
  const auto fresh = [] {
    AssertRelay relay("n");
    relay.from_tester(say({word("plan"), word("n"), Value::list({word("a")})}));
    return relay;
  };
  const auto fault = [&](std::vector<std::vector<Value>> frames) {
    AssertRelay relay = fresh();
    AssertRelay::Step step;
    for (auto& f : frames) step = relay.from_tester(say(f));
    return step.next == Next::kFault;
  };
  const Value zero = Value::of(int64_t{0}), one = Value::of(int64_t{1});
  EXPECT_TRUE(fault({{word("end"), word("n"), zero, word("pass"), word("")}}));                                     // not begun
  EXPECT_TRUE(fault({{word("begin"), word("n"), one}}));                                                            // no such test
  EXPECT_TRUE(fault({{word("begin"), word("other"), zero}}));                                                       // another nonce
  EXPECT_TRUE(fault({{word("plan"), word("n"), Value::list({})}}));                                                 // a second plan
  EXPECT_TRUE(fault({{word("begin"), word("n"), zero}, {word("end"), word("n"), zero, word("great"), word("")}}));  // unknown verdict
  EXPECT_TRUE(fault({{word("begin"), word("n"), zero}, {word("finished"), word("n")}}));                            // in the middle
  EXPECT_TRUE(fault({{word("rpc"), Value::of_bytes("")}, {word("rpc"), Value::of_bytes("")}}));                     // asks twice
  AssertRelay relay = fresh();
  EXPECT_EQ(relay.from_tester("garbage").next, Next::kFault);
}

TEST(JudgeExtract, Fences) {
  const auto code = [](const std::string& text, const char* language = "python", const char* wanted = "") {
    const auto found = extract_code(text, language, wanted);
    return found ? found->code : std::string("(none)");
  };
  EXPECT_EQ(code("Sure:\n```python\nx = 1\n```\nDone."), "x = 1\n");
  EXPECT_EQ(code("```\na\n```\nor\n```py\nb\n```"), "b\n");
  EXPECT_EQ(code("```python\nb\n```\nrun\n```bash\n./x\n```"), "b\n");
  EXPECT_EQ(code("```python\ncut off"), "cut off");
  EXPECT_EQ(code("```cpp\nint x;\n```", "python"), "(none)");
  EXPECT_EQ(code("```c++\nint x;\n```", "cpp"), "int x;\n");
  EXPECT_EQ(code("~~~~python\n```\ninner\n```\n~~~~"), "```\ninner\n```\n");
  EXPECT_EQ(code("<think>\n```python\nno\n```\n</think>\n```python\nyes\n```"), "yes\n");
  EXPECT_EQ(code("<think>\n```python\nno\n```"), "(none)");
  EXPECT_EQ(code("<answer>\n```python\nyes\n```\n</answer>\n```python\nno\n```"), "yes\n");
  EXPECT_EQ(code("```python\ndef f(): pass\n```\nExample:\n```python\nprint(f())\n```", "python", "f"), "def f(): pass\n");
  EXPECT_EQ(code("```python\ndef f(): 1\n```\nbetter:\n```python\ndef f(): 2\n```", "python", "f"), "def f(): 2\n");
  EXPECT_EQ(code("def f():\n    return 1\n```\nThat is it.", "python", "f"),
            "def f():\n    return 1\n");  // the prompt had opened the block
  EXPECT_EQ(code("I would say:\nimport math\ndef f():\n    return 1\n\nThis works because"), "import math\ndef f():\n    return 1\n\n");
  EXPECT_EQ(code("```\npython\nx = 1\n```"), "x = 1\n");
  EXPECT_EQ(code("```\ncpp\nint x;\n```"), "(none)");
  EXPECT_EQ(code("```\npython = 1\n```"), "python = 1\n");
  EXPECT_EQ(code("no code at all"), "(none)");
  EXPECT_EQ(code("```python\n\n```"), "(none)");
  EXPECT_EQ(code("text", "cpp"), "(none)");
}

// The block that is the program: a listing of its output after it is not, and a fence that closes what nothing opened ends the code.
TEST(JudgeExtract, OutputBehindTheProgramAndFencesThatNothingOpened) {
  const auto code = [](const std::string& text) {
    const auto found = extract_code(text);
    return found ? found->code : "(none)";
  };
  EXPECT_EQ(code("```python\nprint(1)\n```\nOutput:\n```\n1\n```\n"), "print(1)\n");
  EXPECT_EQ(code("```\nprint(0)\n```\n```\nprint(1)\n```\n"), "print(1)\n");
  EXPECT_EQ(code("```python\nprint(0)\n```\nBetter:\n```python\nprint(1)\n```\nIt prints\n```text\n1\n```"), "print(1)\n");
  EXPECT_EQ(code("import sys\nprint(1)\n```\nThat is all."), "import sys\nprint(1)\n");
  EXPECT_EQ(extract_code("```python\ndef f(): pass\n```\n```\ndef g(): pass\n```", "python", "g")->code, "def g(): pass\n");
}

TEST(JudgeExtract, Continuation) {
  EXPECT_EQ(cut_continuation("    a = 1\n\n    return a\n\ndef g():\n    pass\n"), "    a = 1\n\n    return a\n\n");
  EXPECT_EQ(cut_continuation("    return [\n1,\n]\n"), "    return [\n");
  EXPECT_EQ(cut_continuation("    return 1\n```\nok"), "    return 1\n");
  EXPECT_TRUE(defines("async def  f():", "f"));
  EXPECT_FALSE(defines("  def f():", "f"));
  EXPECT_FALSE(defines("def ff():", "f"));
}

TEST(JudgeLanguage, Table) {
  EXPECT_GE(languages().size(), 12u);
  EXPECT_EQ(find_language("C++")->name, "cpp");
  EXPECT_EQ(find_language("Python3")->name, "python");
  EXPECT_EQ(find_language("brainfuck"), nullptr);
  EXPECT_EQ(guess_language("#include <iostream>\nint main(){}").name, "cpp");
  EXPECT_EQ(guess_language("#include <stdio.h>\nint main(){}").name, "c");
  EXPECT_EQ(guess_language("fn main() {}").name, "rust");
  EXPECT_EQ(guess_language("print(1)").name, "python");
  const Build java = prepare_build(*find_language("java"), "class A {}\npublic class Sum { public static void main(String[] a) {} }");
  if (java.missing.empty()) {
    EXPECT_EQ(java.files[0].first, "Sum.java");
    EXPECT_EQ(java.command.back(), "Sum");
  }
  for (const Language& l : languages()) {
    const Build build = prepare_build(l, "");
    EXPECT_TRUE(build.missing.empty() || build.missing.find("is not installed") != std::string::npos) << build.missing;
  }
}

TEST(JudgeSuite, Json) {
  const auto suite = [](const char* text) { return suite_from_json(parse_json(text, "t"), "t"); };
  EXPECT_EQ(suite(R"({"tests":[{"input":"1","output":"2"}]})").kind, Suite::Kind::kStdin);
  const Suite calls = suite(R"({"tests":[{"arguments":[1,[2]],"expected":3}],"entry_point":"f","float_tolerance":0.1})");
  EXPECT_EQ(calls.kind, Suite::Kind::kCalls);
  EXPECT_EQ(calls.tests[0].input, "[1,[2]]");
  EXPECT_EQ(calls.value.float_tolerance, 0.1);
  EXPECT_EQ(suite(R"({"tests":[{"input":"[1, 2]\n12345678901234567890123","output":"4"}],"entry_point":"f"})").tests[0].input,
            "[[1, 2], 12345678901234567890123]");
  EXPECT_EQ(suite(R"j({"tests":["assert f()"]})j").kind, Suite::Kind::kAsserts);
  EXPECT_EQ(suite(R"({"check":"def check(c): pass","entry_point":"f"})").kind, Suite::Kind::kCheck);
  EXPECT_EQ(suite(R"({"files":{"test_a.py":""}})").kind, Suite::Kind::kUnit);
  EXPECT_EQ(suite(R"({"tests":[{"input":"1","output":"2","also":["3"]}]})").tests[0].also, std::vector<std::string>{"3"});
  EXPECT_EQ(suite(R"({"tests":[{"input":"1","output":"2"}],"checker":{"code":"c"}})").checker.language, "python");
  EXPECT_NE(error_of([&] { suite(R"({"tests":[{"input":"1","output":"2"}],"checker":"c"})"); }).find("'checker' must be an object"),
            std::string::npos);
  for (const char* text : {R"({"tests":[{"input":"1","output":"2","also":["4"]}],"checker":{"language":"cpp","code":"c"}})",
                           R"({"tests":[{"input":"1","output":"2","weight":2.0,"subtask":1}],"subtask_points":[1.0,2.0],"rule":"tokens"})",
                           R"({"tests":[{"arguments":[1],"expected":"x"}],"entry_point":"f"})",
                           R"j({"tests":["assert f()"],"setup":"import f"})j", R"({"files":{"test_a.py":"x"},"module":"m"})"}) {
    const Json once = suite_to_json(suite(text));
    EXPECT_EQ(suite_to_json(suite_from_json(once, "t")), once) << text;
  }
  EXPECT_NE(error_of([&] { suite(R"({"test":[]})"); }).find("did you mean 'tests'"), std::string::npos);
  EXPECT_NE(error_of([&] { suite(R"({"tests":[]})"); }).find("not empty"), std::string::npos);
  EXPECT_NE(error_of([&] { suite(R"({"entry_point":"f"})"); }).find("there are no tests"), std::string::npos);
  EXPECT_NE(error_of([&] { suite(R"({"tests":[{"input":"1","output":"2"}],"rule":"fuzzy"})"); }).find("lines, tokens or exact"),
            std::string::npos);
}

TEST(JudgeReport, Scores) {
  Report r;
  const auto add = [&r](Verdict v, double weight, int subtask) {
    TestReport t;
    t.verdict = v;
    t.weight = weight;
    t.subtask = subtask;
    r.tests.push_back(t);
  };
  EXPECT_EQ(r.fraction(), 0);
  add(Verdict::kPass, 1, 0);
  add(Verdict::kPass, 2, 0);
  add(Verdict::kPass, 3, 1);
  add(Verdict::kTimeout, 4, 1);
  EXPECT_EQ(r.fraction(), 0.75);
  EXPECT_EQ(r.weighted(), 0.6);
  EXPECT_EQ(r.subtask_minimum(), 0.5);
  r.subtask_points = {30, 70};
  EXPECT_EQ(r.subtask_minimum(), 0.3);
}

}  // namespace
}  // namespace r1::verify::judge
