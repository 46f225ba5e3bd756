#include "r1/base/strings.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace r1
