// Speculation by multi-token prediction: the same tokens and log-probabilities, bit for bit, as decoding token by token, whatever the
// guesses are worth; the same distribution; fewer steps where they are right.
#include "tests/engine/fixture.h"

#include <cmath>

namespace r1::engine {

TEST(Speculation, SameAnswersBitForBitInAnySchedule) {
  for (const bool chain : {false, true}) {
    const auto m = chain ? chain_model() : model_of(mtp_config(), 5);
    const std::vector<Request> requests = mixed_requests(40);
    const std::vector<Answer> expected = answers_alone(*m, requests);
    EngineConfig small = small_config(), narrow = small_config();
    small.num_blocks = 24;  // preemption
    narrow.max_num_batched_tokens = 13;
    narrow.max_num_seqs = 5;
    int64_t accepted = 0, preemptions = 0;
    for (const EngineConfig& c : {small_config(), small, narrow}) {
      const EngineStats stats = expect_same(*m, requests, expected, speculating(c));
      accepted += stats.accepted_draft_tokens;
      preemptions += stats.preemptions;
      EXPECT_LE(stats.accepted_draft_tokens, stats.draft_tokens);
    }
    EXPECT_GT(preemptions, 0);
    if (chain) {
      EXPECT_GT(accepted, 300);
    }
  }
}

TEST(Speculation, GroupsAndStopsAreTheSame) {
  const auto m = chain_model();
  Rng rng(3);
  Request r = request_of(rng, 37, 25);
  r.sampling.temperature = 0.4;
  r.sampling.stop_ids = {3, 50, 51};
  Answers plain, guessed;
  {
    Engine engine(*m, small_config());
    engine.add_group(r, 16);
    plain = run_out(engine);
  }
  Engine engine(*m, speculating());
  engine.add_group(r, 16);
  guessed = run_out(engine);
  EXPECT_TRUE(plain == guessed);
  EXPECT_GT(engine.stats().accepted_draft_tokens, 0);
}

// A step that makes two tokens of a request gives out the first only, if that one ends it.
TEST(Speculation, NothingFollowsACancelInTheMiddleOfAStep) {
  const auto m = chain_model();
  Request r;
  r.prompt = {5};
  r.sampling = {.temperature = 0, .max_new_tokens = 20};
  for (const int last : {1, 2, 3, 4, 5}) {
    Engine engine(*m, speculating());
    int heard = 0;
    engine.add(r, [&](const TokenEvent& e) {
      if (++heard == last) engine.cancel(e.request);
    });
    run_out(engine);
    EXPECT_EQ(heard, last);
    EXPECT_EQ(engine.stats().free_blocks, engine.stats().total_blocks);
  }
}

TEST(Speculation, RightGuessesSaveSteps) {
  const auto m = chain_model();
  Rng rng(3);
  const Request r = request_of(rng, 10, 60);
  Engine plain(*m, small_config()), guessing(*m, speculating());
  plain.add(r);
  guessing.add(r);
  EXPECT_TRUE(run_out(plain).begin()->second == run_out(guessing).begin()->second);
  EXPECT_EQ(plain.stats().steps, 60);
  EXPECT_LE(guessing.stats().steps, 32);  // the module guesses the likeliest token, which greedy decoding takes
  EXPECT_EQ(guessing.stats().accepted_draft_tokens, guessing.stats().generated_tokens - guessing.stats().steps);
}

// The second token is drawn after a guess in a good part of the cases: over many seeds, the pairs must come as often as the model says.
TEST(Speculation, TheDistributionIsTheModels) {
  const auto m = chain_model();
  const at::NoGradGuard no_grad;
  constexpr int kSamples = 6000;
  constexpr TokenId kFirst = 17;
  const auto probabilities = [&](TokenId token) {
    std::vector<int64_t> ids;
    const nn::LayerContext context = packed({{token}}, ids);
    return (m->logits(m->hidden(ids_tensor(ids), context))[0] / 0.7).softmax(0);
  };
  Engine engine(*m, speculating());
  std::map<TokenId, std::map<TokenId, int>> pairs;  // by second token
  std::map<RequestId, std::vector<TokenId>> answers;
  for (int i = 0; i < kSamples; ++i) {
    Request r{.prompt = {kFirst}, .sampling = {.temperature = 0.7, .seed = uint64_t(i), .max_new_tokens = 3}};
    engine.add(r);
  }
  while (!engine.idle())
    for (const TokenEvent& e : engine.step()) answers[e.request].push_back(e.token);
  for (const auto& [id, tokens] : answers) ++pairs[tokens.at(1)][tokens.at(2)];
  EXPECT_GT(engine.stats().accepted_draft_tokens, kSamples / 20);
  EXPECT_LT(engine.stats().accepted_draft_tokens, kSamples);  // not all: else refusals would not be tested
  // Pearson's chi-square of the third token given the second, cells of at least 5 expected, the rest of a row in one cell.
  double chi = 0;
  int freedom = 0;
  for (const auto& [second, thirds] : pairs) {
    int n = 0;
    for (const auto& [third, count] : thirds) n += count;
    const Tensor p = probabilities(second).contiguous();
    double rest_expected = 0, rest_seen = 0;
    int cells = 0;
    for (TokenId t = 0; t < kVocab; ++t) {
      const double expected = n * double(p.const_data_ptr<float>()[t]);
      const auto seen = thirds.find(t);
      const double count = seen == thirds.end() ? 0 : seen->second;
      if (expected < 5) {
        rest_expected += expected;
        rest_seen += count;
        continue;
      }
      chi += (count - expected) * (count - expected) / expected;
      ++cells;
    }
    if (rest_expected >= 5) {
      chi += (rest_seen - rest_expected) * (rest_seen - rest_expected) / rest_expected;
      ++cells;
    }
    freedom += std::max(0, cells - 1);
  }
  ASSERT_GT(freedom, 50);
  const double z = (chi - freedom) / std::sqrt(2.0 * freedom);  // about normal
  EXPECT_LT(std::abs(z), 4.0) << "chi-square " << chi << " with " << freedom << " degrees of freedom";
}

TEST(Speculation, NeedsAModelThatHasIt) {
  const auto m = tiny_model();
  EXPECT_THROW(Engine(*m, speculating()), Error);
}

}  // namespace r1::engine
