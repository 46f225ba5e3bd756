// Hand cases of verification: what must be right, what must be wrong, extraction, and a worker that hangs or dies.
#include "r1/verify/verify.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "r1/verify/worker_pool.h"

using namespace r1::verify;

namespace {

struct Case {
  const char *gold, *answer;
};

AnswerVerdict verdict(const char* gold, const char* answer) {
  static const Verifier verifier;
  return verifier.check(gold, answer).verdict;
}

TEST(Verify, RightAnswers) {
  const Case cases[] = {
      {"18", "So she makes $18 a day.\n#### 18"},
      {"1/2", "0.5"},
      {"x\\equiv 3\\pmod{15}", "x\\equiv -12\\pmod{15}"},
      {"x\\equiv 3\\pmod{15}", "x\\equiv 1 + 2 (mod 15)"},
      {"x\\equiv 3\\pmod{15}", "x\\equiv -12\\bmod 15"},
      {"x\\equiv -a\\pmod{n}", "-a\\pmod{n}"},
      {"\\frac12", "\\dfrac{1}{2}"},
      {"3\\frac{1}{2}", "7/2"},
      {"3 1/2", "3.5"},
      {"1234567", "1,234,567"},
      {"10^6", "1 000 000"},
      {"1.5e3", "1500"},
      {"2.5 \\times 10^{-3}", "0.0025"},
      {"28\\%", "28"},
      {"28\\%", "0.28"},
      {"90^\\circ", "90"},
      {"90^\\circ", "\\frac{\\pi}{2}"},
      {"\\$18", "18 dollars"},
      {"100\\text{ cm}", "1\\text{ m}"},
      {"15\\text{ cm}^2", "15"},
      {"2\\sqrt{3}", "\\sqrt{12}"},
      {"\\sqrt{2}+\\sqrt{3}", "\\sqrt{5+2\\sqrt{6}}"},
      {"\\sqrt[3]{-8}", "-2"},
      {"5!", "120"},
      {"\\binom{10}{3}", "120"},
      {"\\log_2 8", "3"},
      {"\\ln e^2", "2"},
      {"\\sin 30^\\circ", "1/2"},
      {"\\sin^2 x+\\cos^2 x", "1"},
      {"e^{i\\pi}", "-1"},
      {"(1+i)^2", "2i"},
      {"\\frac{1}{1+i}", "\\frac{1-i}{2}"},
      {"x^2+2x+1", "(x+1)^2"},
      {"\\frac{x^2-1}{x-1}", "x+1"},
      {"x=5", "5"},
      {"5", "x = 2+3 = 5"},
      {"2x+4y-3=0", "y=-\\frac12x+\\frac34"},
      {"x<1", "-x>-1"},
      {"x\\ge 5", "5\\le x"},
      {"x^2-4=0", "x=2 or x=-2"},
      {"\\{1,2,3\\}", "3, 2 and 1"},
      {"[0,1)\\cup(2,3]", "(2,3]\\cup[0,1)"},
      {"-2\\le x\\le 7", "x\\in[-2,7]"},
      {"x\\ne 3", "(-\\infty,3)\\cup(3,\\infty)"},
      {"(1,\\frac92)", "(1,4.5)"},
      {"(3,-1)", "\\begin{pmatrix}3\\\\-1\\end{pmatrix}"},
      {"\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{bmatrix}1&2\\\\3&4\\end{bmatrix}"},
      {"1\\pm\\sqrt{5}", "\\{1-\\sqrt5,1+\\sqrt5\\}"},
      {"7:32", "14:64"},
      {"204_5", "204_5"},
      {"204_5", "54_{10}"},
      {"\\text{Evelyn}", "The winner is \\boxed{\\text{evelyn}}."},
      {"C", "\\boxed{\\text{(C)}}"},
      {"C", "The correct answer is (C)."},
      {"B", "B) 12 m"},
      {"12 March 2021", "12 march 2021."},
      {"\\infty", "+\\infty"},
      {"\\emptyset", "\\{\\}"},
      {"f(2)<f(1)<f(4)", "f(4)>f(1)>f(2)"},
      {"1/3", "0.333333"},
      {"100!+1", "1+100!"},
      {"\\frac{1}{2004!}\\cdot 2004!", "1"},
      {"9^{9^{9^9}}", "9^{9^{9^9}}"},
      {"|x|", "\\sqrt{x^2}"},
      {"\\lfloor 3.7\\rfloor", "3"},
      {"\xCF\x80", "\\pi"},
      {"3", "<think>4</think><answer>3</answer>"},
      {"5", "\\boxed{5}, so the answer is \\boxed{5}"},
      {"\\det", "\\det"},
  };
  for (const Case& c : cases)
    EXPECT_EQ(answer_verdict_name(verdict(c.gold, c.answer)), std::string("right")) << c.gold << " | " << c.answer;
}

TEST(Verify, WrongAnswers) {
  const Case cases[] = {
      {"18", "\\boxed{19}"},
      {"1/3", "0.3333"},
      {"1/3", "0.33"},
      {"1234", "1, 234"},
      {"28\\%", "2.8"},
      {"2\\sqrt3", "\\sqrt{13}"},
      {"\\frac{1}{2004!}", "\\frac{1}{2006!}"},
      {"2^{99}", "2^{98}"},
      {"e^{-1000}", "e^{-1001}"},
      {"e^{-1000}", "0"},
      {"e^{\\pi\\sqrt{163}}", "262537412640768744"},
      {"100!", "100!+1"},
      {"10^{300}\\sqrt2", "10^{300}\\sqrt2+1"},
      {"|x|", "x"},
      {"x+1", "x+2"},
      {"x^2", "x^3"},
      {"x<1", "x>-1"},
      {"x<1", "x\\le 1"},
      {"(1,2)", "(2,1)"},
      {"(0,9)", "[0,9)"},
      {"\\{1,2\\}", "\\{1,2,3\\}"},
      {"\\{1,2,3\\}", "\\{1,2\\}"},
      {"\\pm 3", "3"},
      {"100\\text{ cm}", "100\\text{ m}"},
      {"12:00", "1:00"},
      {"C", "\\boxed{D}"},
      {"x^2=4", "x=2"},
      {"3", "\\boxed{3}, \\boxed{4}"},
      {"3", "\\boxed{3 \\text{ or } 4}"},
      {"\\text{Evelyn}", "\\boxed{\\text{Briana}}"},
      {"1-\\frac1e", "1+\\frac1e"},
      {"\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{pmatrix}1&2\\\\3&5\\end{pmatrix}"},
      {"2x+z=1", "1"},
      {"x\\equiv 3\\pmod{15}", "x\\equiv -3\\pmod{15}"},
      {"x\\equiv 3\\pmod{15}", "x\\equiv -12\\pmod{16}"},
      {"x\\equiv 3\\pmod{15}", "x\\equiv -12\\bmod 16"},
      {"(x-a)^{6000}", "(a-x)^{6001}"},
      {"(x-a)^{6001}", "(a-x)^{6001}"},
      {"(x-a)^{6000}+1", "(a-x)^{6000}"},
      {"(x-a)^{6000}", "(a+x)^{6000}"},
      {"\\infty", "-\\infty"},
      {"\\frac{x+1}{y}", "\\frac{x}{y}+1"},
      {"5", "-5"},
      {"3", "<think>\\boxed{3}</think> \\boxed{4}"},
  };
  for (const Case& c : cases)
    EXPECT_EQ(answer_verdict_name(verdict(c.gold, c.answer)), std::string("wrong")) << c.gold << " | " << c.answer;
}

TEST(Verify, NotReadIsNotWrong) {
  for (const char* answer : {"", "<think> 5", "\\boxed{}", "\\boxed{\\frac{1}{}}", "\\boxed{5 +}", "\\boxed{((5)}", "I do not know."})
    EXPECT_EQ(answer_verdict_name(verdict("5", answer)), std::string("unparsed")) << answer;
}

TEST(Verify, Extraction) {
  const auto text = [](const char* s, BoxChoice boxes = BoxChoice::kLast) {
    const auto a = extract_answer(s, boxes);
    return a ? a->text : "(none)";
  };
  EXPECT_EQ(text("a \\boxed{\\frac{1}{2}} then \\boxed{\\{1,\\{2\\}\\}} c"), "\\{1,\\{2\\}\\}");
  EXPECT_EQ(text("First \\boxed{1}. Later it was \\boxed{2}.", BoxChoice::kFirst), "1");
  EXPECT_EQ(text("\\boxed{1} and \\boxed{2}"), "1, 2");
  EXPECT_EQ(text("\\boxed{1} no no no \\boxed{2}"), "2");
  EXPECT_EQ(text("x\n#### 1,000\n"), "1,000");
  EXPECT_EQ(text("Therefore the answer is 42. Thanks!"), "42");
  EXPECT_EQ(text("we get $x=3$ and so on"), "x=3");
  EXPECT_EQ(text("7 boys and 12 girls came"), "7 boys and 12 girls came");  // two quantities, not the last of them
  EXPECT_EQ(text("There were 7 boys, but of the girls 12 came."), "12");
  EXPECT_EQ(text("<think>5"), "(none)");
  EXPECT_EQ(text("<think>\\boxed{1}</think>\\boxed{2}"), "2");
}

TEST(Verify, BothWaysRound) {
  const Case cases[] = {
      {"x\\in[-2,7]", "-2\\le x\\le 7"}, {"28\\%", "0.28"}, {"\\sqrt{12}", "2\\sqrt3"}, {"1/3", "0.3333333"}, {"(1,2)", "1,2"}};
  for (const Case& c : cases) EXPECT_EQ(verdict(c.gold, c.answer), verdict(c.answer, c.gold)) << c.gold;
}

TEST(Verify, AWorkerThatHangsOrDiesIsReplaced) {
  VerifyOptions options;
  options.deadline = 0.3;
  options.workers = 1;
  const Verifier verifier(options);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(verifier.check_in_worker("1", "1", Verifier::Fault::kHang).verdict, AnswerVerdict::kTimeout);
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 20.0);
  EXPECT_EQ(verifier.check_in_worker("1", "1", Verifier::Fault::kDie).verdict, AnswerVerdict::kCrash);
  EXPECT_EQ(verifier.replaced(), 2);
  EXPECT_EQ(verifier.check_in_worker("x", "x+0").verdict, AnswerVerdict::kRight);
  EXPECT_EQ(verifier.replaced(), 2);
}

// The field "name:  123 kB" of a process, in bytes; -1 if it is gone.
int64_t memory_of(int pid, const std::string& name) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(name + ":")) return std::stoll(line.substr(name.size() + 1)) * 1024;
  return -1;
}
std::vector<int> children() {
  std::vector<int> out;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream in(thread.path() / "children");
    for (int pid; in >> pid;) out.push_back(pid);
  }
  return out;
}

// A trainer of many GB starts workers: none of its memory or open files may live on in them.
TEST(Verify, AWorkerHoldsNothingOfItsParent) {
  std::vector<char> ours(size_t{400} << 20, 'x');
  const int leaked = ::open("/dev/zero", O_RDONLY);  // not close-on-exec, as a library's may be
  ASSERT_GE(leaked, 0);
  VerifyOptions options;
  options.workers = 1;
  const Verifier verifier(options);
  ASSERT_EQ(verifier.check_in_worker("x", "x+0").verdict, AnswerVerdict::kRight);
  const std::vector<int> workers = children();
  if (workers.empty()) GTEST_SKIP() << "no list of children in /proc";
  EXPECT_GE(memory_of(getpid(), "VmRSS"), int64_t(ours.size()));
  for (const int pid : workers) {
    EXPECT_LT(memory_of(pid, "VmRSS"), int64_t{100} << 20);
    EXPECT_FALSE(std::filesystem::exists("/proc/" + std::to_string(pid) + "/fd/" + std::to_string(leaked)));
    EXPECT_NE(std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/exe"), std::filesystem::read_symlink("/proc/self/exe"));
  }
  ::close(leaked);
  EXPECT_EQ(ours[ours.size() / 2], 'x');
}

// What r1 plan counts for a worker is what a worker can take.
TEST(Verify, WorkersStayWithinTheMemoryThatIsPlanned) {
  VerifyOptions options;
  options.workers = 1;
  options.deadline = 60;  // a worker that is killed takes its figure with it
  const Verifier verifier(options);
  for (const char* heavy : {"(a+b+c+d+e+f)^{20}", "\\frac{(a+b+c)^{60}}{(a-b-c)^{60}}", "99999!", "\\sin(\\sin(10^{1000}))",
                            "\\sqrt{2+\\sqrt{3+\\sqrt{5+\\sqrt{x}}}}"})
    EXPECT_NE(verifier.check_in_worker("1", heavy).verdict, AnswerVerdict::kCrash) << heavy;
  EXPECT_EQ(verifier.replaced(), 0);
  for (const int pid : children()) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_LT(memory_of(pid, "VmHWM"), kWorkerBytes / 2);
#endif
    RecordProperty("worker_peak_bytes", std::to_string(memory_of(pid, "VmHWM")));
  }
}

TEST(Verify, ThreadsShareAVerifier) {
  const Verifier verifier;
  std::vector<int> right(4);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i)
        right[size_t(t)] += verifier.check("\\sqrt{12}", i % 2 ? "2\\sqrt{3}" : "2\\sqrt{5}").verdict == AnswerVerdict::kRight;
      right[size_t(t)] += verifier.check_in_worker("x+1", "1+x").verdict == AnswerVerdict::kRight;
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(right, std::vector<int>(4, 26));
}

}  // namespace
