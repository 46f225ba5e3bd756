#include "r1/base/open_files.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace r1 {
namespace {

TEST(OpenFiles, AreAllowedAsFarAsTheHardLimitGoes) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 64;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_EQ(allow_open_files(100), 100);
  EXPECT_EQ(allow_open_files(50), 100);  // never lowered
  EXPECT_EQ(uint64_t(allow_open_files(INT64_MAX)), uint64_t(before.rlim_max));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

}  // namespace
}  // namespace r1
