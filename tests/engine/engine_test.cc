// The engine on a tiny random model: against plain greedy decoding that recomputes everything, and the promises of invariant mode, bit for
// bit.
#include "r1/engine/engine.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/engine/sampler.h"
#include "r1/ops/logprob.h"

namespace r1::engine {

namespace {

constexpr int kVocab = 131;

model::ModelConfig tiny_config() {
  model::ModelConfig c;
  c.vocab_size = kVocab;
  c.hidden_size = 48;
  c.intermediate_size = 80;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 2;
  c.head_dim = 16;
  c.max_position_embeddings = 512;
  c.initializer_range = 0.25;  // wide, so that different contexts give clearly different tokens
  c.tie_word_embeddings = true;
  return c;
}

std::unique_ptr<model::Transformer> tiny_model(uint64_t seed = 1) {
  auto m = std::make_unique<model::Transformer>(tiny_config(), at::kCPU, at::kFloat);
  m->init_weights(seed);
  return m;
}

struct Answer {
  std::vector<TokenId> ids;
  std::vector<float> logprobs;
  FinishReason finish = FinishReason::kNone;
  bool operator==(const Answer& o) const {
    return ids == o.ids && finish == o.finish && logprobs.size() == o.logprobs.size() &&
           std::memcmp(logprobs.data(), o.logprobs.data(), logprobs.size() * sizeof(float)) == 0;
  }
};

using Answers = std::map<RequestId, Answer>;

Answers run_out(Engine& engine) {
  Answers answers;
  while (!engine.idle()) {
    for (const TokenEvent& e : engine.step()) {
      Answer& a = answers[e.request];
      EXPECT_EQ(a.finish, FinishReason::kNone) << "a token after the last";
      a.ids.push_back(e.token);
      a.logprobs.push_back(e.logprob);
      a.finish = e.finish;
    }
  }
  return answers;
}

EngineConfig small_config() {
  EngineConfig c;
  c.num_blocks = 400;
  return c;
}

Tensor ids_tensor(std::vector<int64_t>& ids) {
  return at::from_blob(ids.data(), {int64_t(ids.size())}, at::TensorOptions().dtype(at::kLong));
}

nn::AttentionContext packed(const std::vector<std::vector<TokenId>>& sequences, std::vector<int64_t>& ids) {
  nn::AttentionContext context;
  context.cu_seqlens = {0};
  for (const auto& s : sequences) {
    for (size_t i = 0; i < s.size(); ++i) {
      ids.push_back(s[i]);
      context.positions.push_back(int32_t(i));
    }
    context.cu_seqlens.push_back(int32_t(ids.size()));
    context.max_seqlen = std::max(context.max_seqlen, int32_t(s.size()));
  }
  return context;
}

// The definition: the whole sequence again for every token.
std::vector<TokenId> naive_greedy(model::Transformer& m, std::vector<TokenId> tokens, int count) {
  const at::NoGradGuard no_grad;
  std::vector<TokenId> made;
  for (int i = 0; i < count; ++i) {
    std::vector<int64_t> ids;
    const nn::AttentionContext context = packed({tokens}, ids);
    const Tensor logits = m.logits(m.hidden(ids_tensor(ids), context).narrow(0, int64_t(ids.size()) - 1, 1)).contiguous();
    made.push_back(greedy_token(logits.const_data_ptr<float>(), kVocab));
    tokens.push_back(made.back());
  }
  return made;
}

Request request_of(Rng& rng, int64_t prompt, int64_t answer) {
  Request r;
  for (int64_t i = 0; i < prompt; ++i) r.prompt.push_back(TokenId(rng.below(kVocab)));
  r.sampling = {.temperature = 0, .max_new_tokens = answer, .logprobs = true};
  return r;
}

// Requests of all kinds, some with equal beginnings.
std::vector<Request> mixed_requests(int n) {
  Rng rng(77);
  std::vector<Request> requests;
  const Request common = request_of(rng, 70, 1);
  for (int i = 0; i < n; ++i) {
    Request r = request_of(rng, rng.between(1, 60), rng.between(1, 30));
    if (i % 3 == 0) r.prompt.insert(r.prompt.begin(), common.prompt.begin(), common.prompt.begin() + rng.between(10, 70));
    if (i % 4 != 0) r.sampling.temperature = 0.5 + 0.25 * double(i % 4);
    if (i % 5 == 0) r.sampling.top_k = 20;
    if (i % 7 == 0) r.sampling.top_p = 0.8;
    if (i % 11 == 0) r.sampling.repetition_penalty = 1.2;
    if (i % 6 == 0) r.sampling.stop_ids = {TokenId(i), TokenId(i + 1), TokenId(i + 2)};
    if (i % 13 == 0) r.forced = {1, 2, 3};
    r.sampling.seed = uint64_t(i);
    requests.push_back(r);
  }
  return requests;
}

std::vector<Answer> answers_alone(model::Transformer& m, const std::vector<Request>& requests) {
  std::vector<Answer> answers;
  for (const Request& r : requests) {
    Engine engine(m, small_config());
    const RequestId id = engine.add(r);
    answers.push_back(run_out(engine)[id]);
  }
  return answers;
}

EngineStats expect_same(model::Transformer& m, const std::vector<Request>& requests, const std::vector<Answer>& expected,
                        const EngineConfig& config) {
  Engine engine(m, config);
  std::vector<RequestId> ids;
  for (const Request& r : requests) ids.push_back(engine.add(r));
  Answers answers = run_out(engine);
  for (size_t i = 0; i < requests.size(); ++i) EXPECT_TRUE(answers[ids[i]] == expected[i]) << "request " << i;
  EXPECT_EQ(engine.stats().free_blocks, engine.stats().total_blocks);
  return engine.stats();
}

}  // namespace

TEST(Engine, GreedyEqualsNaiveDecoding) {
  const auto m = tiny_model();
  Engine engine(*m, small_config());
  Rng rng(4);
  std::vector<Request> requests;
  std::vector<RequestId> ids;
  for (int i = 0; i < 12; ++i) {
    requests.push_back(request_of(rng, 1 + 5 * i, 24));
    ids.push_back(engine.add(requests.back()));
  }
  Answers answers = run_out(engine);
  std::set<TokenId> distinct;
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(answers[ids[i]].ids, naive_greedy(*m, requests[i].prompt, 24)) << "request " << i;
    EXPECT_EQ(answers[ids[i]].finish, FinishReason::kLength);
    distinct.insert(answers[ids[i]].ids.begin(), answers[ids[i]].ids.end());
  }
  EXPECT_GT(distinct.size(), 20u);  // else the model is too dull to test anything
}

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

// Fault R1: the log-probabilities of the rollout are those of the training forward, to the bit.
TEST(Engine, RolloutLogprobsEqualTheTrainingForward) {
  const auto m = tiny_model();
  Rng rng(6);
  for (double temperature : {1.0, 0.7}) {
    EngineConfig c = small_config();
    c.max_num_batched_tokens = 100;
    c.num_blocks = 60;  // with preemptions
    Engine engine(*m, c);
    std::map<RequestId, Request> requests;
    for (int i = 0; i < 500; ++i) {
      Request r = request_of(rng, rng.between(1, 20), rng.between(1, 12));
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
      const nn::AttentionContext context = packed(pack, ids);
      const Tensor logprobs =
          ops::linear_logprob(m->hidden(ids_tensor(ids), context), m->head(), ids_tensor(targets), temperature).logprob_T;
      for (const auto& [row, logprob] : expected)
        ASSERT_EQ(logprobs.const_data_ptr<float>()[row], logprob) << "row " << row << " at temperature " << temperature;
    }
  }
}

TEST(Engine, NewWeightsAreSeenAtOnce) {
  const auto m = tiny_model(1), other = tiny_model(2);
  Rng rng(8);
  const Request r = request_of(rng, 40, 10);
  Engine engine(*m, small_config());
  const RequestId before = engine.add(r);
  const Answer old_answer = run_out(engine)[before];
  {
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < m->weights().size(); ++i) m->weights()[i].tensor->copy_(*other->weights()[i].tensor);
  }
  m->bump_version();
  const RequestId after = engine.add(r);
  const Answer new_answer = run_out(engine)[after];
  EXPECT_NE(old_answer.ids, new_answer.ids);
  EXPECT_EQ(new_answer.ids, naive_greedy(*other, r.prompt, 10));
  EXPECT_EQ(engine.stats().prefix_hit_tokens, 0);
}

TEST(Engine, HalfDoneSequencesAndNewWeights) {
  for (const std::string rule : {"error", "recompute", "keep"}) {
    const auto m = tiny_model(1), other = tiny_model(2);
    Rng rng(8);
    const Request r = request_of(rng, 20, 10);
    EngineConfig c = small_config();
    c.weight_update = rule;
    Engine engine(*m, c);
    const RequestId id = engine.add(r);
    std::vector<TokenId> made;
    for (int i = 0; i < 4; ++i) made.push_back(engine.step().at(0).token);
    {
      const at::NoGradGuard no_grad;
      for (size_t i = 0; i < m->weights().size(); ++i) m->weights()[i].tensor->copy_(*other->weights()[i].tensor);
    }
    m->bump_version();
    if (rule == "error") {
      EXPECT_THROW(engine.step(), Error);
      EXPECT_THROW(engine.step(), Error);
      engine.cancel(id);
      EXPECT_TRUE(engine.step().empty());
      continue;
    }
    const Answer rest = run_out(engine)[id];
    EXPECT_EQ(rest.ids.size(), 6u);
    auto so_far = r.prompt;
    so_far.insert(so_far.end(), made.begin(), made.end());
    if (rule == "recompute") EXPECT_EQ(rest.ids, naive_greedy(*other, so_far, 6));
    // What was cached under two weight versions must not serve anybody else.
    const RequestId again = engine.add(r);
    EXPECT_EQ(run_out(engine)[again].ids, naive_greedy(*other, r.prompt, 10));
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

TEST(Engine, CancelFreesBlocksInEveryStage) {
  const auto m = tiny_model();
  Rng rng(13);
  EngineConfig c = small_config();
  c.max_num_batched_tokens = 32;
  c.max_num_seqs = 2;
  Engine engine(*m, c);
  const int64_t all = engine.stats().free_blocks;
  const RequestId decoding = engine.add(request_of(rng, 20, 50));
  engine.step();
  const RequestId prefilling = engine.add(request_of(rng, 100, 5));
  engine.step();
  const RequestId queued = engine.add(request_of(rng, 10, 5));
  EXPECT_EQ(engine.stats().running, 2);
  EXPECT_EQ(engine.stats().waiting, 1);
  engine.cancel(queued);
  EXPECT_EQ(engine.stats().waiting, 0);
  engine.cancel(prefilling);
  EXPECT_EQ(engine.stats().free_blocks, all - 2);
  engine.cancel(decoding);
  EXPECT_EQ(engine.stats().free_blocks, all);
  EXPECT_TRUE(engine.idle());
  EXPECT_TRUE(engine.step().empty());
  engine.cancel(decoding);  // gone already: nothing happens
  engine.cancel(12345);
}

TEST(Engine, RandomAddsAndCancelsReturnToTheBaseline) {
  const auto m = tiny_model();
  Rng rng(14);
  EngineConfig c = small_config();
  c.num_blocks = 40;
  c.max_num_batched_tokens = 50;
  Engine engine(*m, c);
  std::vector<RequestId> alive;
  for (int i = 0; i < 600; ++i) {
    const uint64_t what = rng.below(6);
    if (what == 0 && alive.size() < 60) {
      Request r = request_of(rng, rng.between(1, 40), rng.between(1, 30));
      r.sampling.temperature = 1;
      for (RequestId id : engine.add_group(r, int(rng.between(1, 4)))) alive.push_back(id);
    } else if (what == 1 && !alive.empty()) {
      const size_t which = rng.below(alive.size());
      engine.cancel(alive[which]);
      alive.erase(alive.begin() + int64_t(which));
    } else {
      for (const TokenEvent& e : engine.step()) {
        ASSERT_NE(std::find(alive.begin(), alive.end(), e.request), alive.end()) << "an event of a request that is gone";
        if (e.finish != FinishReason::kNone) std::erase(alive, e.request);
      }
    }
  }
  for (RequestId id : alive) engine.cancel(id);
  EXPECT_TRUE(engine.idle());
  EXPECT_EQ(engine.stats().free_blocks, 40);
}

// S7: prompts that differ in one token, again and again through the prefix cache under memory pressure; every answer is what the prompt
// alone gives.
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

TEST(Engine, StopIdsForcedTokensAndLengths) {
  const auto m = tiny_model();
  Rng rng(16);
  Request r = request_of(rng, 9, 12);
  const auto greedy = naive_greedy(*m, r.prompt, 12);
  Engine engine(*m, small_config());
  r.sampling.stop_ids = {greedy[3]};
  const size_t first = size_t(std::find(greedy.begin(), greedy.end(), greedy[3]) - greedy.begin());
  RequestId id = engine.add(r);
  Answer a = run_out(engine)[id];
  EXPECT_EQ(a.ids, std::vector<TokenId>(greedy.begin(), greedy.begin() + int64_t(first) + 1));
  EXPECT_EQ(a.finish, FinishReason::kStop);

  r.sampling.ignore_stop_ids = true;
  id = engine.add(r);
  EXPECT_EQ(run_out(engine)[id].ids, greedy);

  r.sampling.ignore_stop_ids = false;
  r.sampling.min_new_tokens = 12;
  id = engine.add(r);
  a = run_out(engine)[id];
  EXPECT_EQ(a.ids.size(), 12u);
  EXPECT_EQ(std::count(a.ids.begin(), a.ids.end() - 1, greedy[3]), 0);

  // A forced token is no stop, and what follows sees it.
  r.sampling.min_new_tokens = 0;
  r.forced = {greedy[3], 7};
  id = engine.add(r);
  a = run_out(engine)[id];
  ASSERT_GE(a.ids.size(), 3u);
  EXPECT_EQ(a.ids[0], greedy[3]);
  EXPECT_EQ(a.ids[1], 7);
  auto seen = r.prompt;
  seen.push_back(greedy[3]);
  seen.push_back(7);
  EXPECT_EQ(a.ids[2], naive_greedy(*m, seen, 1)[0]);

  EngineConfig c = small_config();
  c.max_model_len = 14;
  Engine narrow(*m, c);
  r = request_of(rng, 10, 100);
  id = narrow.add(r);
  a = run_out(narrow)[id];
  EXPECT_EQ(a.ids.size(), 4u);
  EXPECT_EQ(a.finish, FinishReason::kLength);
}

TEST(Engine, RefusesWhatCanNeverRun) {
  const auto m = tiny_model();
  Rng rng(17);
  EngineConfig c = small_config();
  c.num_blocks = 4;
  Engine engine(*m, c);
  const auto message = [&](const Request& r) {
    try {
      engine.add(r);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("accepted");
  };
  EXPECT_NE(message(request_of(rng, 512, 1)).find("512"), std::string::npos);
  EXPECT_NE(message(request_of(rng, 60, 10)).find("64"), std::string::npos);
  EXPECT_EQ(message(request_of(rng, 60, 4)), "accepted");
  EXPECT_NE(message({}).find("at least one token"), std::string::npos);
  Request r = request_of(rng, 4, 4);
  r.prompt[2] = kVocab;
  EXPECT_NE(message(r).find(std::to_string(kVocab)), std::string::npos);
  r.prompt[2] = -1;
  EXPECT_NE(message(r), "accepted");
  r = request_of(rng, 4, 4);
  r.forced = {kVocab + 5};
  EXPECT_NE(message(r), "accepted");
  r = request_of(rng, 4, 4);
  r.sampling.top_p = 7;
  EXPECT_NE(message(r).find("top_p"), std::string::npos);
  run_out(engine);
  EXPECT_EQ(engine.stats().free_blocks, 4);
  for (auto change : std::vector<void (*)(EngineConfig&)>{
           [](EngineConfig& e) { e.block_size = 20; }, [](EngineConfig& e) { e.max_model_len = 513; },
           [](EngineConfig& e) { e.num_blocks = 0, e.kv_cache_memory = 10; }, [](EngineConfig& e) { e.max_num_seqs = 0; }}) {
    EngineConfig bad = small_config();
    change(bad);
    EXPECT_THROW(Engine(*m, bad), Error);
  }
}

TEST(Engine, BrokenWeightsAreAnErrorAndLeaveTheEngineUsable) {
  const auto m = tiny_model();
  Rng rng(18);
  EngineConfig c = small_config();
  c.weight_update = "recompute";
  Engine engine(*m, c);
  const Request r = request_of(rng, 20, 8);
  const RequestId id = engine.add(r);
  const TokenId first = engine.step().at(0).token;
  Tensor& weight = *m->weights().back().tensor;
  const Tensor good = weight.clone();
  {
    const at::NoGradGuard no_grad;
    weight.fill_(NAN);
  }
  m->bump_version();
  EXPECT_THROW(engine.step(), Error);
  {
    const at::NoGradGuard no_grad;
    weight.copy_(good);
  }
  m->bump_version();
  auto answer = run_out(engine)[id].ids;
  answer.insert(answer.begin(), first);
  EXPECT_EQ(answer, naive_greedy(*m, r.prompt, 8));
}

}  // namespace r1::engine
