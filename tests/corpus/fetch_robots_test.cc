// robots.txt: the examples of RFC 9309 (section 5 and the tables of 2.2.2 and 2.2.3), and the facts that the tests of Google's parser publish.
#include "r1/corpus/fetch_robots.h"

#include <gtest/gtest.h>

#include <chrono>

namespace r1::corpus {
namespace {

bool allowed(const std::string& robots, const std::string& product, const std::string& path) {
  return Robots::parse(robots, product).allows(path);
}

TEST(FetchRobots, TheRfcsSimpleExample) {
  const std::string text =
      "User-Agent: *\nDisallow: *.gif$\nDisallow: /example/\nAllow: /publications/\n\n"
      "User-Agent: foobot\nDisallow:/\nAllow:/example/page.html\nAllow:/example/allowed.gif\n\n"
      "User-Agent: barbot\nUser-Agent: bazbot\nDisallow: /example/page.html\n\n"
      "User-Agent: quxbot\n\nEOF\n";
  EXPECT_FALSE(allowed(text, "other", "/a.gif"));
  EXPECT_TRUE(allowed(text, "other", "/a.gif?x"));
  EXPECT_FALSE(allowed(text, "other", "/example/x"));
  EXPECT_TRUE(allowed(text, "other", "/publications/x"));
  EXPECT_TRUE(allowed(text, "other", "/"));
  EXPECT_FALSE(allowed(text, "foobot", "/publications/"));
  EXPECT_TRUE(allowed(text, "foobot", "/example/page.html"));
  EXPECT_TRUE(allowed(text, "foobot", "/example/allowed.gif"));
  for (const char* bot : {"barbot", "BazBot"}) {
    EXPECT_FALSE(allowed(text, bot, "/example/page.html")) << bot;
    EXPECT_TRUE(allowed(text, bot, "/a.gif")) << bot;
  }
  EXPECT_TRUE(allowed(text, "quxbot", "/example/x"));  // a group without rules is a group
}

TEST(FetchRobots, TheRfcsLongestMatch) {
  const std::string text = "User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n";
  EXPECT_FALSE(allowed(text, "foobot", "/example/page/disallowed.gif"));
  EXPECT_TRUE(allowed(text, "foobot", "/example/page/other.gif"));
}

TEST(FetchRobots, TheRfcsEncodings) {
  struct Row {
    const char *rule, *path;
    bool same;
  };
  for (const Row& row : {Row{"/foo/bar?baz=quz", "/foo/bar?baz=quz", true},
                         {"/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar", true},
                         {"/foo/bar?baz=https%3a%2f%2ffoo.bar", "/foo/bar?baz=https://foo.bar", true},
                         {"/foo/bar/\xE3\x83\x84", "/foo/bar/%E3%83%84", true},
                         {"/foo/bar/%e3%83%84", "/foo/bar/%E3%83%84", true},
                         {"/foo/bar/%62%61%7A", "/foo/bar/baz", true},
                         {"/a%3cd.html", "/a%3Cd.html", true},
                         {"/a%2fb.html", "/a/b.html", false},
                         {"/%7Ejoe/index.html", "/~joe/index.html", true},
                         {"/path/file-with-a-%2A.html", "/path/file-with-a-*.html", true},
                         {"/path/file-with-a-%2A.html", "/path/file-with-a-x.html", false},
                         {"/path/foo-%24", "/path/foo-$", true}}) {
    EXPECT_EQ(!allowed(std::string("user-agent: *\ndisallow: ") + row.rule, "x", row.path), row.same) << row.rule << " " << row.path;
  }
}

TEST(FetchRobots, StarsAndEnds) {
  struct Row {
    const char *rule, *path;
    bool matches;
  };
  for (const Row& row : {Row{"/*.php", "/filename.php", true},
                         {"/*.php", "/folder/any.php.file.html", true},
                         {"/*.php", "/", false},
                         {"/*.php", "/windows.PHP", false},
                         {"/*.php$", "/filename.php", true},
                         {"/*.php$", "/filename.php?parameters", false},
                         {"/*.php$", "/filename.php5", false},
                         {"/*.php$", "/a.php.php", true},
                         {"/fish*.php", "/fishheads/catfish.php?parameters", true},
                         {"/fish*.php", "/Fish.PHP", false},
                         {"/fish", "/fishheads/yummy.html", true},
                         {"/fish", "/catfish", false},
                         {"/fish/", "/fish", false},
                         {"/fish*", "/fish", true},
                         {"/$", "/", true},
                         {"/$", "/a", false},
                         {"$", "/", false},
                         {"*", "/a", true},
                         {"**", "/a", true},
                         {"/a*b*c*d$", "/a1b2c3dd", true},
                         {"/a*a$", "/a", false},
                         {"/x$y", "/x$y", true},
                         {"fish", "/fish", false}}) {
    EXPECT_EQ(!allowed(std::string("user-agent: *\ndisallow: ") + row.rule, "x", row.path), row.matches) << row.rule << " " << row.path;
  }
}

TEST(FetchRobots, GroupsAndNames) {
  const std::string rules =
      "allow: /foo/bar/\n\nuser-agent: FooBot\ndisallow: /\nallow: /x/\nuser-agent: BarBot\ndisallow: /\nallow: /y/\n\nallow: "
      "/w/\nuser-agent: BazBot\n\nuser-agent: FooBot\nallow: /z/\ndisallow: /\n";
  EXPECT_TRUE(allowed(rules, "FooBot", "/x/b"));
  EXPECT_TRUE(allowed(rules, "FooBot", "/z/d"));  // both groups of its name
  EXPECT_FALSE(allowed(rules, "FooBot", "/y/c"));
  EXPECT_TRUE(allowed(rules, "BarBot", "/y/c"));
  EXPECT_TRUE(allowed(rules, "BarBot", "/w/a"));  // an empty line ends nothing
  EXPECT_FALSE(allowed(rules, "BarBot", "/z/d"));
  EXPECT_TRUE(allowed(rules, "BazBot", "/z/"));
  EXPECT_FALSE(allowed(rules, "FooBot", "/foo/bar/"));  // a rule before any user-agent counts for nobody

  // names: as far as they are names, whatever their case
  EXPECT_FALSE(allowed("User-Agent: Foo Bar\nDisallow: /", "foo", "/a"));
  EXPECT_FALSE(allowed("User-Agent: foo/1.0\nDisallow: /", "FOO/2.0 (x)", "/a"));
  EXPECT_TRUE(allowed("User-Agent: foobar\nDisallow: /", "foo", "/a"));
  EXPECT_TRUE(allowed("User-Agent: fo\nDisallow: /", "foo", "/a"));
  // those for all only where nobody is named
  EXPECT_TRUE(allowed("user-agent: *\ndisallow: /\nuser-agent: foo\nallow: /\n", "foo", "/a"));
  EXPECT_TRUE(allowed("user-agent: foo\nallow: /\nuser-agent: *\ndisallow: /public\n", "foo", "/public"));
  EXPECT_FALSE(allowed("user-agent: * baz\ndisallow: /x\n", "foo", "/x"));
  EXPECT_TRUE(allowed("user-agent: *baz\ndisallow: /x\n", "foo", "/x"));
  EXPECT_FALSE(allowed("user-agent: *\nuser-agent: bad\ndisallow: /\n", "foo", "/x"));  // one group for both
  EXPECT_TRUE(allowed("", "foo", "/x"));
  EXPECT_TRUE(allowed("user-agent: foo\ndisallow:\n", "foo", "/x"));
}

TEST(FetchRobots, WhatWins) {
  EXPECT_TRUE(allowed("user-agent: x\ndisallow: /x/page.html\nallow: /x/page.html\n", "x", "/x/page.html"));
  EXPECT_TRUE(allowed("user-agent: x\nallow: /x/page.html\ndisallow: /x/page.html\n", "x", "/x/page.html"));
  EXPECT_TRUE(allowed("user-agent: x\ndisallow: /x/\nallow: /x/page.html\n", "x", "/x/page.html"));
  EXPECT_FALSE(allowed("user-agent: x\ndisallow: /x/\nallow: /x/page.html\n", "x", "/x/"));
  EXPECT_FALSE(allowed("user-agent: x\nallow: /page\ndisallow: /*.html\n", "x", "/page.html"));
  EXPECT_TRUE(allowed("user-agent: x\nallow: /x/page.\ndisallow: /*.html\n", "x", "/x/page.html"));
  EXPECT_FALSE(allowed("user-agent: *\ndisallow: /hide?\n", "x", "/hide?id=1"));  // the query counts
  EXPECT_TRUE(Robots::nothing().allows("/robots.txt"));
  EXPECT_FALSE(Robots::nothing().allows("/"));
  EXPECT_FALSE(Robots::nothing().allows(""));
}

TEST(FetchRobots, LinesAsTheyAre) {
  EXPECT_FALSE(allowed("\xEF\xBB\xBFUser-agent: *\rDisallow: /a\r\n\r\n", "x", "/a"));
  EXPECT_FALSE(allowed("user-agent *\ndisallow /a", "x", "/a"));
  EXPECT_FALSE(allowed("  USER-agent :  * # all\n\tDisallow\t:\t/a # no\n", "x", "/a"));
  EXPECT_TRUE(allowed("user-agent: *\ndisallow: #/a\n", "x", "/a"));
  for (const char* word : {"dissallow", "disalow", "diasllow"})
    EXPECT_FALSE(allowed(std::string("user agent: *\n") + word + ": /a", "x", "/a"));
  EXPECT_FALSE(allowed("User-agent: *\nSitemap: https://x/s.xml\nDisallow: /a", "x", "/a"));
  // Other records end no list of user-agents.
  EXPECT_FALSE(allowed("User-agent: a\nSitemap: s\nUser-agent: b\nDisallow: /x\n", "a", "/x"));
  EXPECT_TRUE(allowed(std::string("user-agent: *\ndisallow: \0/a", 26), "x", "/b"));
}

TEST(FetchRobots, CrawlDelay) {
  const auto delay = [](const std::string& text) { return Robots::parse(text, "x").crawl_delay(); };
  EXPECT_EQ(delay("user-agent: *\ncrawl-delay: 2.5\n"), 2.5);
  EXPECT_EQ(delay("user-agent: x\ncrawl-delay: 1\nuser-agent: *\nCrawl-Delay: 60\n"), 1);
  EXPECT_EQ(delay("user-agent: x\ndisallow:\nuser-agent: *\nCrawl-Delay: 60\n"), 0);
  for (const char* bad : {"-1", "x", "1s", "nan", "inf", "1e99", ""})
    EXPECT_EQ(delay(std::string("user-agent: *\ncrawl-delay: ") + bad), 0) << bad;
}

// 500 KiB and no more; a line that is cut there could say more than it meant.
TEST(FetchRobots, Size) {
  std::string text = "user-agent: *\n";
  while (text.size() < Robots::kMaxBytes - 20) text += "disallow: /nothing\n";
  std::string late = text;
  late.resize(Robots::kMaxBytes - 12, '#');
  late += "\ndisallow: /private/much\n";
  EXPECT_TRUE(allowed(late, "x", "/private"));
  EXPECT_TRUE(allowed(late, "x", "/private/much"));
  EXPECT_FALSE(allowed(text + "disallow: /late\n", "x", "/nothing"));
}

TEST(FetchRobots, HostilePatternsAreQuick) {
  std::string pattern = "user-agent: *\n";
  for (int i = 0; i < 40; ++i) {
    pattern += "disallow: /";
    for (int k = 0; k < 2000; ++k) pattern += "*a";
    pattern += "b$\n";
  }
  const Robots robots = Robots::parse(pattern, "x");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(robots.allows("/" + std::string(8000, 'a')));
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 1);
}

TEST(FetchRobots, ProductOfUserAgent) {
  EXPECT_EQ(product_of_user_agent("MyBot/1.0 (+https://example.org)"), "MyBot");
  EXPECT_EQ(product_of_user_agent(" r1-data-fetch"), "r1-data-fetch");
  EXPECT_EQ(product_of_user_agent("(x)"), "");
}

}  // namespace
}  // namespace r1::corpus
