#include "r1/http/target.h"

#include <gtest/gtest.h>

#include <random>

#include "r1/http/error.h"

namespace r1::http {
namespace {

TEST(Target, PathAndQuery) {
  const Target plain = parse_target("/v1/models?limit=2&after=a%20b&limit=3&empty=&flag&q=1%2B1+2");
  EXPECT_EQ(plain.path, "/v1/models");
  EXPECT_EQ(plain.query,
            (std::map<std::string, std::string>{{"limit", "3"}, {"after", "a b"}, {"empty", ""}, {"flag", ""}, {"q", "1+1 2"}}));
  EXPECT_EQ(parse_target("/a+b").path, "/a+b");
  EXPECT_EQ(parse_target("/models/org%2Fname").path, "/models/org/name");
  EXPECT_EQ(parse_target("/%E4%BD%A0").path, "/你");
  EXPECT_EQ(parse_target("/?").path, "/");
  EXPECT_EQ(parse_target("/a...b/..c/.d").path, "/a...b/..c/.d");
  EXPECT_EQ(parse_target("*").path, "*");
}

TEST(Target, AbsoluteForm) {
  const Target target = parse_target("http://localhost:8080/v1/models?x=1");
  EXPECT_EQ(target.authority, "localhost:8080");
  EXPECT_EQ(target.path, "/v1/models");
  EXPECT_EQ(target.query.at("x"), "1");
  EXPECT_EQ(parse_target("https://h").path, "/");
}

TEST(Target, WhatIsRefused) {
  for (const char* target : {"",
                             "v1",
                             "/a/../b",
                             "/..",
                             "/.",
                             "/a/.",
                             "/./a",
                             "/a/%2e%2e/b",
                             "/a/%2E./b",
                             "/static/..%2f..%2fetc/passwd",
                             "/static/..%5c..%5cx",
                             "/a\\b",
                             "/%00",
                             "/a%00b",
                             "/a%0ab",
                             "/a%0d%0aSet-Cookie:x",
                             "/a%7f",
                             "/%",
                             "/%4",
                             "/%zz",
                             "/%-1",
                             "/a#b",
                             "/%ff",
                             "/%c0%ae%c0%ae/x",
                             "/%ed%a0%80",
                             "/?a=%00",
                             "/?a=%",
                             "/?%zz=1",
                             "/?a=%ff",
                             "http:///x",
                             "http://",
                             "http://h?x",
                             "ftp://h/x",
                             "file:///etc/passwd",
                             "//../x",
                             "h:443"})
    EXPECT_THROW(parse_target(target), ApiError) << target;
}

// Whatever goes in: an ApiError 400, or a path that is one.
TEST(Target, RandomBytes) {
  std::mt19937 rng(3);
  const std::string_view alphabet = "/%.2eEfF0aA?&=+\\\xC3\xA9\x01 #:*";
  int taken = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = "/";
    for (int n = int(rng() % 24); n > 0; --n) text += alphabet[rng() % alphabet.size()];
    try {
      const Target target = parse_target(text);
      ++taken;
      ASSERT_TRUE(target.path.starts_with('/')) << text;
      const std::string framed = target.path + "/";
      ASSERT_EQ(framed.find("/../"), std::string::npos) << text;
      ASSERT_EQ(framed.find("/./"), std::string::npos) << text;
      for (char c : target.path) ASSERT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F && c != '\\') << text;
    } catch (const ApiError& error) {
      ASSERT_EQ(error.status, 400);
    }
  }
  EXPECT_GT(taken, 500);
}

}  // namespace
}  // namespace r1::http
