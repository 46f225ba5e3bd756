// Who may ask a running server: keys, hosts, origins, preflights.
#include <gtest/gtest.h>

#include "r1/http/access.h"
#include "r1/http/server.h"
#include "tests/http/test_server.h"

namespace r1::http {
namespace {

using test::Answer;
using test::Client;
using test::TestServer;

// Every route: without a key, with a wrong one, with a right one.
TEST(ServerAccess, EveryRouteButOpenOnesAsksForTheKey) {
  TestServer server([](ServerConfig& c) { c.api_key = {"right-key", "other-key"}; });
  const std::vector<std::pair<std::string, std::string>> routes = {
      {"GET", "/text"},   {"POST", "/echo"},       {"GET", "/echo"},  {"GET", "/item/1"}, {"GET", "/rest/a"},
      {"POST", "/small"}, {"GET", "/throw/usage"}, {"HEAD", "/text"}, {"POST", "/hold"},  {"GET", "/stream"}};
  for (const auto& [method, path] : routes) {
    Client client(server.port());
    for (const auto& headers : std::vector<std::vector<std::pair<std::string, std::string>>>{{},
                                                                                             {{"Authorization", "Bearer wrong"}},
                                                                                             {{"x-api-key", "wrong"}},
                                                                                             {{"Authorization", "right-key"}},
                                                                                             {{"Authorization", "Bearer right-key2"}}}) {
      const Answer answer = client.request(method, path, method == "POST" ? "b" : "", headers);
      EXPECT_EQ(answer.status, 401) << method << " " << path;
      if (method != "HEAD") {
        EXPECT_EQ(code_of(answer), "invalid_api_key");
      }
    }
    if (path == "/hold" || path == "/stream") continue;
    for (const auto& header :
         std::vector<std::pair<std::string, std::string>>{{"Authorization", "Bearer right-key"}, {"x-api-key", "other-key"}})
      EXPECT_NE(client.request(method, path, method == "POST" ? "b" : "", {header}).status, 401) << method << " " << path;
  }
  Client client(server.port());
  EXPECT_EQ(client.get("/health").status, 200);
  EXPECT_EQ(client.get("/health", {{"Authorization", "Bearer wrong"}}).status, 200);
  const Json got = body_of(client.post("/echo", "", {{"Authorization", "Bearer right-key"}}));
  EXPECT_EQ(got["key"], key_name("right-key"));
  EXPECT_EQ(server.held.size(), 0u);
}

TEST(ServerAccess, Hosts) {
  TestServer server([](ServerConfig& c) { c.allowed_hosts = {"models.example.org"}; });
  Client client(server.port());
  const auto status = [&](const std::string& lines, const std::string& target = "/health") {
    client.send("GET " + target + " HTTP/1.1\r\n" + lines + "\r\n");
    return client.answer().status;
  };
  EXPECT_EQ(status("Host: localhost\r\n"), 200);
  EXPECT_EQ(status("Host: models.example.org:80\r\n"), 200);
  EXPECT_EQ(status("Host: evil.com\r\n"), 403);
  EXPECT_EQ(status("Host: evil.com\r\nOrigin: http://evil.com\r\n"), 403);
  EXPECT_EQ(status(""), 400);
  EXPECT_EQ(status("Host:\r\n"), 400);
  EXPECT_EQ(status("Host: localhost\r\nHost: localhost\r\n"), 400);
  EXPECT_EQ(status("Host: localhost\r\n", "http://localhost/health"), 200);
  EXPECT_EQ(status("Host: localhost\r\n", "http://evil.com/health"), 400);
  EXPECT_EQ(status("Host: evil.com\r\n", "http://evil.com/health"), 403);
  EXPECT_EQ(status("Host: evil.com\r\n", "http://localhost/health"), 400);
  client.send("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.answer().status, 204);
}

TEST(ServerAccess, Origins) {
  TestServer server([](ServerConfig& c) { c.cors_origins = {"https://app.example.com"}; });
  Client client(server.port());
  for (const char* origin : {"http://localhost:3000", "https://app.example.com"}) {
    const Answer answer = client.post("/echo", "x", {{"Origin", origin}});
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.header("access-control-allow-origin"), origin);
    EXPECT_EQ(answer.header("vary"), "Origin");
    EXPECT_EQ(client.get("/nowhere", {{"Origin", origin}}).header("access-control-allow-origin"),
              origin);  // so that a page can read the error
  }
  const int before = server.echoed;
  for (const char* origin : {"https://evil.com", "null", "http://localhost.evil.com"}) {
    // A request that browsers send without asking first must not be run either.
    const Answer answer = client.post("/echo", "x", {{"Origin", origin}, {"Content-Type", "text/plain"}});
    EXPECT_EQ(answer.status, 403) << origin;
    EXPECT_EQ(answer.header("access-control-allow-origin"), "");
    EXPECT_EQ(code_of(answer), "origin_not_allowed");
  }
  EXPECT_EQ(client.post("/echo", "x", {{"Sec-Fetch-Site", "cross-site"}}).status, 403);
  EXPECT_EQ(server.echoed, before);
  EXPECT_EQ(client.post("/echo", "x", {{"Sec-Fetch-Site", "same-origin"}}).status, 200);
  EXPECT_EQ(client.get("/text", {{"Sec-Fetch-Site", "cross-site"}}).status, 200);  // a link from elsewhere
  EXPECT_EQ(client.post("/echo", "x").header("access-control-allow-origin"), "");
}

TEST(ServerAccess, Preflights) {
  TestServer server([](ServerConfig& c) { c.api_key = {"k"}; });
  Client client(server.port());
  const Answer answer = client.request("OPTIONS", "/echo", "",
                                       {{"Origin", "http://localhost:3000"},
                                        {"Access-Control-Request-Method", "POST"},
                                        {"Access-Control-Request-Headers", "authorization,content-type,x-stainless-os"},
                                        {"Access-Control-Request-Private-Network", "true"}});
  EXPECT_EQ(answer.status, 204);
  EXPECT_EQ(answer.header("access-control-allow-origin"), "http://localhost:3000");
  EXPECT_EQ(answer.header("access-control-allow-methods"), "OPTIONS, GET, HEAD, POST");
  EXPECT_EQ(answer.header("access-control-allow-headers"), "authorization,content-type,x-stainless-os");
  EXPECT_EQ(answer.header("access-control-allow-private-network"), "true");
  EXPECT_EQ(answer.header("access-control-allow-credentials"), "");
  EXPECT_EQ(answer.body, "");
  EXPECT_EQ(client.request("OPTIONS", "/echo", "", {{"Origin", "http://evil.com"}, {"Access-Control-Request-Method", "POST"}}).status, 403);
  EXPECT_EQ(client.request("OPTIONS", "/nowhere", "", {{"Origin", "http://localhost"}, {"Access-Control-Request-Method", "POST"}}).status,
            404);
  const Answer plain = client.request("OPTIONS", "/echo");
  EXPECT_EQ(plain.status, 204);
  EXPECT_EQ(plain.header("allow"), "OPTIONS, GET, HEAD, POST");
  EXPECT_EQ(plain.header("access-control-allow-methods"), "");
}

}  // namespace
}  // namespace r1::http
