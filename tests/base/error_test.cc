#include "r1/base/error.h"

#include <gtest/gtest.h>

namespace r1 {
namespace {

TEST(ErrorMessage, IsAtMostAScreen) {
  EXPECT_STREQ(Error("short\nlines\n").what(), "short\nlines\n");
  const std::string exact(kMaxMessageLine, 'a');
  EXPECT_EQ(Error(exact).what(), exact);
  const std::string cut = Error("begins here: " + std::string(50'000, 'x') + " so do this").what();
  EXPECT_EQ(cut.find("begins here: xxx"), 0u);
  EXPECT_TRUE(cut.ends_with("xxx so do this"));
  EXPECT_NE(cut.find(" bytes left out) ... "), std::string::npos);
  EXPECT_LT(cut.size(), kMaxMessageLine + 50);
  std::string lines;
  for (int i = 0; i < 1000; ++i) lines += str("line ", i, "\n");
  const std::string some = Error(lines).what();
  EXPECT_NE(some.find("line 199\n... ("), std::string::npos);
  EXPECT_EQ(some.find("line 200"), std::string::npos);
}

// A cut never leaves half a character: every byte that continues one has its beginning before it.
TEST(ErrorMessage, CutsBetweenCharacters) {
  const auto whole = [](const std::string& text) {
    for (size_t i = 0; i < text.size(); ++i) {
      const auto c = static_cast<unsigned char>(text[i]);
      if (c == 0xE6 && (i + 2 >= text.size() || text[i + 1] != '\x95' || text[i + 2] != '\xB0')) return false;
      if ((c == 0x95 && (i < 1 || text[i - 1] != '\xE6')) || (c == 0xB0 && (i < 2 || text[i - 2] != '\xE6'))) return false;
    }
    return true;
  };
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "\xE6\x95\xB0";
  for (int shift = 0; shift < 3; ++shift) {
    EXPECT_TRUE(whole(Error(std::string(size_t(shift), 'a') + text + std::string(size_t(shift), 'b')).what())) << shift;
    EXPECT_TRUE(whole(printable(std::string(size_t(shift), 'a') + text))) << shift;
  }
}

TEST(Printable, ControlCharactersAndLength) {
  EXPECT_EQ(printable("a\x1b[2J\n\x7f"), "a\\x1b[2J\\x0a\\x7f");
  EXPECT_EQ(printable(std::string(80, 'a')), std::string(80, 'a'));
  EXPECT_EQ(printable(std::string(81, 'a')), std::string(80, 'a') + "...");
}

TEST(ForeignMessage, IsOneLineWithoutTheLibrarysPlace) {
  EXPECT_EQ(foreign_message("std::bad_alloc"), "out of memory");
  EXPECT_EQ(
      foreign_message("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 7 "
                      "bytes. Error code 12 (Cannot allocate memory)\nframe #0: x\nframe #1: y"),
      "out of memory: err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 7 bytes. Error code 12 (Cannot allocate "
      "memory)");
  EXPECT_EQ(foreign_message("CUDA out of memory. Tried to allocate 2 GiB\nmore"),
            "out of memory: CUDA out of memory. Tried to allocate 2 GiB");
  EXPECT_EQ(foreign_message("sizes differ\nException raised from f at x.cpp:1\nframe #0: z"), "sizes differ");
  EXPECT_EQ(foreign_message(""), "unknown error of a library");
  EXPECT_EQ(foreign_message("[enforce fail at x"), "[enforce fail at x");
  EXPECT_LT(foreign_message(std::string(10'000, 'x')).size(), kMaxMessageLine + 60);
}

}  // namespace
}  // namespace r1
