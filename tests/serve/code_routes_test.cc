// The routes of code completion on a service over a model that is scripted to write too much.
#include "r1/serve/code_routes.h"

#include <gtest/gtest.h>

#include "r1/api/body.h"
#include "tests/serve/serve_testing.h"

namespace r1::serve {
namespace {

// A client that keeps what it is answered, and may hang up.
class Client : public http::Responder {
 public:
  explicit Client(bool impatient = false) : impatient_(impatient) {}
  void send(http::Response response) override { finish(response.status, response.body); }
  void begin(int status, std::string type, http::Headers) override {
    std::unique_lock lock(mutex_);
    status_ = status;
    type_ = std::move(type);
    if (!impatient_) return;
    // On the engine's thread: it makes no more steps before the client is gone.
    changed_.wait(lock, [&] { return bool(hang_up_); });
    const auto call = hang_up_;
    lock.unlock();
    call();
  }
  void write(std::string piece) override {
    const std::lock_guard lock(mutex_);
    body_ += piece;
    changed_.notify_all();
  }
  void end() override { finish(status_, body_); }
  bool gone() const override { return false; }
  void on_gone(std::function<void()> callback) override {
    const std::lock_guard lock(mutex_);
    hang_up_ = std::move(callback);
    changed_.notify_all();
  }

  void wait() {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60), [&] { return done_; })) << "no answer";
  }
  int status() const { return status_; }
  const std::string& type() const { return type_; }
  Json json() const { return parse_json(body_, "answer"); }
  // What the events say, without the [DONE].
  std::vector<Json> events() const {
    std::vector<Json> found;
    for (size_t at = 0; (at = body_.find("data: ", at)) != std::string::npos; ++at) {
      const std::string text = body_.substr(at + 6, body_.find("\n\n", at) - at - 6);
      if (text != "[DONE]") found.push_back(parse_json(text, "event"));
    }
    return found;
  }
  const std::string& body() const { return body_; }

 private:
  void finish(int status, std::string body) {
    const std::lock_guard lock(mutex_);
    status_ = status;
    body_ = std::move(body);
    done_ = true;
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> hang_up_;
  int status_ = 0;
  std::string body_, type_;
  bool done_ = false;
  const bool impatient_;
};

// Behind 'a' it writes "+b;\n}\n\n" and then letters for ever.
std::unique_ptr<model::Transformer> chatty_model() {
  engine::Script script;
  const std::string text = "a+b;\n}\tz";
  for (int i = 0; i < 256; ++i) script[i] = {{'z', 30.0}};
  for (size_t i = 0; i + 1 < text.size(); ++i) script[text[i]] = {{text[i + 1], 30.0}};
  return engine::scripted_model(script);
}

class CodeRoutes : public ::testing::Test {
 protected:
  CodeRoutes() : served_(chatty_model()), service_(served_.served, testing::service_config()) { add_code_routes(router_, service_); }

  std::shared_ptr<Client> post(const std::string& path, const Json& body, bool wait = true) {
    auto client = std::make_shared<Client>(/*impatient=*/!wait);
    auto request = std::make_shared<http::Request>();
    request->method = "POST";
    request->path = path;
    request->body = dump_json(body);
    const http::Match match = router_.find("POST", path);
    EXPECT_TRUE(match.route) << path;
    match.route->handler(request, client);
    if (wait) client->wait();
    return client;
  }
  int refused(const std::string& path, const Json& body, const std::string& param) {
    try {
      post(path, body, false);
    } catch (const http::ApiError& e) {
      EXPECT_EQ(e.param, param) << e.what();
      return e.status;
    }
    return 200;
  }

  testing::Served served_;
  Service service_;
  http::Router router_;
};

const Json kFunction = {
    {"prefix", "function f(a, b) {\n  return a"}, {"suffix", "\n}\n"}, {"path", "x.js"}, {"max_tokens", 64}, {"temperature", 0}};

TEST_F(CodeRoutes, StopsWhereTheSuffixGoesOnAndFreesTheEngine) {
  const auto client = post("/v1/code/completions", kFunction);
  ASSERT_EQ(client->status(), 200) << client->body();
  const Json json = client->json();
  EXPECT_EQ(json["object"], "text_completion");
  EXPECT_EQ(json["model"], "tiny");
  ASSERT_EQ(json["choices"].size(), 1u);
  EXPECT_EQ(json["choices"][0]["text"], "+b;");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(json["choices"][0]["stop_reason"], "block");
  EXPECT_EQ(json["code"]["language"], "javascript");
  EXPECT_TRUE(json["code"]["fim"].is_null());
  EXPECT_NE(json["code"]["note"].get<std::string>().find("no fill-in-the-middle tokens"), std::string::npos);
  EXPECT_EQ(json["usage"]["prompt_tokens"], 29);
  EXPECT_LT(json["usage"]["completion_tokens"], 64);
  EXPECT_GE(json["usage"]["completion_tokens"], 5);
  EXPECT_TRUE(testing::quiet(service_));
}

TEST_F(CodeRoutes, SeveralChoicesAndTheLengthsEnd) {
  Json body = kFunction;
  body["n"] = 3;
  EXPECT_EQ(post("/v1/code/completions", body)->json()["choices"].size(), 3u);
  const Json json = post("/v1/code/completions", {{"prefix", "z"}, {"max_tokens", 4}, {"temperature", 0}})->json();
  EXPECT_EQ(json["choices"][0]["text"], "zzzz");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "length");
  EXPECT_TRUE(json["choices"][0]["stop_reason"].is_null());
  EXPECT_EQ(json["usage"]["completion_tokens"], 4);
  EXPECT_TRUE(json["code"]["note"].is_null());
  EXPECT_TRUE(testing::quiet(service_));
}

TEST_F(CodeRoutes, StreamsTheSameText) {
  Json body = kFunction;
  body["stream"] = true;
  const auto client = post("/v1/code/completions", body);
  EXPECT_EQ(client->type(), "text/event-stream");
  EXPECT_TRUE(client->body().ends_with("data: [DONE]\n\n"));
  std::string text, reason;
  const auto events = client->events();
  for (const Json& e : events)
    for (const Json& c : e["choices"]) {
      text += c["text"].get<std::string>();
      if (!c["finish_reason"].is_null()) reason = c["stop_reason"];
    }
  EXPECT_EQ(text, "+b;");
  EXPECT_EQ(reason, "block");
  EXPECT_EQ(events.back()["choices"].size(), 0u);
  EXPECT_EQ(events.back()["usage"]["prompt_tokens"], 29);
  EXPECT_TRUE(testing::quiet(service_));
}

TEST_F(CodeRoutes, InfillSpeaksLlamaCppsNames) {
  const Json body = {{"input_prefix", "function f(a, b) {\n"},
                     {"prompt", "  return a"},
                     {"input_suffix", "\n}\n"},
                     {"input_extra", Json::array({{{"filename", "y.js"}, {"text", "let y = 1;\n"}}})},
                     {"n_predict", 64},
                     {"temperature", 0},
                     {"samplers", Json::array({"top_k"})},
                     {"t_max_predict_ms", 500}};
  const Json json = post("/infill", body)->json();
  EXPECT_EQ(json["content"], "+b;");
  EXPECT_EQ(json["stop"], true);
  EXPECT_EQ(json["tokens_evaluated"], 29);
  EXPECT_EQ(json["r1"]["language"], "javascript");
  Json stream = body;
  stream["stream"] = true;
  std::string text;
  const auto events = post("/infill", stream)->events();
  for (const Json& e : events) text += e["content"].get<std::string>();
  EXPECT_EQ(text, "+b;");
  EXPECT_EQ(events.back()["stop"], true);
}

TEST_F(CodeRoutes, WhoeverHangsUpEndsTheGeneration) {
  post("/v1/code/completions", {{"prefix", "z"}, {"max_tokens", 200}, {"temperature", 0}, {"stream", true}, {"stop_at", "none"}}, false);
  EXPECT_TRUE(testing::quiet(service_));
  EXPECT_LT(service_.numbers().generated_tokens, 100);
}

TEST_F(CodeRoutes, WrongFieldsAreNamed) {
  const char* path = "/v1/code/completions";
  EXPECT_EQ(refused(path, Json::object(), "prefix"), 400);
  EXPECT_EQ(refused(path, {{"prefix", ""}}, "prefix"), 400);
  EXPECT_EQ(refused(path, {{"prefix", "a"}, {"language", "cobol"}}, "language"), 400);
  EXPECT_EQ(refused(path, {{"prefix", "a"}, {"max_tokens", 0}}, "max_tokens"), 400);
  EXPECT_EQ(refused(path, {{"prefix", "a"}, {"max_tokens", 4096}}, "max_tokens"), 400);
  EXPECT_EQ(refused(path, {{"prefix", "a"}, {"stop_at", "word"}}, "stop_at"), 400);
  EXPECT_EQ(refused(path, {{"prefix", "a"}, {"context_tokens", 3}}, "context_tokens"), 400);
  EXPECT_EQ(refused(path, {{"prefix", "a"}, {"files", Json::array({{{"path", 1}}})}}, "files[0].path"), 400);
  EXPECT_EQ(refused("/infill", {{"input_prefix", 3}}, "input_prefix"), 400);
}

// Longer than the context: cut by lines, and the answer says so.
TEST_F(CodeRoutes, WhatIsCutIsTold) {
  std::string prefix;
  for (int i = 0; i < 2000; ++i) prefix += "let x" + std::to_string(i) + " = 1;\n";
  const Json json =
      post("/v1/code/completions", {{"prefix", prefix + "z"}, {"max_tokens", 4}, {"path", "a.js"}, {"temperature", 0}})->json();
  EXPECT_EQ(json["code"]["truncated"], true);
  EXPECT_GT(json["code"]["dropped_prefix_lines"], 1900);
  EXPECT_LE(json["usage"]["prompt_tokens"].get<int64_t>() + 4, service_.max_model_len());
}

}  // namespace
}  // namespace r1::serve
