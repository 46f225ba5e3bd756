#include "r1/base/log.h"

#include <gtest/gtest.h>

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmath>
#include <thread>
#include <vector>

#include "r1/base/build_info.h"
#include "r1/base/log_repeats.h"
#include "r1/base/progress.h"
#include "r1/base/terminal.h"
#include "r1/base/threads.h"

namespace r1 {
namespace {

TEST(Log, LevelsAndControlCharacters) {
  ::testing::internal::CaptureStderr();
  log_info("a ", 1);
  log_warning("evil \x1b[2J", '\r');
  set_log_level(LogLevel::kWarning);
  log_info("unseen");
  log_warning("seen");
  set_log_level(LogLevel::kInfo);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "a 1\nwarning: evil \\x1b[2J\\x0d\nwarning: seen\n");
}

TEST(Log, LinesStayWhole) {
  ::testing::internal::CaptureStderr();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 200; ++i) log_info(std::string(50, char('a' + t)));
    });
  }
  for (auto& t : threads) t.join();
  std::istringstream lines(::testing::internal::GetCapturedStderr());
  int n = 0;
  for (std::string line; std::getline(lines, line); ++n) EXPECT_EQ(line, std::string(50, line[0]));
  EXPECT_EQ(n, 800);
}

TEST(Log, WarningsThatRepeatAreCounted) {
  ::testing::internal::CaptureStderr();
  {
    const CountRepeatedWarnings counts;
    for (int i = 0; i < 12; ++i) log_warning("row without an answer");
    for (int i = 0; i < 2; ++i) log_warning("read twice");
    for (int i = 0; i < 2; ++i) log_info("no warning");
  }
  log_warning("read twice");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "warning: row without an answer\nwarning: row without an answer (10 times)\nwarning: read twice\nno warning\nno warning\n"
            "warning: row without an answer (12 times in all)\nwarning: read twice\n");
}

// Sets the locale's name while it lives.
class Locale {
 public:
  explicit Locale(const char* name) : before_(std::getenv("LC_ALL") ? std::getenv("LC_ALL") : "") { setenv("LC_ALL", name, 1); }
  ~Locale() { before_.empty() ? unsetenv("LC_ALL") : setenv("LC_ALL", before_.c_str(), 1); }

 private:
  std::string before_;
};

TEST(Terminal, TheLocaleSaysWhetherThereIsMoreThanAscii) {
  for (const char* yes : {"C.UTF-8", "de_DE.utf8", "en_US.UTF-8@euro"}) EXPECT_TRUE((Locale(yes), utf8_locale())) << yes;
  for (const char* no : {"C", "POSIX", "de_DE", "en_US.ISO-8859-1"}) EXPECT_FALSE((Locale(no), utf8_locale())) << no;
}

TEST(Terminal, LinesAreWrappedBetweenWords) {
  EXPECT_EQ(wrapped("one two three\nfour", 9), "one two\nthree\nfour");
  EXPECT_EQ(wrapped("incomprehensibilities are long", 9), "incomprehensibilities\nare long");
  const std::string option = "  --key <int>   how many of them there are, at the most, in one go (default 8)";
  EXPECT_EQ(wrapped(option, 48),
            "  --key <int>   how many of them there are, at\n"
            "                the most, in one go (default 8)");
  EXPECT_EQ(wrapped(option, 80), option);
  EXPECT_EQ(cut_words("loss 2.31  12.1k tok/s", 12), "loss 2.31");
  EXPECT_EQ(cut_words("███ step", 4), "███");
}

TEST(Progress, TheLineShrinksButKeepsRateAndTimeLeft) {
  ProgressState s{"grpo", "step", "reward 0.123  length 45.6", 25, 100, 50, 0.5, true};
  EXPECT_EQ(progress_line(s, 200), "grpo  25% |█████               | 25/100 step (50s, 2.0s/step, 2m 30s left)  reward 0.123  length 45.6");
  for (size_t columns = 200; columns >= 24; --columns) {
    const std::string line = progress_line(s, columns);
    EXPECT_LE(columns_of(line), columns) << line;
    EXPECT_NE(line.find("2.0s/step, 2m 30s left"), std::string::npos) << columns << ": " << line;
    // What follows the times are whole items of the note.
    const size_t at = line.find("reward");
    if (at != std::string::npos) {
      EXPECT_TRUE(line.ends_with("reward 0.123") || line.ends_with("length 45.6")) << line;
    }
  }
  EXPECT_NE(progress_line(s, 78).find("reward 0.123"), std::string::npos);
  EXPECT_EQ(progress_line(s, 24), "2.0s/step, 2m 30s left");
  s.utf8 = false;
  EXPECT_EQ(progress_line(s, 200), "grpo  25% |#####...............| 25/100 step (50s, 2.0s/step, 2m 30s left)  reward 0.123  length 45.6");
  s = {"read", "sample", "", 1300, 0, 2, 650, true};
  EXPECT_EQ(progress_line(s, 80), "read 1.3k sample (2.0s, 650 sample/s)");
}

TEST(Progress, PlainWhenNotATerminal) {
  ::testing::internal::CaptureStderr();
  {
    Progress bar("sft", 10, "step");
    for (int i = 1; i <= 10; ++i) bar.update(i, "loss 2.5");
  }
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.find("sft: 10/10 step ("), 0u) << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("loss 2.5\n"), std::string::npos);
}

TEST(Progress, QuietSaysNothing) {
  set_log_level(LogLevel::kWarning);
  ::testing::internal::CaptureStderr();
  { Progress bar("sft", 10, "step"); }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  set_log_level(LogLevel::kInfo);
}

TEST(Progress, HumanNumbers) {
  EXPECT_EQ(human_time(0.0123), "12 ms");
  EXPECT_EQ(human_time(3.21), "3.2s");
  EXPECT_EQ(human_time(59.7), "1m 00s");
  EXPECT_EQ(human_time(247), "4m 07s");
  EXPECT_EQ(human_time(3661), "1h 01m");
  EXPECT_EQ(human_time(90000), "1d 01h");
  EXPECT_EQ(human_count(7), "7");
  EXPECT_EQ(human_count(1340), "1.3k");
  EXPECT_EQ(human_count(999'960), "1.0M");
  EXPECT_EQ(human_count(12'400'000), "12.4M");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(5.0 * (1 << 30)), "5.0 GiB");
}

TEST(Progress, Sparkline) {
  const Locale utf8("C.UTF-8");
  const double up[] = {0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(sparkline(up, 8, 8), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(sparkline(up, 8, 2, 0, 8), "▂▆");
  const double holes[] = {1, NAN, 1};
  EXPECT_EQ(sparkline(holes, 3, 3), "▅ ▅");
  const double far[] = {-1e308, 1e308, 0};
  EXPECT_EQ(sparkline(far, 3, 3), "▁█▅");
  EXPECT_EQ(sparkline(nullptr, 0, 8), "");
  const Locale ascii("C");
  EXPECT_EQ(sparkline(up, 8, 8), ".:-=+*%#");
}

TEST(Threads, Choice) {
  unsetenv("OMP_NUM_THREADS");
  setenv("R1_NUM_THREADS", "3", 1);
  EXPECT_EQ(num_threads(), 3);
  set_num_threads(2);
  EXPECT_EQ(num_threads(), 2);
  set_num_threads(0);
  unsetenv("R1_NUM_THREADS");
  setenv("OMP_NUM_THREADS", "5,2", 1);
  EXPECT_EQ(num_threads(), 5);
  unsetenv("OMP_NUM_THREADS");
  EXPECT_EQ(num_threads(), usable_cpus());
  EXPECT_GE(usable_cpus(), 1);
}

TEST(BuildInfo, IsFilled) {
  EXPECT_FALSE(build_info().version.empty());
  EXPECT_FALSE(build_info().compiler.empty());
  EXPECT_EQ(version_line().find("r1 " + build_info().version), 0u);
}

}  // namespace
}  // namespace r1
