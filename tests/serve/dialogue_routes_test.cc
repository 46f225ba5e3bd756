#include "r1/serve/dialogue_routes.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "r1/base/config_io.h"
#include "r1/http/error.h"
#include "tests/engine/scripted.h"

namespace r1::serve {
namespace {

// A client that keeps what it is answered.
class Client : public http::Responder {
 public:
  void send(http::Response response) override { finish(response.status, response.body); }
  void begin(int status, std::string type, http::Headers) override {
    const std::lock_guard lock(mutex_);
    status_ = status, type_ = std::move(type), begun_by_ = std::this_thread::get_id();
  }
  void write(std::string piece) override {
    const std::lock_guard lock(mutex_);
    body_ += piece;
  }
  void end() override { finish(status_, body_); }
  bool gone() const override { return false; }
  void on_gone(std::function<void()>) override {}

  void wait() {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60), [&] { return done_; })) << "no answer";
  }
  int status() const { return status_; }
  const std::string& body() const { return body_; }
  const std::string& type() const { return type_; }
  Json json() const { return parse_json(body_, "answer"); }
  std::thread::id begun_by() const { return begun_by_; }
  // The data of the events of that name.
  std::vector<Json> events(const std::string& name) const {
    std::vector<Json> found;
    const std::string start = "event: " + name + "\ndata: ";
    for (size_t at = body_.find(start); at != std::string::npos; at = body_.find(start, at + 1)) {
      const size_t begin = at + start.size();
      found.push_back(parse_json(body_.substr(begin, body_.find("\n\n", begin) - begin), "event"));
    }
    return found;
  }

 private:
  void finish(int status, std::string body) {
    const std::lock_guard lock(mutex_);
    status_ = status, body_ = std::move(body), done_ = true;
    changed_.notify_all();
  }
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int status_ = 0;
  std::string body_, type_;
  bool done_ = false;
  std::thread::id begun_by_;
};

const std::string kDomain = R"(
name: bank
confidence: {accept: 0.6, guess: 0.3, change: 0.8}
slots:
  amount: {type: amount, ask: "How much?"}
  shop: {type: text, model: true}
intents:
  refund: {title: A refund, needs: [amount], takes: [shop], answer: "{amount} is on its way."}
  hours: {title: Opening hours, answer: "Nine to five."}
model: {instructions: "Be brief.", max_tokens: 20}
)";

DialogueParts parts() {
  DialogueParts p;
  p.dialogue = std::make_shared<api::Dialogue>(api::parse_dialogue_domain(parse_yaml_document(kDomain, "d.yaml"), "d.yaml"));
  p.store = std::make_shared<api::DialogueStore>(api::DialogueLimits{});
  p.classify = [](const std::string& text) {
    const double refund = text.find("back") != std::string::npos ? 0.9 : 0.1, hours = text.find("open") != std::string::npos ? 0.9 : 0.1;
    return refund > hours ? api::IntentRanking{{"refund", refund}, {"hours", hours}}
                          : api::IntentRanking{{"hours", hours}, {"refund", refund}};
  };
  p.intents_version = "0123456789abcdef";
  return p;
}

struct Served {
  explicit Served(Service* service = nullptr, DialogueParts p = parts()) { add_dialogue_routes(router, service, p); }

  std::shared_ptr<Client> call(const std::string& method, const std::string& path, const std::string& body = "",
                               const std::string& key = "") {
    auto client = std::make_shared<Client>();
    auto request = std::make_shared<http::Request>();
    request->method = method, request->path = path, request->body = body, request->key = key;
    const http::Match match = router.find(method, path);
    if (!match.route) return client->send({.status = 404, .body = "{}"}), client;
    request->captures = match.captures;
    try {
      match.route->handler(request, client);
    } catch (const std::exception& error) {
      const http::ApiError told = http::as_api_error(error);
      client->send({.status = told.status, .body = dump_json(told.to_json())});
    }
    client->wait();
    return client;
  }
  std::shared_ptr<Client> say(const Json& body, const std::string& key = "") { return call("POST", "/v1/dialogue", dump_json(body), key); }

  http::Router router;
};

TEST(DialogueRoutes, ATurnTellsStateIntentSlotsActionAndReply) {
  Served s;
  const Json first = s.say({{"message", "I want my money back"}})->json();
  EXPECT_EQ(first["object"], "dialogue.turn");
  EXPECT_EQ(first["intent"]["name"], "refund");
  EXPECT_EQ(first["action"], (Json{{"name", "ask_slot"}, {"argument", "amount"}}));
  EXPECT_EQ(first["reply"], "How much?");
  EXPECT_EQ(first["reply_source"], "template");
  EXPECT_EQ(first["intents_version"], "0123456789abcdef");
  const std::string id = first["session"];
  const Json second = s.say({{"message", "20 euros, card 4111 1111 1111 1111"}, {"session", id}})->json();
  EXPECT_EQ(second["session"], id);
  EXPECT_EQ(second["slots"], (Json{{"amount", "20 EUR"}}));
  EXPECT_EQ(second["reply"], "20 EUR is on its way.");
  EXPECT_EQ(second["state"]["window"].size(), 2u);
  const std::string state = s.call("GET", "/v1/dialogue/" + id)->body();
  EXPECT_NE(state.find("**** 1111"), std::string::npos);
  EXPECT_EQ(state.find("4111"), std::string::npos);
}

TEST(DialogueRoutes, AStreamHasStateDeltaAndDone) {
  Served s;
  const auto client = s.say({{"message", "when are you open"}, {"stream", true}});
  EXPECT_EQ(client->status(), 200);
  EXPECT_EQ(client->type(), "text/event-stream");
  ASSERT_EQ(client->events("state").size(), 1u);
  EXPECT_TRUE(client->events("state")[0]["reply"].is_null());
  EXPECT_EQ(client->events("state")[0]["intent"]["name"], "hours");
  EXPECT_EQ(client->events("delta")[0]["text"], "Nine to five.");
  EXPECT_EQ(client->events("done")[0]["reply"], "Nine to five.");
}

TEST(DialogueRoutes, SessionsBelongToTheirKey) {
  Served s;
  const std::string id = s.say({{"message", "hi"}}, "ada")->json()["session"];
  EXPECT_EQ(s.call("GET", "/v1/dialogue/" + id, "", "ada")->status(), 200);
  EXPECT_EQ(s.call("GET", "/v1/dialogue/" + id, "", "grace")->status(), 404);
  EXPECT_EQ(s.say({{"message", "hi"}, {"session", id}}, "grace")->status(), 404);
  EXPECT_EQ(s.call("DELETE", "/v1/dialogue/" + id, "", "grace")->status(), 404);
  EXPECT_EQ(s.call("DELETE", "/v1/dialogue/" + id, "", "ada")->json()["deleted"], true);
  EXPECT_EQ(s.say({{"message", "hi"}, {"session", id}}, "ada")->status(), 404);
}

TEST(DialogueRoutes, BodiesAreChecked) {
  Served s;
  const auto status = [&](const std::string& body) { return s.call("POST", "/v1/dialogue", body)->status(); };
  for (const char* bad : {"", "x", "[]", "{}", R"({"message":""})", R"({"message":"  "})", R"({"message":5})", R"({"message":null})",
                          R"({"message":"hi","today":"tomorrow"})", R"({"message":"hi","today":"2026-02-30"})",
                          R"({"message":"hi","reply":"song"})", R"({"message":"hi","stream":"yes"})", R"({"message":"hi","sesion":"x"})"})
    EXPECT_EQ(status(bad), 400) << bad;
  EXPECT_EQ(status(R"({"message":"hi","session":"nobody"})"), 404);
  EXPECT_EQ(status(R"({"message":")" + std::string(9000, 'x') + "\"}"), 400);
  EXPECT_EQ(status(R"({"message":"hi","today":"2026-03-18"})"), 200);
}

TEST(DialogueRoutes, TheDomainIsTold) {
  Served s;
  const Json d = s.call("GET", "/v1/dialogue/domain")->json();
  EXPECT_EQ(d["name"], "bank");
  EXPECT_EQ(d["intents"].size(), 2u);
  EXPECT_EQ(d["slots"][0]["type"], "amount");
  EXPECT_EQ(dialogue_operations().size(), 4u);
}

// ---- with a model behind it

struct Model {
  std::shared_ptr<model::Transformer> model;
  text::Tokenizer tokenizer = engine::byte_tokenizer();
  text::ChatTemplate chat{"{% for m in messages %}{{ m.content }}{% endfor %}>"};
  ServedModel served;

  // Says "ok" to whatever ends in '>', and then ends.
  static engine::Script ok() { return {{'>', {{'o', 10}}}, {'o', {{'k', 10}}}, {'k', {{engine::kEos, 10}}}}; }
  explicit Model(const engine::Script& script = ok()) : model(engine::scripted_model(script)) {
    served = {.name = "tiny",
              .path = "tiny",
              .model = model,
              .tokenizer = &tokenizer,
              .chat = &chat,
              .stop_ids = {engine::kEos},
              .generation = {}};
  }
};

ServiceConfig small_service() {
  ServiceConfig c;
  c.engine.num_blocks = 200;
  c.sampling = {};
  return c;
}

TEST(DialogueRoutes, RepliesInTheModelsWords) {
  Model model;
  Service service(model.served, small_service());
  Served s(&service);
  const Json turn = s.say({{"message", "when are you open"}, {"reply", "model"}})->json();
  EXPECT_EQ(turn["reply"], "ok");
  EXPECT_EQ(turn["reply_source"], "model");
  EXPECT_EQ(turn["state"]["window"][0]["reply"], "ok");
  const auto stream = s.say({{"message", "and today?"}, {"reply", "model"}, {"stream", true}, {"session", turn["session"]}});
  EXPECT_EQ(stream->events("state").size(), 1u);
  std::string text;
  for (const Json& d : stream->events("delta")) text += d["text"].get<std::string>();
  EXPECT_EQ(text, "ok");
  EXPECT_EQ(stream->events("done").at(0)["state"]["window"].size(), 2u);
}

TEST(DialogueRoutes, WhereTheModelCannotAnswerTheDomainDoes) {
  Model model;
  ServiceConfig config = small_service();
  config.engine.max_model_len = 16;  // no prompt fits
  Service service(model.served, config);
  Served s(&service);
  const Json turn = s.say({{"message", "when are you open"}, {"reply", "model"}})->json();
  EXPECT_EQ(turn["reply"], "Nine to five.");
  EXPECT_EQ(turn["reply_source"], "template");
  const auto stream = s.say({{"message", "when are you open"}, {"reply", "model"}, {"stream", true}});
  ASSERT_EQ(stream->events("state").size(), 1u);
  EXPECT_EQ(stream->events("state")[0]["intent"]["name"], "hours");
  ASSERT_EQ(stream->events("delta").size(), 1u);
  EXPECT_EQ(stream->events("delta")[0]["text"], "Nine to five.");
  EXPECT_EQ(stream->events("done").at(0)["reply_source"], "template");
}

// A slot that nothing hangs on is asked of the model beside its reply, not before it, and is known at the turn's end.
TEST(DialogueRoutes, SlotsThatCanWaitDoNotHoldTheReplyUp) {
  engine::Script script = Model::ok();
  script['{'] = script[':'] = {{'"', 10}};  // {"value":"Z"}, where the answer's form lets it
  script['"'] = {{'Z', 10}, {'}', 5}, {':', 3}};
  script['Z'] = {{'"', 10}};
  script['}'] = {{engine::kEos, 10}};
  Model model(script);
  Service service(model.served, small_service());
  Served s(&service);
  for (const bool stream : {true, false}) {
    const auto client = s.say({{"message", "I want my money back from Z"}, {"reply", "model"}, {"stream", stream}});
    const Json done = stream ? client->events("done").at(0) : client->json();
    EXPECT_EQ(done["reply"], "ok");
    EXPECT_EQ(done["slots"], (Json{{"shop", "Z"}}));
    EXPECT_EQ(done["state"]["slots"].value("shop", Json::object()).value("source", ""), "model");
    if (!stream) continue;
    EXPECT_EQ(client->events("state").at(0)["slots"], Json::object()) << "nobody waited for it";
    EXPECT_LT(client->body().find("event: delta"), client->body().find("event: done"));
  }
  // What the customer did not say is not believed; the domain's own words wait for the model.
  EXPECT_EQ(s.say({{"message", "I want my money back"}, {"reply", "model"}})->json()["slots"], Json::object());
  EXPECT_EQ(s.say({{"message", "I want my money back from Z"}})->json()["slots"], (Json{{"shop", "Z"}}));
}

// What the model is shown grows at its end, so that the cache has all but the last message; and stays bounded.
TEST(DialogueRoutes, TheCacheHasTheTurnsBefore) {
  Model model;
  ServiceConfig config = small_service();
  Service service(model.served, config);
  Served s(&service);
  Json body = {{"message", "when are you open"}, {"reply", "model"}};
  int64_t hits = 0, prompt = 0;
  for (int turn = 1; turn <= 12; ++turn) {
    const Numbers before = service.numbers();
    body["session"] = s.say(body)->json()["session"];
    service.embed({{'x'}});  // a turn of the engine's thread: the numbers are out
    const Numbers after = service.numbers();
    const int64_t tokens = after.prompt_tokens - before.prompt_tokens,
                  had = after.engine.prefix_hit_tokens - before.engine.prefix_hit_tokens;
    EXPECT_LT(tokens, 400) << "turn " << turn;
    if (turn % 4 != 2 && turn > 2) {
      EXPECT_LT(tokens - had, 100) << "turn " << turn << " of " << tokens << " tokens";
    }
    hits += had, prompt += tokens;
  }
  EXPECT_GT(2 * hits, prompt);
}

// What was understood is there before the model has a word.
TEST(DialogueRoutes, TheStateDoesNotWaitForTheModel) {
  Model model;
  Service service(model.served, small_service());
  Served s(&service);
  const auto stream = s.say({{"message", "when are you open"}, {"reply", "model"}, {"stream", true}});
  const std::string body = stream->body();
  EXPECT_EQ(body.find("event: state"), 0u);
  EXPECT_EQ(stream->begun_by(), std::this_thread::get_id());
}

}  // namespace
}  // namespace r1::serve
