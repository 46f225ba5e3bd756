// Other weights while answers are made (fault S9): no answer has two, who was answered before is answered to the end, and what can't be loaded
// changes nothing.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>

#include "r1/api/weight_update.h"
#include "r1/base/file.h"
#include "r1/http/router.h"
#include "r1/model/weights_io.h"
#include "r1/serve/routes.h"
#include "tests/serve/serve_testing.h"
#include "tests/temporary_folder.h"

namespace r1::serve::testing {
namespace {

namespace fs = std::filesystem;

// After each letter the one before it: what alphabet_model() does, backwards.
std::shared_ptr<model::Transformer> backward_model() {
  engine::Script script;
  for (int i = 0; i < 256; ++i) script[i] = {{i == 'a' ? 'z' : (i + 255) % 256, 30.0}};
  return engine::scripted_model(script);
}

// +1 or -1: the way all of the answer to a prompt that ends in `last` goes; 0: it goes both, or is none.
int direction(char last, const std::string& answer) {
  int found = 0;
  for (const char c : answer) {
    const int step = c == (last == 'z' ? 'a' : char(last + 1)) ? 1 : c == (last == 'a' ? 'z' : char(last - 1)) ? -1 : 0;
    if (step == 0 || (found != 0 && step != found)) return 0;
    found = step;
    last = c;
  }
  return found;
}

api::GenerationRequest long_one(char letter, int64_t tokens = 40) {
  api::GenerationRequest r = completion(std::string(20, letter), tokens);
  r.sampling.ignore_eos = true;
  return r;
}

struct Outcome {
  Service::WeightUpdate update;
  int status = 200;
  std::string code, message;
};

// Waits for it.
Outcome update(Service& service, const std::string& name) {
  const auto promise = std::make_shared<std::promise<Outcome>>();
  service.update_weights(name, [promise](const Service::WeightUpdate& u, std::exception_ptr failed) {
    Outcome out{.update = u};
    try {
      if (failed) std::rethrow_exception(failed);
    } catch (const http::ApiError& e) {
      out.status = e.status, out.code = e.code, out.message = e.what();
    }
    promise->set_value(out);
  });
  return promise->get_future().get();
}

class WeightUpdate : public ::testing::Test {
 protected:
  WeightUpdate() {
    fs::create_directories(folder_.path() / "models");
    config_.weight_updates = (folder_.path() / "models").string();
    config_.engine.max_num_seqs = 4;
  }
  fs::path saved(const std::string& name, const model::Transformer& model) {
    const fs::path path = folder_.path() / "models" / name;
    model::save_model(model, path, at::kFloat);
    return path;
  }
  std::string answer(Service& service) {
    const HeardPtr heard = submit(service, completion("mmm", 3));
    EXPECT_TRUE(heard->wait());
    EXPECT_EQ(heard->error, "");
    return heard->choices[0].content;
  }

  TemporaryFolder folder_{"weights"};
  ServiceConfig config_ = service_config();
};

}  // namespace

TEST_F(WeightUpdate, NoAnswerHasTwoWeights) {
  Served s(alphabet_model());
  Service service(s.served, config_);
  const int64_t first = service.served().model->version();
  std::vector<std::pair<char, HeardPtr>> asked;
  std::vector<std::weak_ptr<model::Transformer>> replaced;
  for (int i = 0; i < 20; ++i) {
    // More than there are places: some run, some wait.
    std::vector<HeardPtr> before;
    for (int j = 0; j < 7; ++j) {
      const char letter = char('a' + (i * 7 + j) % 26);
      before.push_back(submit(service, long_one(letter), "key" + std::to_string(j % 3)));
      asked.emplace_back(letter, before.back());
    }
    ASSERT_TRUE(before[0]->wait_for_text());
    const bool backward = i % 2 == 0;
    std::shared_ptr<model::Transformer> next = backward ? backward_model() : std::shared_ptr<model::Transformer>(alphabet_model());
    replaced.push_back(next);
    const int64_t version = service.replace_weights(std::move(next), backward ? "backward" : "forward");
    EXPECT_EQ(version, first + i + 1);
    // Who asks now is answered by the new ones.
    const HeardPtr now = submit(service, long_one('m', 5));
    ASSERT_TRUE(now->wait());
    EXPECT_EQ(now->head.model_version, version);
    EXPECT_EQ(now->choices[0].content, backward ? "lkjih" : "nopqr");
    EXPECT_EQ(service.served().path, backward ? "backward" : "forward");
  }
  int forward = 0, backward = 0;
  for (const auto& [letter, heard] : asked) {
    ASSERT_TRUE(heard->wait());
    ASSERT_EQ(heard->error, "");
    const int way = direction(letter, heard->choices[0].content);
    ASSERT_NE(way, 0) << "after " << letter << " came " << heard->choices[0].content;
    EXPECT_EQ(heard->choices[0].content.size(), 40u);
    // The version that it tells is the one it was made by.
    EXPECT_EQ(way, (heard->head.model_version - first) % 2 == 0 ? 1 : -1);
    ++(way > 0 ? forward : backward);
  }
  EXPECT_GT(forward, 0);
  EXPECT_GT(backward, 0);
  ASSERT_TRUE(quiet(service));
  submit(service, completion("x", 1))->wait();  // a turn of the engine's thread behind the last old answer
  const Numbers n = service.numbers();
  EXPECT_EQ(n.old_weights, 0);
  EXPECT_EQ(n.weights_version, first + 20);
  for (size_t i = 0; i + 1 < replaced.size(); ++i) EXPECT_TRUE(replaced[i].expired()) << "weights " << i << " are still held";
  EXPECT_GE(n.engine.generated_tokens, 20 * 7 * 40) << "what engines that are gone have counted still counts";
}

TEST_F(WeightUpdate, WhoWaitedGetsTheNewOnes) {
  Served s(alphabet_model());
  config_.engine.max_num_seqs = 1;
  Service service(s.served, config_);
  const std::shared_ptr<model::Transformer> next = backward_model();
  const HeardPtr running = submit(service, long_one('a', 480));
  ASSERT_TRUE(running->wait_for_text());
  const HeardPtr waiting = submit(service, long_one('m', 5));
  const int64_t version = service.replace_weights(next, "backward");
  bool still = false;  // then nobody else has begun
  {
    const std::lock_guard lock(running->mutex);
    still = !running->done;
  }
  ASSERT_TRUE(running->wait());
  ASSERT_TRUE(waiting->wait());
  EXPECT_EQ(direction('a', running->choices[0].content), 1);
  EXPECT_EQ(running->choices[0].content.size(), 480u);
  if (still) {
    EXPECT_EQ(waiting->head.model_version, version);
    EXPECT_EQ(waiting->choices[0].content, "lkjih");
  }
}

TEST_F(WeightUpdate, EmbeddingsAndLogitsAreTheNewOnes) {
  Served s(byte_model());
  Service service(s.served, config_);
  const auto ids = s.tokenizer.encode("some text");
  const auto before = service.embed({ids});
  model::ModelConfig c = engine::tiny_config();
  c.vocab_size = 257;
  c.num_hidden_layers = 1;  // how the layers look is their own business
  const std::shared_ptr<model::Transformer> other = engine::model_of(c, 9);
  service.replace_weights(other, "other");
  EXPECT_NE(service.embed({ids}), before);
  ServedModel alone = s.served;
  alone.model = other;
  Service reference(alone, config_);
  EXPECT_EQ(service.logits({ids}), reference.logits({ids}));
  const HeardPtr a = submit(service, completion("and then", 20)), b = submit(reference, completion("and then", 20));
  ASSERT_TRUE(a->wait() && b->wait());
  EXPECT_EQ(a->choices[0].content, b->choices[0].content);
}

TEST_F(WeightUpdate, WhatDoesNotFitChangesNothing) {
  Served s(alphabet_model());
  Service service(s.served, config_);
  const int64_t version = service.served().model->version();
  model::ModelConfig small = engine::tiny_config(), brief = small;
  brief.vocab_size = 257;
  brief.max_position_embeddings = 128;
  EXPECT_THROW(service.replace_weights(engine::model_of(small), "small"), http::ApiError);
  EXPECT_THROW(service.replace_weights(engine::model_of(brief), "brief"), http::ApiError);
  EXPECT_EQ(service.served().model->version(), version);
  EXPECT_EQ(answer(service), "nop");
}

TEST_F(WeightUpdate, FromDiskAndBack) {
  Served s(alphabet_model());
  Service service(s.served, config_);
  saved("step-1", *backward_model());
  saved("runs/step-2", *s.model);
  const Outcome one = update(service, "step-1");
  ASSERT_EQ(one.status, 200) << one.message;
  EXPECT_EQ(one.update.version, service.served().model->version());
  EXPECT_EQ(answer(service), "lkj");
  ASSERT_EQ(update(service, "runs/step-2").status, 200);
  EXPECT_EQ(answer(service), "nop");
  // An absolute path that leads there; and the same path once more, whatever is there now.
  ASSERT_EQ(update(service, (folder_.path() / "models/step-1").string()).status, 200);
  EXPECT_EQ(answer(service), "lkj");
  saved("step-1", *s.model);
  ASSERT_EQ(update(service, "").status, 200);
  EXPECT_EQ(answer(service), "nop");
}

// Under load, as clients see it: nobody's answer breaks.
TEST_F(WeightUpdate, BrokenFilesLeaveTheOldOnesServing) {
  Served s(alphabet_model());
  Service service(s.served, config_);
  const int64_t version = service.served().model->version();
  const fs::path whole = saved("whole", *backward_model());
  const std::string weights = read_file(whole / "model.safetensors");
  std::vector<HeardPtr> heard;
  for (int i = 0; i < 20; ++i) {
    heard.push_back(submit(service, long_one(char('a' + i))));
    const fs::path broken = folder_.path() / "models" / ("broken" + std::to_string(i));
    fs::copy(whole, broken);
    std::string cut = weights;
    if (i % 4 == 0) cut.resize(weights.size() * size_t(i) / 20);
    if (i % 4 == 1) cut[size_t(8 + i)] = '\0';  // in the header
    if (i % 4 == 2) fs::remove(broken / "config.json");
    if (i % 4 == 3) cut += "more than there should be";
    std::ofstream(broken / "model.safetensors", std::ios::binary) << cut;
    const Outcome o = update(service, broken.filename().string());
    EXPECT_EQ(o.status, 400) << i << ": " << o.message;
    EXPECT_NE(o.message.find("broken" + std::to_string(i)), std::string::npos) << o.message;
  }
  for (size_t i = 0; i < heard.size(); ++i) {
    ASSERT_TRUE(heard[i]->wait());
    EXPECT_EQ(direction(char('a' + i), heard[i]->choices[0].content), 1);
    EXPECT_EQ(heard[i]->head.model_version, version);
  }
  EXPECT_EQ(service.served().model->version(), version);
}

TEST_F(WeightUpdate, AnotherVocabularyIsRefused) {
  Served s(alphabet_model());
  Service service(s.served, config_);
  const fs::path path = saved("other", *backward_model());
  text::Tokenizer::from_words({"<unk>", "one", "two"}, {}).save(path);
  const Outcome o = update(service, "other");
  EXPECT_EQ(o.status, 400);
  EXPECT_EQ(o.code, "other_vocabulary") << o.message;
  s.tokenizer.save(path);
  EXPECT_EQ(update(service, "other").status, 200);
}

TEST_F(WeightUpdate, NothingOutsideOfTheFolder) {
  Served s(alphabet_model());
  Service service(s.served, config_);
  fs::create_directories(folder_.path() / "secret");
  model::save_model(*backward_model(), folder_.path() / "secret/model", at::kFloat);
  fs::create_directory_symlink(folder_.path() / "secret/model", folder_.path() / "models/link");
  for (const std::string& name :
       {std::string("../secret/model"), std::string("link"), (folder_.path() / "secret/model").string(), std::string("/etc")})
    EXPECT_EQ(update(service, name).status, 403) << name;
  for (const std::string& name : {std::string("nothing"), std::string("a\0b", 3), std::string(3000, 'x')})
    EXPECT_EQ(update(service, name).status, 404) << name.size();
  EXPECT_EQ(answer(service), "nop");
}

TEST_F(WeightUpdate, OneAtATimeAndOnlyWhereAllowed) {
  Served s(alphabet_model());
  {
    ServiceConfig closed = config_;
    closed.weight_updates = "";
    Service service(s.served, closed);
    try {
      service.update_weights("step-1", [](const auto&, std::exception_ptr) {});
      FAIL() << "taken";
    } catch (const http::ApiError& e) {
      EXPECT_EQ(e.status, 403);
      EXPECT_NE(std::string(e.what()).find("--weight_updates"), std::string::npos);
    }
  }
  saved("step-1", *backward_model());
  Service service(s.served, config_);
  const HeardPtr running = submit(service, long_one('a', 300));
  ASSERT_TRUE(running->wait_for_text());
  std::promise<bool> first;
  {
    const std::lock_guard lock(running->mutex);  // the engine's thread stands still, and with it the first update
    service.update_weights("step-1", [&](const auto&, std::exception_ptr failed) { first.set_value(!failed); });
    try {
      service.update_weights("step-1", [](const auto&, std::exception_ptr) {});
      FAIL() << "taken";
    } catch (const http::ApiError& e) {
      EXPECT_EQ(e.status, 409);
    }
  }
  EXPECT_TRUE(first.get_future().get());
}

// The server stops: an update under way ends with it.
TEST_F(WeightUpdate, EndsWithTheService) {
  Served s(alphabet_model());
  saved("step-1", *backward_model());
  std::atomic<int> told = 0;
  for (int i = 0; i < 5; ++i) {
    Service service(s.served, config_);
    service.update_weights("step-1", [&](const auto&, std::exception_ptr) { ++told; });
  }
  EXPECT_EQ(told, 5);
}

TEST_F(WeightUpdate, BothRoutesAnswerWhenItIsDone) {
  struct Answered : http::Responder {
    std::promise<http::Response> promise;
    void send(http::Response response) override { promise.set_value(std::move(response)); }
    void begin(int, std::string, http::Headers) override {}
    void write(std::string) override {}
    void end() override {}
    bool gone() const override { return false; }
    void on_gone(std::function<void()>) override {}
  };
  Served s(alphabet_model());
  Service service(s.served, config_);
  saved("step-1", *backward_model());
  http::Router router;
  add_routes(router, service, {.facts = {.name = "tiny"}, .version = "1"});
  const auto post = [&](const std::string& path, const std::string& body) {
    const http::Match match = router.find("POST", path);
    auto request = std::make_shared<http::Request>();
    request->method = "POST", request->path = path, request->body = body, request->captures = match.captures;
    const auto responder = std::make_shared<Answered>();
    try {
      match.route->handler(request, responder);
    } catch (const std::exception& error) {
      responder->send(http::error_response(error));
    }
    return responder->promise.get_future().get();
  };
  const http::Response loaded = post("/update_weights_from_disk", R"({"model_path": "step-1", "load_format": "auto"})");
  ASSERT_EQ(loaded.status, 200) << loaded.body;
  EXPECT_EQ(parse_json(loaded.body, "answer")["weights_version"], service.served().model->version());
  EXPECT_EQ(answer(service), "lkj");
  EXPECT_EQ(post("/v2/repository/models/tiny/load", "").status, 200);  // the same once more
  EXPECT_EQ(post("/v2/repository/models/tiny/load", R"({"parameters": {"model_path": "step-1"}})").status, 200);
  EXPECT_EQ(post("/v2/repository/models/other/load", "").status, 404);
  const http::Response missing = post("/v2/repository/models/tiny/load", R"({"parameters": {"model_path": "step-9"}})");
  EXPECT_EQ(missing.status, 404);
  EXPECT_TRUE(parse_json(missing.body, "answer")["error"].is_string()) << "Triton's shape";
  EXPECT_EQ(post("/update_weights_from_disk", R"({"model_path": 7})").status, 400);
  const Numbers n = service.numbers();
  EXPECT_NE(metrics(n, "tiny", 4).find("r1_weights_version " + std::to_string(n.weights_version)), std::string::npos);
}

}  // namespace r1::serve::testing
