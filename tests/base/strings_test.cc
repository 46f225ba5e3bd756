#include "r1/base/strings.h"

#include <gtest/gtest.h>

#include <limits>

#include "r1/base/error.h"

namespace r1 {
namespace {

TEST(Strings, Trim) {
  EXPECT_EQ(trim(" \t\n\v\f\r a b \r\n"), "a b");
  EXPECT_EQ(trim("a"), "a");
  EXPECT_EQ(trim(""), "");
  EXPECT_EQ(trim(" \n"), "");
  EXPECT_EQ(trim("\xC2\xA0x"), "\xC2\xA0x");  // bytes above ASCII are no blanks
}

TEST(Strings, LowerAscii) {
  EXPECT_EQ(lower_ascii("AbZ@[`{9"), "abz@[`{9");
  EXPECT_EQ(lower_ascii("\xC3\x84"), "\xC3\x84");  // beyond ASCII nothing changes
}

TEST(Strings, ParseBytes) {
  EXPECT_EQ(parse_bytes("16GB", "t"), 16'000'000'000);
  EXPECT_EQ(parse_bytes("1.5 GiB", "t"), 3ll << 29);
  EXPECT_EQ(parse_bytes("4096", "t"), 4096);
  for (const char* bad : {"", "x", "16 apples", "-3GB", "1e30TB", "nan", "inf"}) EXPECT_THROW(parse_bytes(bad, "t"), Error) << bad;
}

TEST(Strings, UtcTime) {
  EXPECT_EQ(utc_time(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(utc_time(std::numeric_limits<int64_t>::max()), "9999-12-31T23:59:59Z");
  EXPECT_EQ(utc_time().size(), 20u);
}

}  // namespace
}  // namespace r1
