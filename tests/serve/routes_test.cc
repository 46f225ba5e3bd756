// Which route answers what, without a socket.
#include "r1/serve/routes.h"

#include <gtest/gtest.h>

#include <future>

#include "tests/serve/serve_testing.h"

namespace r1::serve::testing {
namespace {

// Keeps one whole answer.
class OneAnswer : public http::Responder {
 public:
  void send(http::Response response) override { promise_.set_value(std::move(response)); }
  void begin(int, std::string, http::Headers) override {}
  void write(std::string) override {}
  void end() override {}
  bool gone() const override { return false; }
  void on_gone(std::function<void()>) override {}
  http::Response wait() { return promise_.get_future().get(); }

 private:
  std::promise<http::Response> promise_;
};

struct RoutedService {
  Served served{alphabet_model()};
  Service service{served.served, service_config()};
  http::Router router;

  RoutedService() { add_routes(router, service, {.facts = {.name = "tiny"}, .version = "1"}); }

  Json ask(const std::string& method, const std::string& path, const Json& body = {}) {
    const http::Match match = router.find(method, path);
    EXPECT_NE(match.route, nullptr) << path;
    if (!match.route) return {};
    auto request = std::make_shared<http::Request>();
    request->method = method, request->path = path, request->captures = match.captures;
    if (!body.is_null()) request->body = dump_json(body);
    const auto responder = std::make_shared<OneAnswer>();
    match.route->handler(request, responder);
    const http::Response response = responder->wait();
    EXPECT_EQ(response.status, 200) << path << ": " << response.body;
    return parse_json(response.body, path);
  }
};

}  // namespace

// Clients that are set to DeepSeek's own address have no /v1 in it.
TEST(Routes, DeepSeeksAddressesAnswerTheSame) {
  RoutedService s;
  const Json body = {{"messages", {{{"role", "user"}, {"content", "a"}}}}, {"max_tokens", 4}, {"temperature", 0}};
  const Json with = s.ask("POST", "/v1/chat/completions", body), without = s.ask("POST", "/chat/completions", body);
  EXPECT_EQ(with["choices"], without["choices"]);
  EXPECT_FALSE(with["choices"][0]["message"]["content"].get<std::string>().empty());
  EXPECT_EQ(s.ask("GET", "/v1/models"), s.ask("GET", "/models"));
}

// An assistant that only called a tool has said null (lmstudio-ai/lmstudio-bug-tracker#261, mistralai/mistral-common#324): a template that pastes
// contents gets "", one that asks for none gets it.
TEST(Routes, CallsWithoutContentReachEveryTemplate) {
  const Json call = {{"id", "x"}, {"type", "function"}, {"function", {{"name", "now"}, {"arguments", "{}"}}}};
  const Json messages = {{{"role", "user"}, {"content", "time?"}},
                         {{"role", "assistant"}, {"content", nullptr}, {"tool_calls", Json::array({call})}},
                         {{"role", "tool"}, {"tool_call_id", "x"}, {"content", "12"}}};
  const auto prompt = [&](const std::string& source) {
    Served served(alphabet_model(), source);
    Service service(served.served, service_config());
    http::Router router;
    add_routes(router, service, {.facts = {.name = "tiny"}, .version = "1"});
    auto request = std::make_shared<http::Request>();
    request->body = dump_json(Json{{"messages", messages}});
    const auto responder = std::make_shared<OneAnswer>();
    router.find("POST", "/apply-template").route->handler(request, responder);
    return parse_json(responder->wait().body, "prompt")["prompt"].get<std::string>();
  };
  EXPECT_EQ(prompt("{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"), "[user]time?[assistant][tool]12");
  EXPECT_EQ(prompt("{% for m in messages %}{{ '[' + m.role + ']' + m.content }}{% endfor %}"), "[user]time?[assistant][tool]12");
  EXPECT_EQ(prompt("{% for m in messages %}{% if m['content'] is none %}(call){% else %}{{ m.content }}{% endif %}{% endfor %}"),
            "time?(call)12");
}

// What waits for the engine must not stand before what does not.
TEST(Routes, WhatWaitsForTheEngineHasThreadsOfItsOwn) {
  RoutedService s;
  for (const char* path : {"/v1/embeddings", "/api/embed", "/api/embeddings", "/v2/models/tiny/infer"}) {
    const http::Match match = s.router.find("POST", path);
    ASSERT_NE(match.route, nullptr) << path;
    EXPECT_TRUE(match.route->waits) << path;
  }
  for (const char* path : {"/v1/chat/completions", "/v1/completions", "/v1/messages", "/api/chat"})
    EXPECT_FALSE(s.router.find("POST", path).route->waits) << path;
}

}  // namespace r1::serve::testing
