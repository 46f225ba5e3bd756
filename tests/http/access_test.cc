#include "r1/http/access.h"

#include <gtest/gtest.h>

#include "r1/base/file.h"
#include "r1/http/error.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace r1::http {
namespace {

Request with(std::vector<std::pair<std::string, std::string>> headers) {
  Request request;
  request.headers = std::move(headers);
  return request;
}

TEST(Access, Keys) {
  ServerConfig config;
  config.api_key = {"first-key", "second-key"};
  const Access access(config);
  EXPECT_TRUE(access.asks_for_key());
  const std::string first = access.key_of(with({{"authorization", "Bearer first-key"}}));
  EXPECT_EQ(first, key_name("first-key"));
  EXPECT_EQ(first.size(), 16u);
  EXPECT_EQ(first.find("first"), std::string::npos);
  EXPECT_NE(first.substr(4), sha256("first-key").substr(0, 12));
  EXPECT_EQ(access.key_of(with({{"authorization", "bearer first-key"}})), first);
  EXPECT_EQ(access.key_of(with({{"x-api-key", "first-key"}})), first);
  EXPECT_EQ(access.key_of(with({{"x-api-key", "second-key"}})), key_name("second-key"));
  EXPECT_EQ(access.key_of(with({{"authorization", "Bearer none"}, {"x-api-key", "first-key"}})), first);
  for (const auto& bad :
       {with({}), with({{"authorization", "first-key"}}), with({{"authorization", "Basic first-key"}}),
        with({{"authorization", "Bearer "}}), with({{"authorization", "Bearer first-ke"}}), with({{"authorization", "Bearer first-keyx"}}),
        with({{"x-api-key", ""}}), with({{"x-api-key", "FIRST-KEY"}}), with({{"x-api-key", "first-key,second-key"}})}) {
    try {
      access.key_of(bad);
      ADD_FAILURE();
    } catch (const ApiError& error) {
      EXPECT_EQ(error.status, 401);
      EXPECT_EQ(error.code, "invalid_api_key");
      EXPECT_EQ(std::string(error.type()), "authentication_error");
    }
  }
  EXPECT_EQ(Access(ServerConfig{}).key_of(with({{"authorization", "Bearer anything"}})), "");
}

TEST(Access, KeyFiles) {
  const TemporaryFolder folder("access");
  ServerConfig config;
  config.api_key_file = (folder.path() / "keys").string();
  write_file_atomic(config.api_key_file, "one\r\n\n  \ntwo \nthree");
  const Access access(config);
  for (const char* key : {"one", "two", "three"}) EXPECT_EQ(access.key_of(with({{"x-api-key", key}})), key_name(key));
  write_file_atomic(config.api_key_file, "\n\n");
  EXPECT_EQ(message_of([&] { Access{config}; }), "[serve] api_key_file " + config.api_key_file + " has no key: write one a line");
  config.api_key_file = (folder.path() / "none").string();
  EXPECT_THROW(Access{config}, Error);
  ServerConfig bad;
  for (const char* key : {"", "two words", "tab\t", "ключ"}) {
    bad.api_key = {key};
    EXPECT_EQ(message_of([&] { Access{bad}; }), "[serve] an API key is one or more visible ASCII characters without spaces") << key;
  }
}

int host_status(const Access& access, const std::string& host) {
  try {
    access.check_host(host);
    return 200;
  } catch (const ApiError& error) {
    return error.status;
  }
}

TEST(Access, Hosts) {
  ServerConfig config;
  config.allowed_hosts = {"Models.Example.org", "with-port:8443"};
  const Access access(config);
  for (const char* host :
       {"localhost", "localhost:8080", "LOCALHOST", "localhost.", "app.localhost:1", "127.0.0.1", "127.0.0.1:8080", "10.1.2.3", "[::1]",
        "[::1]:8080", "[fe80::1]", "models.example.org", "models.example.org:80", "MODELS.example.ORG.", "with-port:8443"})
    EXPECT_EQ(host_status(access, host), 200) << host;
  for (const char* host :
       {"evil.com", "evil.com:8080", "localhost.evil.com", "127.0.0.1.evil.com", "127.0.0.1.nip.io", "xmodels.example.org", "notlocalhost",
        "with-port:1", "1.2.3", "0x7f.0.0.1", "2130706433", "1.2.3.4.5", "[::zz]", "[]"})
    EXPECT_EQ(host_status(access, host), 403) << host;
  for (const char* host : {"", " ", "a b", "localhost:", "localhost:80:80", "localhost:port", "localhost:999999", "user@localhost", "[::1",
                           "a/b", "localhost\t", "::1", ".", "localhost,evil.com"})
    EXPECT_EQ(host_status(access, host), 400) << host;
  config.allowed_hosts = {"*"};
  EXPECT_EQ(host_status(Access(config), "any.where"), 200);
}

TEST(Access, Origins) {
  ServerConfig config;
  config.allowed_hosts = {"chat.example.org"};
  config.cors_origins = {"https://App.example.com/", "chrome-extension://*", "app://obsidian.md"};
  const Access access(config);
  const auto ok = [&](const char* origin, const char* host = "127.0.0.1:8080") { return access.origin_allowed(origin, host); };
  EXPECT_TRUE(ok("http://localhost"));
  EXPECT_TRUE(ok("http://localhost:3000"));
  EXPECT_TRUE(ok("https://127.0.0.1:1"));
  EXPECT_TRUE(ok("http://[::1]:5"));
  EXPECT_TRUE(ok("http://0.0.0.0:3000"));
  EXPECT_TRUE(ok("https://app.example.com"));
  EXPECT_TRUE(ok("app://obsidian.md"));
  EXPECT_TRUE(ok("chrome-extension://abcdef"));
  EXPECT_TRUE(ok("http://chat.example.org:8080", "chat.example.org:8080"));
  EXPECT_TRUE(ok("https://chat.example.org", "chat.example.org"));
  EXPECT_TRUE(ok("https://chat.example.org", "chat.example.org:443"));
  EXPECT_TRUE(ok("http://192.168.1.5:8080", "192.168.1.5:8080"));
  EXPECT_FALSE(ok("http://192.168.1.5:8081", "192.168.1.5:8080"));
  EXPECT_FALSE(ok("https://chat.example.org", "chat.example.org:8080"));
  for (const char* origin :
       {"null", "", "http://evil.com", "https://app.example.com.evil.com", "http://app.example.com", "https://xapp.example.com",
        "http://localhost.evil.com", "http://127.0.0.1.evil.com", "file://", "http://", "localhost", "ftp://localhost",
        "app://obsidian.md.evil", "chrome-extension:", "http://localhost/path", "http://evil.com#localhost", "http://evil@localhost"})
    EXPECT_FALSE(ok(origin)) << origin;
  config.cors_origins = {"null"};
  EXPECT_TRUE(Access(config).origin_allowed("null", "localhost"));
  config.cors_origins = {"*"};
  EXPECT_TRUE(Access(config).origin_allowed("null", "localhost"));
  EXPECT_TRUE(Access(config).origin_allowed("http://evil.com", "localhost"));
}

}  // namespace
}  // namespace r1::http
