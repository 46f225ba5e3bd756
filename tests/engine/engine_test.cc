// The engine on a tiny random model against plain greedy decoding that recomputes everything: stops, weights, groups, cancelling, errors.
#include "tests/engine/fixture.h"

namespace r1::engine {

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

// Fault R1: the log-probabilities of the rollout are those of the training forward, to the bit.
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
    if (rule == "recompute") {
      EXPECT_EQ(rest.ids, naive_greedy(*other, so_far, 6));
    }
    // What was cached under two weight versions must not serve anybody else.
    const RequestId again = engine.add(r);
    EXPECT_EQ(run_out(engine)[again].ids, naive_greedy(*other, r.prompt, 10));
  }
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

// Fault S7 (docs/faults.md): prompts that differ in one token, again and again through the prefix cache under memory pressure; every answer is what the prompt
// alone gives.
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

  r.sampling.stop_ids.clear();
  id = engine.add(r);
  EXPECT_EQ(run_out(engine)[id].ids, greedy);

  r.sampling.stop_ids = {greedy[3]};
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

TEST(Engine, TokensGoToTheirSinkAndTheRestIsReturned) {
  const auto m = tiny_model();
  Rng rng(4);
  const Request a = request_of(rng, 5, 8), b = request_of(rng, 7, 12), c = request_of(rng, 3, 10);
  const std::vector<Answer> alone = answers_alone(*m, {a, b, c});
  Engine engine(*m, small_config());
  Answers heard;
  const auto hear = [&](const TokenEvent& e) {
    Answer& answer = heard[e.request];
    answer.ids.push_back(e.token);
    answer.logprobs.push_back(e.logprob);
    answer.finish = e.finish;
  };
  const RequestId sunk = engine.add(a, hear), polled = engine.add(b);
  const std::vector<RequestId> group = engine.add_group(c, 2, hear);
  const Answers returned = run_out(engine);
  ASSERT_EQ(returned.size(), 1u);
  EXPECT_TRUE(returned.at(polled) == alone[1]);
  ASSERT_EQ(heard.size(), 3u);
  EXPECT_TRUE(heard[sunk] == alone[0]);
  EXPECT_TRUE(heard[group[0]] == alone[2]);
}

TEST(Engine, ASinkMayAddAndCancelButNotStep) {
  const auto m = tiny_model();
  Rng rng(5);
  const Request r = request_of(rng, 6, 20);
  Engine engine(*m, small_config());
  std::vector<RequestId> ids;
  std::map<RequestId, int> tokens;
  RequestId added = 0;
  // Whoever hears first cancels everybody, itself too, and asks for something new: no token of the step reaches the others.
  const auto hear = [&](const TokenEvent& e) {
    ++tokens[e.request];
    for (const RequestId id : ids) engine.cancel(id);
    added = engine.add(r, [&](const TokenEvent& next) { ++tokens[next.request]; });
  };
  ids = {engine.add(r, hear), engine.add(r, hear), engine.add(r)};
  EXPECT_TRUE(engine.step().empty());
  EXPECT_EQ(tokens.size(), 1u);
  EXPECT_TRUE(run_out(engine).empty());
  EXPECT_EQ(tokens.size(), 2u);
  EXPECT_EQ(tokens[added], 20);

  // What a sink throws comes out once everybody has had the step's tokens.
  int others = 0;
  const RequestId bad = engine.add(r, [](const TokenEvent&) { fail("no more"); });
  engine.add(r, [&](const TokenEvent&) { ++others; });
  EXPECT_THROW(engine.step(), Error);
  EXPECT_EQ(others, 1);
  engine.cancel(bad);
  run_out(engine);
  EXPECT_EQ(others, 20);
  std::string refused;
  engine.add(r, [&](const TokenEvent&) {
    try {
      engine.step();
    } catch (const Error& error) {
      refused = error.what();
    }
  });
  engine.step();
  EXPECT_NE(refused.find("not step"), std::string::npos);
  run_out(engine);
  EXPECT_EQ(engine.stats().free_blocks, engine.stats().total_blocks);
}

// Equal ids whose contents differ share nothing from the first such token on; the same content is found again.
TEST(Engine, PrefixesAreSharedOnlyOfTheSameContent) {
  const auto m = model_of(tiny_config());
  Engine engine(*m, small_config());
  Rng rng(3);
  Request request = request_of(rng, 64, 1);
  const auto hits_of = [&](std::vector<ContentSpan> contents) {
    const int64_t before = engine.stats().prefix_hit_tokens;
    request.contents = std::move(contents);
    engine.add(request);
    run_out(engine);
    return engine.stats().prefix_hit_tokens - before;
  };
  EXPECT_EQ(hits_of({}), 0);
  EXPECT_EQ(hits_of({}), 48);
  const ContentSpan image{.first = 20, .tokens = 10, .hash = {1, 2}};
  EXPECT_EQ(hits_of({image}), 16) << "the block before the image";
  EXPECT_EQ(hits_of({image}), 48);
  EXPECT_EQ(hits_of({{.first = 20, .tokens = 10, .hash = {1, 3}}}), 16);
  EXPECT_EQ(hits_of({{.first = 21, .tokens = 10, .hash = {1, 2}}}), 16);
  for (const ContentSpan& wrong : {ContentSpan{.first = 60, .tokens = 5}, ContentSpan{.first = -1, .tokens = 5}, ContentSpan{.first = 3}}) {
    request.contents = {wrong};
    EXPECT_THROW(engine.add(request), Error);
  }
  request.contents = {image, image};
  EXPECT_THROW(engine.add(request), Error);
}

TEST(Engine, TheCacheTakesAShareOfAGpu) {
  EngineConfig c;
  EXPECT_EQ(cache_memory(c, std::nullopt), int64_t{1} << 30);
  EXPECT_EQ(cache_memory(c, 1000), 900);
  c.gpu_memory_utilization = 0.3;
  EXPECT_EQ(cache_memory(c, 1000), 300);
  c.kv_cache_memory = 77;
  EXPECT_EQ(cache_memory(c, 1000), 77);
  EXPECT_EQ(cache_memory(c, std::nullopt), 77);
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

// A published cache of prefixes evicts somebody on every update, even of what it has already. Here a prompt that comes again costs nobody his place,
// however often, and makes its own the youngest: when there is a new one, the oldest goes, and one alone.
TEST(Engine, AKnownPrefixEvictsNobodyAndIsTheYoungest) {
  const auto m = tiny_model();
  EngineConfig c;
  c.num_blocks = 3 * 3 + 1;  // three prompts of three blocks, and the one that the last token is computed in again
  Engine engine(*m, c);
  Rng rng(3);
  std::vector<Request> prompts;
  for (int i = 0; i < 4; ++i) prompts.push_back(request_of(rng, 48, 1));
  const auto hits = [&](int i) {
    const int64_t before = engine.stats().prefix_hit_tokens;
    engine.add(prompts[size_t(i)]);
    run_out(engine);
    return engine.stats().prefix_hit_tokens - before;
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(hits(i), 0);
  for (int again = 0; again < 10; ++again) EXPECT_EQ(hits(0), 32) << "the last token is always computed, with its block";
  EXPECT_EQ(hits(1), 32);
  EXPECT_EQ(hits(2), 32);
  EXPECT_EQ(hits(0), 32);  // now 1 is the oldest
  EXPECT_EQ(hits(3), 0);
  EXPECT_EQ(hits(0), 32);
  EXPECT_EQ(hits(2), 32);
  EXPECT_LT(hits(1), 32);
}

}  // namespace r1::engine
