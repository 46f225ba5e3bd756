// The engine knows no layer by name: with every variant of attention its greedy tokens are those of the whole forward, in any batch, chunk
// and cache.
#include "tests/engine/fixture.h"

namespace r1::engine {

namespace {

std::unique_ptr<model::Transformer> variant(const std::string& attention) {
  model::ModelConfig c = tiny_config();
  c.attention = attention;
  if (attention == "full") c.attn.window = 21, c.attn.window_pattern = 2;
  if (attention == "hybrid") c.attn.window = 9, c.attn.window_max = 20;
  if (attention == "lsh") c.attn.hash_rounds = 2, c.attn.bucket_size = 8;
  if (attention == "dynamic_window") c.attn.window = 18;
  auto m = std::make_unique<model::Transformer>(c, at::kCPU, at::kFloat);
  m->init_weights(1);
  return m;
}

}  // namespace

TEST(Engine, EveryAttentionGeneratesWhatItsForwardSays) {
  for (const char* attention : {"full", "blockwise", "hybrid", "lsh", "dynamic_window"}) {
    const auto m = variant(attention);
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
