// The engine knows no layer by name: with every variant of attention its greedy tokens are those of the whole forward, in any batch, chunk
// and cache.
#include "tests/engine/fixture.h"

namespace r1::engine {

TEST(Engine, EveryAttentionGeneratesWhatItsForwardSays) {
  for (const char* attention : {"window", "blockwise", "hybrid", "lsh", "dynamic_window"}) {
    const auto m = model_of(kind_config(attention));
    Rng rng(5);
    Engine engine(*m, small_config());
    for (const int64_t prompt : {1, 17, 70}) {
      const Request r = request_of(rng, prompt, 20);
      const RequestId id = engine.add(r);
      EXPECT_EQ(run_out(engine)[id].ids, naive_greedy(*m, r.prompt, 20)) << attention << " prompt " << prompt;
    }
    const auto requests = mixed_requests(16);
    const auto alone = answers_alone(*m, requests);
    EngineConfig tight = small_config();
    tight.num_blocks = 12;
    tight.max_num_batched_tokens = 33;
    EXPECT_GT(expect_same(*m, requests, alone, tight).preemptions, 0) << attention;
    expect_same(*m, requests, alone, small_config());
    EngineConfig few = small_config();  // who comes later finds the prefixes of those who were first
    few.max_num_seqs = 5;
    EXPECT_GT(expect_same(*m, requests, alone, few).prefix_hit_tokens, 0) << attention;
  }
}

}  // namespace r1::engine
