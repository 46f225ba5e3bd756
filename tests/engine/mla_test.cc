// The engine over latent attention, exact (the trainer's bits) and absorbed: greedy text of the full forward, and the promises of invariant
// mode in either form.
#include "tests/engine/fixture.h"

namespace r1::engine {

inline namespace {

EngineConfig config_of(bool exact) {
  EngineConfig c = small_config();
  c.exact = exact;
  return c;
}

}  // namespace

TEST(EngineMla, GreedyTextIsTheFullForwards) {
  const auto m = model_of(kind_config("mla"));
  Rng rng(3);
  for (const bool exact : {true, false}) {
    Engine engine(*m, config_of(exact));
    std::map<RequestId, Request> requests;
    for (const int64_t prompt : {1, 15, 16, 90}) {
      const Request r = request_of(rng, prompt, 20);
      requests[engine.add(r)] = r;
    }
    for (const auto& [id, answer] : run_out(engine)) EXPECT_EQ(answer.ids, naive_greedy(*m, requests[id].prompt, 20)) << exact;
  }
}

TEST(EngineMla, InvariantInEitherForm) {
  const auto m = model_of(kind_config("mla"));
  const auto requests = mixed_requests(32);
  for (const bool exact : {true, false}) {
    std::vector<Answer> alone;
    for (const Request& r : requests) {
      Engine engine(*m, config_of(exact));
      const RequestId id = engine.add(r);
      alone.push_back(run_out(engine)[id]);
    }
    for (const int64_t budget : {7, 100000}) {
      EngineConfig c = config_of(exact);
      c.max_num_batched_tokens = budget;
      expect_same(*m, requests, alone, c);
    }
    EngineConfig tight = config_of(exact);
    tight.num_blocks = 12;
    EXPECT_GT(expect_same(*m, requests, alone, tight).preemptions, 0);
    EngineConfig plain = config_of(exact);
    plain.enable_prefix_caching = false;
    EXPECT_EQ(expect_same(*m, requests, alone, plain).prefix_hit_tokens, 0);
    EngineConfig wide = config_of(exact);
    wide.block_size = 32;
    wide.max_num_seqs = 5;
    EXPECT_GT(expect_same(*m, requests, alone, wide).prefix_hit_tokens, 0);
  }
}

// Exact: the log-probabilities of sampling are bit for bit those of training; absorbed: near.
TEST(EngineMla, RolloutLogprobsAgainstTraining) {
  const auto m = model_of(kind_config("mla"));
  for (const bool exact : {true, false}) {
    Engine engine(*m, config_of(exact));
    Rng rng(9);
    Request r = request_of(rng, 40, 60);
    r.sampling.temperature = 1;
    const RequestId id = engine.add(r);
    const Answer answer = run_out(engine)[id];
    std::vector<TokenId> tokens = r.prompt;
    tokens.insert(tokens.end(), answer.ids.begin(), answer.ids.end());
    std::vector<int64_t> ids, targets(tokens.begin() + 1, tokens.end());
    targets.push_back(-1);
    const at::NoGradGuard no_grad;
    const nn::LayerContext context = packed({tokens}, ids);
    const Tensor logprobs = ops::linear_logprob(m->hidden(ids_tensor(ids), context), m->head(), ids_tensor(targets)).logprob_T;
    int same = 0;
    for (size_t i = 0; i < answer.ids.size(); ++i) {
      const float trained = logprobs.const_data_ptr<float>()[r.prompt.size() - 1 + i];
      same += trained == answer.logprobs[i];
      EXPECT_NEAR(trained, answer.logprobs[i], 1e-4);
    }
    if (exact)
      EXPECT_EQ(same, 60);
    else
      EXPECT_LT(same, 60);
  }
}

}  // namespace r1::engine
