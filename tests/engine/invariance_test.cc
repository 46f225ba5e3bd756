// The promises of invariant mode, bit for bit: any batch, chunk, block size, preemption, prefix hit and thread count; and the trainer's own
// numbers.
#include "tests/engine/fixture.h"

namespace r1::engine {

TEST(Engine, InvariantInAnyBatchChunkAndCache) {
  const auto m = tiny_model();
  const auto requests = mixed_requests(64);
  const auto alone = answers_alone(*m, requests);
  EXPECT_GT(expect_same(*m, requests, alone, small_config()).steps, 20);
  for (int64_t budget : {1, 7, 33, 100000}) {
    EngineConfig c = small_config();
    c.max_num_batched_tokens = budget;
    expect_same(*m, requests, alone, c);
  }
  EngineConfig tight = small_config();
  tight.num_blocks = 12;
  EXPECT_GT(expect_same(*m, requests, alone, tight).preemptions, 0);
  EngineConfig plain = small_config();
  plain.enable_prefix_caching = false;
  EXPECT_EQ(expect_same(*m, requests, alone, plain).prefix_hit_tokens, 0);
  EngineConfig wide = small_config();
  wide.block_size = 32;
  wide.max_num_seqs = 5;
  EXPECT_GT(expect_same(*m, requests, alone, wide).prefix_hit_tokens, 0);
}

TEST(Engine, InvariantInTheNumberOfThreads) {
  const auto m = tiny_model();
  const auto requests = mixed_requests(24);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto alone = answers_alone(*m, requests);
  for (int n : {1, 2, 3}) {
    at::set_num_threads(n);
    expect_same(*m, requests, alone, small_config());
  }
  at::set_num_threads(threads);
}

TEST(Engine, AnsweredTwiceFromThePrefixCacheIsTheSame) {
  const auto m = tiny_model();
  const auto requests = mixed_requests(16);
  Engine engine(*m, small_config());
  std::vector<Answers> rounds;
  std::vector<RequestId> first;
  for (int round = 0; round < 2; ++round) {
    for (const Request& r : requests) {
      const RequestId id = engine.add(r);
      if (round == 0) first.push_back(id);
    }
    rounds.push_back(run_out(engine));
  }
  EXPECT_GT(engine.stats().prefix_hit_tokens, 500);
  for (RequestId id : first) EXPECT_TRUE(rounds[0][id] == rounds[1][id + RequestId(requests.size())]);
}

TEST(Engine, RolloutLogprobsEqualTheTrainingForward) {
  const auto m = tiny_model();
  Rng rng(6);
  for (double temperature : {1.0, 0.7}) {
    EngineConfig c = small_config();
    c.max_num_batched_tokens = 100;
    c.num_blocks = 9;  // with preemptions
    Engine engine(*m, c);
    std::map<RequestId, Request> requests;
    for (int i = 0; i < 500; ++i) {
      Request r = request_of(rng, rng.between(1, 16), rng.between(1, 24));
      r.sampling.temperature = temperature;
      r.sampling.seed = uint64_t(i);
      r.sampling.top_k = i % 2 ? 10 : 0;
      const RequestId id = engine.add(r);
      requests[id] = r;
    }
    const Answers answers = run_out(engine);
    EXPECT_GT(engine.stats().preemptions, 0);
    auto it = answers.begin();
    while (it != answers.end()) {
      // Packs of up to 37 sequences, as a trainer would.
      std::vector<std::vector<TokenId>> pack;
      std::vector<int64_t> ids, targets;
      std::vector<std::pair<size_t, float>> expected;
      for (; it != answers.end() && pack.size() < 37; ++it) {
        std::vector<TokenId> tokens = requests[it->first].prompt;
        const size_t prompt = tokens.size();
        tokens.insert(tokens.end(), it->second.ids.begin(), it->second.ids.end());
        for (size_t i = 0; i < tokens.size(); ++i) {
          if (i + 1 < tokens.size() && i + 1 >= prompt) expected.push_back({targets.size(), it->second.logprobs[i + 1 - prompt]});
          targets.push_back(i + 1 < tokens.size() ? tokens[i + 1] : -1);
        }
        pack.push_back(tokens);
      }
      const at::NoGradGuard no_grad;
      const nn::LayerContext context = packed(pack, ids);
      const Tensor logprobs =
          ops::linear_logprob(m->hidden(ids_tensor(ids), context), m->head(), ids_tensor(targets), temperature).logprob_T;
      for (const auto& [row, logprob] : expected)
        ASSERT_EQ(logprobs.const_data_ptr<float>()[row], logprob) << "row " << row << " at temperature " << temperature;
    }
  }
}

TEST(Engine, AGroupIsItsSamplesOneByOne) {
  const auto m = tiny_model();
  Rng rng(12);
  for (int64_t prompt : {5, 16, 37}) {
    Request r = request_of(rng, prompt, 20);
    r.sampling.temperature = 1;
    r.sampling.seed = 99;
    for (bool caching : {true, false}) {
      EngineConfig c = small_config();
      c.enable_prefix_caching = caching;
      c.max_num_batched_tokens = 12;
      c.max_num_seqs = 6;  // fewer than the group
      Engine engine(*m, c);
      const auto ids = engine.add_group(r, 8);
      Answers answers = run_out(engine);
      std::set<std::vector<TokenId>> distinct;
      for (int i = 0; i < 8; ++i) {
        Engine single(*m, small_config());
        Request one = r;
        one.sample_index = i;
        const RequestId id = single.add(one);
        EXPECT_TRUE(run_out(single)[id] == answers[ids[size_t(i)]]) << "sample " << i;
        distinct.insert(answers[ids[size_t(i)]].ids);
      }
      EXPECT_EQ(distinct.size(), 8u);
      EXPECT_EQ(engine.stats().free_blocks, engine.stats().total_blocks);
    }
  }
  Engine engine(*m, small_config());
  const Request r = request_of(rng, 37, 4);
  engine.add_group(r, 8);
  run_out(engine);
  EXPECT_EQ(engine.stats().prefill_tokens, 37);
}

TEST(Engine, NoTokenOfOneRequestLeaksIntoAnother) {
  const auto m = tiny_model();
  Rng rng(15);
  const Request base = request_of(rng, 48, 4);
  std::vector<Request> kinds;
  for (int i = 0; i < 24; ++i) {
    Request r = base;
    r.prompt[size_t(rng.below(48))] = TokenId(rng.below(kVocab));
    if (i % 4 == 0) r.prompt.resize(size_t(rng.between(17, 47)));
    kinds.push_back(r);
  }
  const auto expected = answers_alone(*m, kinds);
  EngineConfig c = small_config();
  c.num_blocks = 24;
  Engine engine(*m, c);
  std::map<RequestId, size_t> kind;
  Answers answers;
  for (int i = 0; i < 500; ++i) {
    const size_t k = size_t(rng.below(kinds.size()));
    kind[engine.add(kinds[k])] = k;
    if (i % 17 == 0) engine.cancel(engine.add(kinds[size_t(rng.below(kinds.size()))]));
    if (i % 3 != 0) continue;
    for (const TokenEvent& e : engine.step()) {
      answers[e.request].ids.push_back(e.token);
      answers[e.request].logprobs.push_back(e.logprob);
      answers[e.request].finish = e.finish;
    }
  }
  for (auto& [id, rest] : run_out(engine)) {
    Answer& a = answers[id];
    a.ids.insert(a.ids.end(), rest.ids.begin(), rest.ids.end());
    a.logprobs.insert(a.logprobs.end(), rest.logprobs.begin(), rest.logprobs.end());
    a.finish = rest.finish;
  }
  EXPECT_GT(engine.stats().prefix_hit_tokens, 1000);
  ASSERT_EQ(answers.size(), 500u);
  for (const auto& [id, k] : kind) ASSERT_TRUE(answers[id] == expected[k]) << "request " << id << " of kind " << k;
}

}  // namespace r1::engine
