// A service over tiny models, and writers that keep what they hear.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "r1/http/error.h"
#include "r1/serve/service.h"
#include "tests/engine/scripted.h"

namespace r1::serve::testing {

// What a writer heard, to be waited for.
struct Heard {
  struct Choice {
    std::string content, reasoning, reason, prompt;
    std::vector<api::TokenInfo> tokens, prompt_tokens;
    api::AnswerWriter::Finish finish;
  };
  std::mutex mutex;
  std::condition_variable changed;
  std::map<int64_t, Choice> choices;
  api::AnswerWriter::Head head;
  api::Usage usage;
  std::string error;
  int status = 0, starts = 0, deltas = 0;
  bool done = false;

  // False: it took too long.
  bool wait(double seconds = 60) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return done; });
  }
  bool wait_for_text(double seconds = 60) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return deltas > 0 || done; });
  }
};
using HeardPtr = std::shared_ptr<Heard>;

class HearingWriter : public api::AnswerWriter {
 public:
  explicit HearingWriter(HeardPtr heard) : heard_(std::move(heard)) {}
  void start(const Head& head) override {
    tell([&](Heard& h) { h.head = head, ++h.starts; });
  }
  void prompt(int64_t choice, const std::string& text, const std::vector<api::TokenInfo>& tokens) override {
    tell([&](Heard& h) { h.choices[choice].prompt = text, h.choices[choice].prompt_tokens = tokens; });
  }
  void delta(int64_t choice, const api::Delta& delta) override {
    tell([&](Heard& h) {
      Heard::Choice& c = h.choices[choice];
      EXPECT_TRUE(c.reason.empty()) << "a delta after its choice's end";
      c.content += delta.content;
      c.reasoning += delta.reasoning;
      c.tokens.insert(c.tokens.end(), delta.tokens.begin(), delta.tokens.end());
      ++h.deltas;
    });
  }
  void finish(int64_t choice, const Finish& finish) override {
    tell([&](Heard& h) { h.choices[choice].finish = finish, h.choices[choice].reason = finish.reason; });
  }
  void end(const api::Usage& usage, const api::Timings&) override {
    tell([&](Heard& h) { h.usage = usage, h.done = true; });
  }
  void fail(const std::exception& error) override {
    tell([&](Heard& h) { h.error = error.what(), h.status = http::as_api_error(error).status, h.done = true; });
  }

 private:
  template <class Change>
  void tell(Change change) {
    const std::lock_guard lock(heard_->mutex);
    change(*heard_);
    heard_->changed.notify_all();
  }
  HeardPtr heard_;
};

inline constexpr const char* kTemplate =
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}={% endif %}";

// A model with what stands around it.
struct Served {
  text::Tokenizer tokenizer = engine::byte_tokenizer();
  text::ChatTemplate chat;
  std::shared_ptr<model::Transformer> model;
  ServedModel served;

  explicit Served(std::unique_ptr<model::Transformer> m, const std::string& source = kTemplate) : chat(source), model(std::move(m)) {
    served = {.name = "tiny", .path = "/tiny", .model = model, .tokenizer = &tokenizer, .chat = &chat, .stop_ids = {engine::kEos}};
  }
};

// Random weights over bytes: what comes next depends on all before it.
inline std::unique_ptr<model::Transformer> byte_model() {
  model::ModelConfig c = engine::tiny_config();
  c.vocab_size = 257;
  return engine::model_of(c, 3);
}
// After each letter comes the next one, after 'z' comes 'a': an answer tells whose it is.
inline std::unique_ptr<model::Transformer> alphabet_model() {
  engine::Script script;
  for (int i = 0; i < 256; ++i) script[i] = {{i == 'z' ? 'a' : i + 1, 30.0}};
  return engine::scripted_model(script);
}

inline ServiceConfig service_config() {
  ServiceConfig c;
  c.sampling = {};
  c.engine.max_num_seqs = 8;
  c.engine.max_num_batched_tokens = 64;
  c.engine.num_blocks = 64;
  return c;
}

inline api::GenerationRequest completion(const std::string& prompt, int64_t max_tokens) {
  api::GenerationRequest r;
  r.prompts = {prompt};
  r.max_tokens = max_tokens;
  r.sampling.temperature = 0;
  return r;
}

inline HeardPtr submit(Service& service, api::GenerationRequest request, const std::string& key = "", Service::Ticket* ticket = nullptr) {
  auto heard = std::make_shared<Heard>();
  const Service::Ticket t = service.submit({std::move(request), std::make_unique<HearingWriter>(heard)}, key);
  if (ticket) *ticket = t;
  return heard;
}

// Until nothing runs or waits; false: it took too long.
inline bool quiet(const Service& service, double seconds = 60) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < until) {
    const Numbers n = service.numbers();
    if (n.running == 0 && n.waiting == 0 && n.engine.running == 0 && n.engine.waiting == 0) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace r1::serve::testing
