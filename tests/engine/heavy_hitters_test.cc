// Sequences that drop the tokens that were looked at least (kv_eviction heavy_hitters): an answer is one's own, whatever the batch, the chunks, preemption
// and blocks; a sequence never holds more than its budget and gives back what it does not need; nothing is shared.
#include <cmath>

#include "tests/engine/fixture.h"
#include "tests/message_of.h"

namespace r1::engine {

namespace {

EngineConfig dropping(int64_t budget = 64, const std::string& dtype = "auto") {
  EngineConfig c = small_config();
  c.kv_eviction = "heavy_hitters", c.kv_budget = budget, c.kv_cache_dtype = dtype;
  return c;
}

std::vector<Answer> answers_of_each(model::Transformer& m, const std::vector<Request>& requests, const EngineConfig& c) {
  std::vector<Answer> answers;
  for (const Request& r : requests) {
    Engine engine(m, c);
    const RequestId id = engine.add(r);
    answers.push_back(run_out(engine)[id]);
  }
  return answers;
}

std::vector<Request> long_requests(int n) {
  std::vector<Request> requests;
  Rng rng(9);
  for (int i = 0; i < n; ++i) {
    Request r = request_of(rng, i % 2 ? rng.between(1, 12) : rng.between(60, 140), rng.between(60, 90));
    if (i % 2) r.sampling.temperature = 1, r.sampling.seed = uint64_t(i);
    requests.push_back(r);
  }
  return requests;
}

}  // namespace

TEST(HeavyHitters, ABudgetThatHoldsAllChangesNothing) {
  const auto m = tiny_model();
  const auto requests = mixed_requests(10);
  EXPECT_EQ(expect_same(*m, requests, answers_alone(*m, requests), dropping(200)).dropped_tokens, 0);
}

// Where every text fits, nobody pays for the counts, nor goes without shared prefixes.
TEST(HeavyHitters, ABudgetOfTheLongestTextIsOff) {
  const auto m = tiny_model();
  const int64_t longest = m->config().max_position_embeddings;
  for (const char* who : {"heavy_hitters", "window"})
    for (const int64_t budget : {longest - 1, longest}) {
      EngineConfig c = dropping(budget);
      c.kv_eviction = who;
      const Engine engine(*m, c);
      EXPECT_EQ(engine.config().kv_eviction, budget < longest ? who : "none") << budget;
      EXPECT_EQ(engine.config().enable_prefix_caching, budget >= longest || who == std::string("window"));
      EXPECT_EQ(cache_form(engine.config()).kept_last > 0, budget < longest && who == std::string("window"));
    }
  EngineConfig shorter = dropping(100);
  shorter.max_model_len = 100;
  EXPECT_EQ(Engine(*m, shorter).config().kv_budget, 0);
}

TEST(HeavyHitters, AnAnswerIsItsOwnWhateverTheCompany) {
  const auto m = tiny_model();
  const auto requests = long_requests(5);
  for (const char* dtype : {"auto", "int8", "int4"}) {
    SCOPED_TRACE(dtype);
    const EngineConfig form = dropping(64, dtype);
    const auto alone = answers_of_each(*m, requests, form);
    EXPECT_GT(expect_same(*m, requests, alone, form).dropped_tokens, 16 * 5);
    EngineConfig other = form;
    other.max_num_batched_tokens = 7;
    expect_same(*m, requests, alone, other);
    other.max_num_batched_tokens = 100, other.block_size = 32;
    expect_same(*m, requests, alone, other);
    other = form, other.num_blocks = 7;  // short prompts come in, and grow
    EXPECT_GT(expect_same(*m, requests, alone, other).preemptions, 0);
    other.num_blocks = 4;
    expect_same(*m, requests, alone, other);
  }
  const auto plain = answers_of_each(*m, requests, small_config());
  EXPECT_FALSE(answers_of_each(*m, requests, dropping())[0] == plain[0] && answers_of_each(*m, requests, dropping())[1] == plain[1]);
}

// By the definition in fp64, all of it: attention, scores, who stays.
TEST(HeavyHitters, TheDefinitionSaysTheSame) {
  const auto m = tiny_model();
  auto wide = std::make_unique<model::Transformer>(m->config(), at::kCPU, at::kDouble);
  {
    const at::NoGradGuard no_grad;
    for (const model::WeightRow& row : m->weights()) weight(*wide, row.name).copy_(*row.tensor);
  }
  Rng rng(5);
  for (const int64_t prompt : {20, 150}) {
    Request r = request_of(rng, prompt, 60);
    const Answer ours = answers_of_each(*m, {r}, dropping())[0];
    r.forced = ours.ids;
    const Answer theirs = answers_of_each(*wide, {r}, dropping())[0];
    for (size_t i = 0; i < ours.ids.size(); ++i) ASSERT_NEAR(ours.logprobs[i], theirs.logprobs[i], 2e-4) << prompt << " " << i;
  }
}

TEST(HeavyHitters, ABudgetBoundsWhatASequenceHolds) {
  const auto m = tiny_model();
  Rng rng(8);
  for (const int64_t chunk : {5, 40, 2048})
    for (const auto& [prompt, answer] : std::vector<std::pair<int64_t, int64_t>>{{10, 480}, {400, 100}}) {
      EngineConfig c = dropping(100);
      c.max_num_batched_tokens = chunk, c.num_blocks = 7;
      Engine engine(*m, c);
      engine.add(request_of(rng, prompt, answer));
      int64_t most = 0, least = 7;
      while (!engine.idle()) {
        const bool decodes = engine.stats().generated_tokens > 100 - prompt;
        engine.step();
        const EngineStats stats = engine.stats();
        most = std::max(most, stats.total_blocks - stats.free_blocks);
        if (decodes && !engine.idle()) least = std::min(least, stats.total_blocks - stats.free_blocks);
      }
      EXPECT_EQ(most, 7) << "100 tokens in blocks of 16";
      EXPECT_EQ(least, 6) << "of 84 that stay, and a new one";
      EXPECT_EQ(engine.stats().free_blocks, 7);
      EXPECT_EQ(engine.stats().dropped_tokens % 16, 0);
      EXPECT_GE(engine.stats().dropped_tokens, prompt + answer - 101 - 16);
    }
}

TEST(HeavyHitters, NothingIsShared) {
  const auto m = tiny_model();
  Rng rng(12);
  Request r = request_of(rng, 90, 40);
  r.sampling.temperature = 1;
  EngineConfig c = dropping();
  c.max_num_batched_tokens = 50;
  Engine engine(*m, c);
  for (int round = 0; round < 2; ++round) {
    const auto ids = engine.add_group(r, 4);
    Answers answers = run_out(engine);
    for (int i = 0; i < 4; ++i) {
      Request one = r;
      one.sample_index = i;
      EXPECT_TRUE(answers_of_each(*m, {one}, dropping())[0] == answers[ids[size_t(i)]]) << "sample " << i;
    }
  }
  EXPECT_EQ(engine.stats().prefix_hit_tokens, 0);
  EXPECT_FALSE(engine.config().enable_prefix_caching);
}

TEST(HeavyHitters, WindowIsTheOtherWord) {
  const auto m = tiny_model();
  EngineConfig evicting = small_config(), window = small_config();
  evicting.kv_eviction = "window", evicting.kv_budget = 44, evicting.attention_sink_tokens = 4;
  window.attention_window = 40, window.attention_sink_tokens = 4;
  const auto requests = long_requests(3);
  EXPECT_EQ(answers_of_each(*m, requests, evicting), answers_of_each(*m, requests, window));
}

TEST(HeavyHitters, WhatCanNotBeIsSaid) {
  const auto m = tiny_model();
  const auto message = [&](const std::function<void(EngineConfig&)>& change) {
    EngineConfig c = dropping();
    change(c);
    return message_of([&] { Engine(*m, c); });
  };
  const auto says = [](const std::string& message, const std::string& part) { return message.find(part) != std::string::npos; };
  EXPECT_TRUE(says(message([](EngineConfig& c) { c.kv_budget = 0; }), "needs kv_budget"));
  EXPECT_TRUE(says(message([](EngineConfig& c) { c.kv_budget = 40; }), "at least 64"));
  EXPECT_TRUE(says(message([](EngineConfig& c) { c.kv_eviction = "none"; }), "say who goes"));
  EXPECT_TRUE(says(message([](EngineConfig& c) { c.attention_window = 40; }), "leave one out"));
  EXPECT_TRUE(says(message([](EngineConfig& c) { c.kv_eviction = "window", c.kv_budget = 4; }), "attention_sink_tokens"));
  EXPECT_TRUE(says(message([](EngineConfig& c) { c.num_speculative_tokens = 2, c.speculation = "ngram"; }), "num_speculative_tokens"));
  for (const char* kind : {"window", "hybrid", "lsh", "dynamic_window", "context_experts", "mla"}) {
    const auto other = model_of(kind_config(kind));
    EXPECT_TRUE(says(message_of([&] { Engine(*other, dropping()); }), "heavy_hitters")) << kind;
  }
  model::ModelConfig biased = tiny_config();
  biased.attention_bias = true;
  const auto with_bias = model_of(biased);
  EXPECT_TRUE(says(message_of([&] { Engine(*with_bias, dropping(64, "int4")); }), "take kv_cache_dtype int8"));
  EXPECT_NO_THROW(Engine(*with_bias, dropping(64, "int8")));
  EngineConfig tight = dropping();
  tight.num_blocks = 3;
  Engine engine(*m, tight);
  Rng rng(1);
  EXPECT_TRUE(says(message_of([&] { engine.add(request_of(rng, 90, 10)); }), "too few for kv_budget"));
}

}  // namespace r1::engine
