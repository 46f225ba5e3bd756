#include "r1/base/interrupt.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <initializer_list>
#include <thread>
#include <utility>

#include "r1/base/error.h"

namespace r1 {
namespace {

// Exit status of a child that gets the signals itself, `pause` seconds apart, and ends with 7 if it lives on.
int status_after(std::initializer_list<int> signals, double pause) {
  const pid_t child = fork();
  if (child == 0) {
    install_interrupt_handler(/*announce=*/false);
    bool first = true;
    for (int signal : signals) {
      if (!std::exchange(first, false)) std::this_thread::sleep_for(std::chrono::duration<double>(pause));
      raise(signal);
    }
    _exit(interrupted() ? 7 : 8);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Interrupt, TheFirstSignalIsAWishTheSecondAnEnd) {
  EXPECT_EQ(status_after({}, 0), 8);
  EXPECT_EQ(status_after({SIGTERM}, 0), 7);
  EXPECT_EQ(status_after({SIGINT, SIGINT}, 0.4), 130);
  EXPECT_EQ(status_after({SIGTERM, SIGINT}, 0.4), 130);
}

TEST(Interrupt, SignalsThatArriveTogetherAreOne) {
  // Several tries: a busy machine may put the child aside between the two.
  const auto once = [](std::initializer_list<int> signals) {
    int status = 0;
    for (int tries = 0; tries < 10 && status != 7; ++tries) status = status_after(signals, 0);
    return status;
  };
  EXPECT_EQ(once({SIGINT, SIGINT}), 7);
  EXPECT_EQ(once({SIGTERM, SIGINT, SIGTERM}), 7);
}

TEST(Interrupt, TimeRunsFromTheFirst) {
  clear_interrupt();
  EXPECT_FALSE(interrupted());
  EXPECT_EQ(seconds_since_interrupt(), 0);
  EXPECT_NO_THROW(throw_if_interrupted());
  request_interrupt();
  EXPECT_TRUE(interrupted());
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const double first = seconds_since_interrupt();
  EXPECT_GE(first, 0.02);
  request_interrupt();  // does not start it anew
  EXPECT_GE(seconds_since_interrupt(), first);
  try {
    throw_if_interrupted();
    ADD_FAILURE() << "not thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 130);
  }
  clear_interrupt();
  EXPECT_FALSE(interrupted());
}

TEST(InterruptDeathTest, SaysWhatASecondSignalDoes) {
  EXPECT_EXIT(
      {
        install_interrupt_handler();
        raise(SIGINT);
        _exit(interrupted() ? 3 : 4);
      },
      testing::ExitedWithCode(3), "once more to end at once");
}

}  // namespace
}  // namespace r1
