#include "r1/http/message.h"

#include <gtest/gtest.h>

#include "r1/http/error.h"
#include "r1/http/response_text.h"

namespace r1::http {
namespace {

TEST(Message, Sse) {
  EXPECT_EQ(sse("{\"a\":1}"), "data: {\"a\":1}\n\n");
  EXPECT_EQ(sse("[DONE]"), "data: [DONE]\n\n");
  EXPECT_EQ(sse("{}", "message_start"), "event: message_start\ndata: {}\n\n");
}

TEST(Message, HeadersOfARequest) {
  Request request;
  request.headers = {{"a", "1"}, {"b", ""}, {"a", "2"}};
  EXPECT_EQ(request.header("a"), "1");
  EXPECT_EQ(request.header("b"), "");
  EXPECT_EQ(request.header("c"), "");
}

TEST(Message, ErrorsInOpenAisShape) {
  const ApiError error(400, "too long", "messages", "context_length_exceeded");
  EXPECT_EQ(error.to_json().dump(),
            R"({"error":{"message":"too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}})");
  EXPECT_EQ(ApiError(500, "x").to_json().dump(), R"({"error":{"message":"x","type":"server_error","param":null,"code":null}})");
  const std::vector<std::pair<int, std::string>> types = {
      {401, "authentication_error"},  {403, "permission_error"},      {404, "invalid_request_error"},
      {413, "invalid_request_error"}, {422, "invalid_request_error"}, {429, "rate_limit_error"},
      {503, "overloaded_error"},      {500, "server_error"},          {501, "server_error"}};
  for (const auto& [status, type] : types) EXPECT_EQ(ApiError(status, "x").type(), type);
  EXPECT_EQ(ApiError(404, "x").kind(), ErrorKind::kUsage);
  EXPECT_EQ(ApiError(503, "x").kind(), ErrorKind::kFailed);
}

TEST(Message, AnyExceptionHasAnAnswer) {
  EXPECT_EQ(as_api_error(ApiError(429, "full", "p", "c")).param, "p");
  EXPECT_EQ(as_api_error(Error("bad flag", ErrorKind::kUsage)).status, 400);
  EXPECT_EQ(as_api_error(Error("no disk")).status, 500);
  EXPECT_EQ(std::string(as_api_error(Error("no disk")).what()), "no disk");
  EXPECT_EQ(as_api_error(std::bad_alloc()).status, 503);
  const ApiError hidden = as_api_error(std::runtime_error("password is 1234"));
  EXPECT_EQ(hidden.status, 500);
  EXPECT_EQ(std::string(hidden.what()).find("1234"), std::string::npos);
  ApiError full(503, "later");
  full.retry_after = 7;
  const Response response = error_response(full);
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.headers, (Headers{{"Retry-After", "7"}}));
}

TEST(Message, AHandlersHeadersCannotEndALine) {
  const HeadContext context{.keep_alive = true, .lines = ""};
  const std::string text =
      whole_answer({.body = "b",
                    .content_type = "a/b\r\nX: 1",
                    .headers = {{"A\r\nB", "c\r\n\r\nd"}, {"Content-Length", "99"}, {"Transfer-Encoding", "x"}, {"Connection", "y"}}},
                   context, false);
  EXPECT_NE(text.find("Content-Type: a/b  X: 1\r\n"), std::string::npos);
  EXPECT_NE(text.find("A  B: c    d\r\n"), std::string::npos);
  EXPECT_EQ(text.find("99"), std::string::npos);
  EXPECT_EQ(text.find("Transfer-Encoding"), std::string::npos);
  EXPECT_TRUE(text.ends_with("Content-Length: 1\r\n\r\nb"));
  EXPECT_EQ(text.find("\r\n\r\n"), text.size() - 5);
}

TEST(Message, BodiesByStatus) {
  for (int status : {200, 201, 400, 404, 500}) EXPECT_TRUE(has_body(status));
  for (int status : {100, 204, 304}) EXPECT_FALSE(has_body(status));
  const std::string none = whole_answer({.status = 204, .body = "x"}, {}, false);
  EXPECT_TRUE(none.ends_with("\r\n\r\n"));
  EXPECT_EQ(none.find("Content-Length"), std::string::npos);
  EXPECT_TRUE(whole_answer({.body = "x"}, {}, true).ends_with("Content-Length: 1\r\n\r\n"));
}

TEST(Message, Chunks) {
  std::string out;
  append_chunk(out, "abc");
  append_chunk(out, std::string(26, 'x'));
  EXPECT_EQ(out, "3\r\nabc\r\n1a\r\n" + std::string(26, 'x') + "\r\n");
}

}  // namespace
}  // namespace r1::http
