#include "r1/base/utf8.h"

#include <gtest/gtest.h>

#include <string_view>

namespace r1 {
namespace {

std::pair<int, uint32_t> first(std::string_view text) {
  uint32_t cp = 0;
  const int length = decode_utf8(text.data(), text.data() + text.size(), &cp);
  return {length, cp};
}

TEST(Utf8, EveryCodePointComesBack) {
  for (uint32_t cp = 0; cp < kInvalidChar; ++cp) {
    if (cp >= 0xD800 && cp < 0xE000) continue;
    std::string text;
    append_utf8(text, cp);
    ASSERT_EQ(first(text), std::pair(int(text.size()), cp));
    for (size_t cut = 1; cut < text.size(); ++cut) ASSERT_EQ(first(text.substr(0, cut)), std::pair(1, kInvalidChar)) << cp;
  }
}

TEST(Utf8, WhatIsInvalid) {
  for (const std::string_view text : {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xE2\x28\xA1"})
    EXPECT_EQ(first(text), std::pair(1, kInvalidChar)) << text;
}

}  // namespace
}  // namespace r1
