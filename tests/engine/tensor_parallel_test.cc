// The engine on ranks that share a model's layers: each runs the same requests, and gets the answers of one process.
#include "r1/dist/group.h"
#include "tests/dist/processes.h"
#include "tests/engine/fixture.h"

namespace r1::engine {
namespace {

using dist::AddScenario;
using dist::Ranks;

std::vector<std::vector<TokenId>> greedy_answers(const std::string& kind, dist::Group* ranks) {
  model::ModelConfig config = kind == "full" ? tiny_config() : kind_config(kind);
  config.vocab_size = kVocab + 1;  // which ranks can share out
  model::Transformer m(config, at::kCPU, at::kFloat, model::Allocation::kAtOnce, ranks);
  m.init_weights(1);
  Engine engine(m, small_config());
  Rng rng(4);
  std::vector<RequestId> ids;
  for (int i = 0; i < 6; ++i) ids.push_back(engine.add(request_of(rng, 1 + 9 * i, 16)));
  Answers answers = run_out(engine);
  std::vector<std::vector<TokenId>> out;
  for (const RequestId id : ids) out.push_back(answers[id].ids);
  return out;
}

SCENARIO(greedy_on_ranks) {
  dist::in_group(ranks, {.timeout = 60}, [](dist::Group& group) {
    for (const char* kind : {"full", "window", "mla", "context_experts", "hybrid"})
      EXPECT_EQ(greedy_answers(kind, &group), greedy_answers(kind, nullptr)) << kind << " on " << group.size() << " ranks";
  });
}

TEST(TensorParallel, EveryRankGetsTheAnswersOfOneProcess) {
  for (const int64_t size : {2, 4}) {
    const dist::Outcome outcome = dist::run_ranks("greedy_on_ranks", size);
    EXPECT_EQ(outcome.code, 0) << outcome.said;
    EXPECT_FALSE(outcome.left_behind);
  }
}

}  // namespace
}  // namespace r1::engine
