#include "r1/http/assets.h"

#include <gtest/gtest.h>

#include <set>

#include "r1/base/file.h"
#include "r1/http/error.h"
#include "tests/http/test_server.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace r1::http {
namespace {

using test::Client;
using test::TestServer;

TEST(Assets, ContentTypes) {
  EXPECT_EQ(content_type_of("/a/index.html"), "text/html; charset=utf-8");
  EXPECT_EQ(content_type_of("x.js"), "text/javascript; charset=utf-8");
  EXPECT_EQ(content_type_of("x.css"), "text/css; charset=utf-8");
  EXPECT_EQ(content_type_of("x.woff2"), "font/woff2");
  EXPECT_EQ(content_type_of("x.html.exe"), "application/octet-stream");
}

// The bytes that CMake put into the program are the files'.
TEST(Assets, WhatIsEmbeddedIsTheFolder) {
  const std::filesystem::path web = std::filesystem::path(R1_SOURCE_DIR) / "web";
  std::set<std::string> paths;
  for (const Asset& asset : web_assets()) {
    EXPECT_TRUE(paths.insert(asset.path).second);
    const std::string bytes = read_file(web / asset.path.substr(1));
    EXPECT_TRUE(asset.bytes == bytes) << asset.path;
    EXPECT_EQ(asset.etag, "\"" + sha256(bytes).substr(0, 32) + "\"") << asset.path;
    EXPECT_EQ(asset.content_type, content_type_of(asset.path));
  }
  EXPECT_FALSE(paths.empty());
}

TEST(Assets, AreServedWithTheirTagAndPolicy) {
  static const std::string bytes("<p>\0</p>", 8);
  static const std::vector<Asset> assets = {{"/index.html", "text/html; charset=utf-8", "\"t1\"", bytes},
                                            {"/runs/index.html", "text/html; charset=utf-8", "\"t2\"", "runs"},
                                            {"/js/app.js", "text/javascript; charset=utf-8", "\"t3\"", "js"}};
  TestServer server([](ServerConfig& c) { c.api_key = {"k"}; }, [](Router& router) { add_assets(router, assets); });
  Client client(server.port());
  for (const char* path : {"/", "/index.html"}) {
    const test::Answer answer = client.get(path);
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, bytes);
    EXPECT_EQ(answer.header("etag"), "\"t1\"");
    EXPECT_EQ(answer.header("content-type"), "text/html; charset=utf-8");
    EXPECT_EQ(answer.header("x-content-type-options"), "nosniff");
    EXPECT_EQ(answer.header("cache-control"), "no-cache");
    const std::string policy = answer.header("content-security-policy");
    EXPECT_TRUE(policy.starts_with("default-src 'self';")) << policy;
    EXPECT_NE(policy.find("frame-ancestors 'none'"), std::string::npos);
    EXPECT_EQ(policy.find("unsafe"), std::string::npos);
  }
  for (const char* path : {"/runs", "/runs/", "/runs/index.html"}) EXPECT_EQ(client.get(path).body, "runs");
  EXPECT_EQ(client.get("/js/app.js").body, "js");
  for (const char* path : {"/js", "/js/", "/app.js", "/js/app.js/", "/../js/app.js", "/js/%2e%2e/index.html"})
    EXPECT_GE(client.get(path).status, 400) << path;
  for (const char* tag : {"\"t3\"", "W/\"t3\"", "\"x\", \"t3\"", "*"}) {
    const test::Answer answer = client.get("/js/app.js", {{"If-None-Match", tag}});
    EXPECT_EQ(answer.status, 304) << tag;
    EXPECT_EQ(answer.body, "");
    EXPECT_EQ(answer.header("etag"), "\"t3\"");
  }
  for (const char* tag : {"\"t1\"", "t3", "\"t3", "\"xt3\""})
    EXPECT_EQ(client.get("/js/app.js", {{"If-None-Match", tag}}).status, 200) << tag;
  const test::Answer head = client.request("HEAD", "/js/app.js");
  EXPECT_EQ(head.header("content-length"), "2");
  EXPECT_EQ(client.post("/", "x").status, 405);
}

TEST(Assets, AFolderIsReadAnewAndNeverLeft) {
  const TemporaryFolder outer("assets");
  const auto web = outer.path() / "web";
  std::filesystem::create_directories(web / "js");
  write_file_atomic(outer.path() / "secret.html", "secret");
  write_file_atomic(web / "index.html", "one");
  write_file_atomic(web / "js" / "app.js", "js");
  write_file_atomic(web / ".hidden.html", "hidden");
  write_file_atomic(web / "odd name.html", "odd");
  std::filesystem::create_symlink(outer.path() / "secret.html", web / "link.html");
  std::filesystem::create_directory_symlink(outer.path(), web / "up");
  TestServer server({}, [&](Router& router) { add_asset_folder(router, web); });
  Client client(server.port());
  const test::Answer first = client.get("/");
  EXPECT_EQ(first.body, "one");
  EXPECT_EQ(client.get("/js/app.js").header("content-type"), "text/javascript; charset=utf-8");
  write_file_atomic(web / "index.html", "two");
  const test::Answer second = client.get("/", {{"If-None-Match", first.header("etag")}});
  EXPECT_EQ(second.status, 200);
  EXPECT_EQ(second.body, "two");
  EXPECT_EQ(client.get("/", {{"If-None-Match", second.header("etag")}}).status, 304);
  for (const char* path : {"/link.html", "/up/secret.html", "/.hidden.html", "/odd%20name.html", "/secret.html", "/../secret.html",
                           "/js/..%2f..%2fsecret.html"})
    EXPECT_GE(client.get(path).status, 400) << path;
  // What was a file becomes a link to outside, then goes.
  std::filesystem::remove(web / "index.html");
  std::filesystem::create_symlink(outer.path() / "secret.html", web / "index.html");
  EXPECT_EQ(client.get("/").status, 404);
  std::filesystem::remove_all(web / "js");
  std::filesystem::create_directory_symlink(outer.path(), web / "js");
  write_file_atomic(outer.path() / "app.js", "outside");
  EXPECT_EQ(client.get("/js/app.js").status, 404);
  for (const char* relative : {"", "/", "..", "../secret.html", "js", "js/", "/etc/passwd", "a//b", "link.html"})
    EXPECT_THROW(read_beneath(web, relative), ApiError) << relative;
  const TemporaryFolder empty("assets_empty");
  EXPECT_NE(message_of([&] {
              Router router;
              add_asset_folder(router, empty.path());
            }).find("has no files"),
            std::string::npos);
}

}  // namespace
}  // namespace r1::http
