// X3: answers made to hang, crash or fool a verifier. Each must come back within the deadline, never as right, and the next honest check
// must work.
#include <gtest/gtest.h>

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "r1/verify/verify.h"

using namespace r1::verify;

namespace {

// The deadline of 2 s and one for a busy machine. Sanitizers slow the work in the caller's own process, which is bounded by steps, some 20
// times.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr double kLimit = 40;
#else
constexpr double kLimit = 3;
#endif

std::string times(const std::string& s, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += s;
  return out;
}

std::vector<std::string> bombs() {
  std::vector<std::string> all;
  for (const char* b : {"5", "9", "10", "2", "\\pi", "x", "e", "i"})
    for (int depth : {3, 5, 9}) {
      std::string tower = b;
      for (int i = 0; i < depth; ++i) tower = std::string(b) + "^{" + tower + "}";
      all.push_back(tower);
      all.push_back("\\frac{1}{" + tower + "}");
    }
  for (const char* n : {"10000!", "99999!", "1000000!", "999999999!", "10^{10}!", "(10^{100})!", "5!!!!!!", "((100!)!)!",
                        "\\binom{10^9}{5*10^8}", "\\binom{10^{50}}{10^{49}}", "x!!!!"})
    all.push_back(n);
  for (int n : {100, 1000, 10'000}) {
    all.push_back(times("\\frac{1}{", n) + "1" + times("}", n));
    all.push_back(times("\\frac1", n) + "2");
    all.push_back(times("(", n) + "1" + times(")", n));
    all.push_back(times("{", n));
    all.push_back(times("}", n));
    all.push_back(times("\\sqrt{", n) + "2" + times("}", n));
    all.push_back(times("\\sqrt", n) + "2");
    all.push_back(times("-", n) + "1");
    all.push_back(times("1+", n) + "1");
    all.push_back(times("x^{", n) + "1" + times("}", n));
    all.push_back(times("\\left(", n));
    all.push_back(times("\\boxed{", n) + "1" + times("}", n));
    all.push_back(times("|", n));
    all.push_back(times("\\{", n) + times("\\}", n));
    all.push_back(times("\\begin{pmatrix}", n));
    all.push_back(times("\\begin{pmatrix}1&", n) + times("\\end{pmatrix}", n));
    all.push_back(times("\\text{", n) + times("}", n));
    all.push_back(times("sin", n) + "x");
    all.push_back(times("f(", n) + "x" + times(")", n));
    all.push_back(times("a_{", n) + "1" + times("}", n));
    all.push_back(times("1,", n));
    all.push_back(times("\\pm1", n));
    all.push_back(times("x=", n));
    all.push_back(times("9", n));
    all.push_back("0." + times("3", n));
    all.push_back(times("%", n));
    all.push_back(times("\\", n));
    all.push_back("1e" + times("9", n));
  }
  for (int n : {20, 100, 5'000}) all.push_back("(a+b+c+d+e+f)^{" + std::to_string(n) + "}");
  all.push_back("(x+y)^{100000000}");
  all.push_back("\\frac{(a+b+c)^{60}}{(a-b-c)^{60}}");
  all.push_back("(1+x)(1+x^2)(1+x^4)(1+x^8)(1+y)(1+y^2)(1+y^4)(1+y^8)(1+z)(1+z^2)(1+z^4)(1+z^8)");
  all.push_back("\\sin(10^{10^{10}})");
  all.push_back("\\sin(\\sin(\\sin(\\sin(10^{1000000}))))");
  all.push_back("\\log(\\log(\\log(\\log(2))))");
  all.push_back("e^{e^{e^{e^{e}}}}");
  all.push_back("2^{2^{29}}+\\sqrt2");
  all.push_back("0^{-1}");
  all.push_back("\\frac{0}{0}");
  all.push_back("0^0");
  all.push_back(std::string("5\0 6", 4));
  all.push_back("\xff\xfe\xfd");
  all.push_back(times("5 ", 500'000));
  all.push_back(times("a", 1'000'000));
  all.push_back(times("\\boxed{5}", 100'000) + "\\boxed{6}");
  all.push_back(times("$", 1'000'000));
  all.push_back(times("<answer>", 100'000));
  all.push_back(times("answer is ", 100'000));
  all.push_back(times("\\(", 300'000));
  all.push_back(times("\\boxed{", 140'000));
  return all;
}

TEST(Bombs, EachWithinItsDeadlineAndNeverRight) {
  const Verifier verifier;
  const auto all = bombs();
  ASSERT_GE(all.size(), 100u);
  for (const std::string& bomb : all) {
    for (const bool boxed : {false, true}) {
      const std::string answer = boxed ? "\\boxed{" + bomb + "}" : bomb;
      SCOPED_TRACE(bomb.substr(0, 60));
      const auto start = std::chrono::steady_clock::now();
      const AnswerCheck c = verifier.check("424242", answer);
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      EXPECT_LT(seconds, kLimit) << bomb.substr(0, 60);
      EXPECT_NE(c.verdict, AnswerVerdict::kRight) << bomb.substr(0, 60);
      EXPECT_NE(c.verdict, AnswerVerdict::kCrash) << bomb.substr(0, 60) << ' ' << c.reason;
    }
  }
  EXPECT_EQ(verifier.check("424242", "\\boxed{424242}").verdict, AnswerVerdict::kRight);
}

// Eight callers with two workers: every call is back within its deadline, busy workers or not.
TEST(Bombs, InParallel) {
  const Verifier verifier;
  const auto all = bombs();
  std::atomic<size_t> next{0};
  std::atomic<int> slow{0}, right{0}, crashed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&] {
      for (size_t i; (i = next++) < all.size();) {
        const auto start = std::chrono::steady_clock::now();
        const AnswerCheck c = verifier.check("424242", "\\boxed{" + all[i] + "}");
        slow += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() > kLimit;
        right += c.verdict == AnswerVerdict::kRight;
        crashed += c.verdict == AnswerVerdict::kCrash;
      }
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(slow, 0);
  EXPECT_EQ(right, 0);
  EXPECT_EQ(crashed, 0);
}

// Workers that hang under eight callers: each caller is back at its deadline, each hung worker is killed and replaced, none is left over.
TEST(Bombs, HungWorkersUnderManyCallers) {
  VerifyOptions options;
  options.deadline = 0.2;
  options.workers = 2;
  const Verifier verifier(options);
  std::atomic<int> timeouts{0}, slow{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 4; ++i) {
        const auto start = std::chrono::steady_clock::now();
        timeouts += verifier.check_in_worker("1", "1", Verifier::Fault::kHang).verdict == AnswerVerdict::kTimeout;
        slow += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() > 0.2 + 0.5;
      }
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(timeouts, 32);
  EXPECT_EQ(slow, 0);
  EXPECT_GE(verifier.replaced(), 2);
  EXPECT_EQ(verifier.check_in_worker("x", "x+0").verdict, AnswerVerdict::kRight);
}

TEST(Bombs, AWorkerKilledWhileIdleCostsNoVerdict) {
  VerifyOptions options;
  options.workers = 1;
  const Verifier verifier(options);
  EXPECT_EQ(verifier.check_in_worker("x", "x+0").verdict, AnswerVerdict::kRight);
  // our children: the worker alone
  const std::string path = "/proc/self/task/" + std::to_string(getpid()) + "/children";
  std::ifstream in(path);
  std::vector<int> children;
  for (int pid; in >> pid;) children.push_back(pid);
  if (children.empty()) GTEST_SKIP() << "no " << path;
  for (const int pid : children) ::kill(pid, SIGKILL);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(verifier.check_in_worker("x", "x+0").verdict, AnswerVerdict::kRight);
}

// Numbers that a float takes for equal are told apart.
TEST(Bombs, NearlyEqual) {
  for (const auto& [gold, answer] : {std::pair{"\\sqrt{2}", "\\sqrt{2+10^{-100}}"},
                                     {"\\pi", "\\frac{6167950454}{1963319607}"},
                                     {"\\pi", "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899"},
                                     {"\\sin(10^{-30})", "10^{-30}"},
                                     {"e^{\\pi\\sqrt{163}}", "640320^3+744"},
                                     {"\\ln(1+10^{-60})", "10^{-60}"},
                                     {"\\sqrt{10^{60}+1}", "10^{30}"},
                                     {"\\sqrt[3]{10^{90}+1}", "10^{30}"}}) {
    VerifyOptions exact;
    exact.equality.rounding_digits = 0;
    const Verifier v(exact);
    EXPECT_EQ(answer_verdict_name(v.check(gold, answer).verdict), std::string("wrong")) << gold << " | " << answer;
  }
}

TEST(Bombs, AsGoldToo) {
  const Verifier verifier;
  for (const std::string& bomb : bombs()) {
    if (bomb.size() > 3'000) continue;
    const auto start = std::chrono::steady_clock::now();
    const AnswerCheck c = verifier.check(bomb, "1+" + bomb);
    EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), kLimit) << bomb.substr(0, 60);
    EXPECT_NE(c.verdict, AnswerVerdict::kCrash) << bomb.substr(0, 60) << ' ' << c.reason;
  }
}

// Inputs that the fuzzer found: an answer is never called different from itself.
TEST(Bombs, FoundByTheFuzzer) {
  for (const char* text : {"$\\text{", "$\\text{}", "\\text{\ne$$}e$"}) {
    bool more = false;
    const ExtractedAnswer g = extract_gold(text);
    EXPECT_NE(check_texts(g.text, g.text, {}, kSmallBudget, &more).verdict, AnswerVerdict::kWrong) << text;
  }
}

// Mutations of honest answers: no crash, no hang, and an answer always equals itself or is unreadable.
TEST(Bombs, Mutations) {
  const std::vector<std::string> seeds = {"\\frac{1}{2}+\\sqrt[3]{x}",
                                          "[0,1)\\cup(2,\\infty)",
                                          "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}",
                                          "x=1\\pm\\sqrt{5}",
                                          "\\{1,2,3\\}",
                                          "1,234.5e3\\%",
                                          "\\sin^2 x+\\log_2 8",
                                          "a<|x|\\le b",
                                          "7:32",
                                          "204_5",
                                          "3\\frac12\\text{ cm}^2",
                                          "f(x)=x^2",
                                          "\\left\\{x\\mid x>3\\right\\}"};
  const std::string bits = "\\{}()[]^_,;|&$%!+-*/=<>.0123456789xyie ";
  std::mt19937 rng(7);
  for (int round = 0; round < 6'000; ++round) {
    std::string s = seeds[rng() % seeds.size()];
    for (unsigned edits = 1 + rng() % 4; edits && !s.empty(); --edits) {
      const size_t at = rng() % s.size();
      switch (rng() % 4) {
        case 0:
          s.erase(at, 1 + rng() % 3);
          break;
        case 1:
          s.insert(at, 1, bits[rng() % bits.size()]);
          break;
        case 2:
          s[at] = char(rng());
          break;
        default:
          s.insert(at, seeds[rng() % seeds.size()].substr(0, 1 + rng() % 8));
      }
    }
    bool more = false;
    const AnswerCheck c = check_texts("x+1", s, {}, kSmallBudget, &more);
    EXPECT_NE(c.verdict, AnswerVerdict::kCrash);
    const AnswerCheck self = check_texts(s + " ", "{" + s + "}", {}, kSmallBudget, &more);
    (void)self;
  }
}

}  // namespace
