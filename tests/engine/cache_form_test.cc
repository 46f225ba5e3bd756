// Caches that are kept otherwise than plain: as another type (int8 above all), and of the first and last tokens alone. What is said then does not
// depend on batch, chunk, prefix hits, preemption or guesses, any more than with a plain cache; it is what the definition says; and a window
// bounds the blocks that a sequence holds.
#include "tests/engine/fixture.h"

#include <cmath>

#include "r1/model/footprint.h"
#include "tests/message_of.h"

namespace r1::engine {

namespace {

EngineConfig kept_as(const std::string& dtype, int64_t window = 0, int64_t sinks = 4) {
  EngineConfig c = small_config();
  c.kv_cache_dtype = dtype, c.attention_window = window, c.attention_sink_tokens = sinks;
  return c;
}

// int8, and windows smaller and larger than the prompts; both.
std::vector<EngineConfig> forms() {
  return {kept_as("int8"), kept_as("int4"), kept_as("bfloat16"), kept_as("auto", 20), kept_as("auto", 33, 0), kept_as("int8", 48, 20)};
}

std::string name_of(const EngineConfig& c) {
  return str(c.kv_cache_dtype, ", window ", c.attention_window, ", sinks ", c.attention_sink_tokens);
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

// Logits [rows, V] of a whole sequence at once by the definition: the model in fp64, whose attention is masked dense attention over all tokens.
Tensor defined_logits(model::Transformer& m64, const std::vector<TokenId>& tokens, const ops::CacheForm& form) {
  const at::NoGradGuard no_grad;
  const int32_t blocks = int32_t(tokens.size() + 15) / 16;
  ops::Sequences s{.cu_seqlens = {0, int32_t(tokens.size())}, .context_lens = {0}, .block_tables = {{}}};
  s.cache_type = form.type, s.kept_first = form.kept_first, s.kept_last = form.kept_last;
  for (int32_t b = 0; b < blocks; ++b) s.block_tables[0].push_back(b);
  std::vector<nn::LayerCache> caches;
  for (int i = 0; i < m64.num_caches(); ++i) caches.push_back(aten::full({blocks, m64.cache_bytes(i, form)}, 0xFF, at::kByte));
  std::vector<int64_t> ids(tokens.begin(), tokens.end());
  return m64.logits(m64.hidden(ids_tensor(ids), {ops::sequences_on(at::kCPU, s)}, &caches));
}

std::unique_ptr<model::Transformer> in_fp64(model::Transformer& m) {
  auto wide = std::make_unique<model::Transformer>(m.config(), at::kCPU, at::kDouble);
  const at::NoGradGuard no_grad;
  for (const model::WeightRow& row : m.weights()) weight(*wide, row.name).copy_(*row.tensor);
  return wide;
}

// Keys that are mostly bias, as Qwen2's are.
std::unique_ptr<model::Transformer> biased_model() {
  model::ModelConfig c = tiny_config();
  c.attention_bias = true;
  auto m = model_of(c);
  const at::NoGradGuard no_grad;
  for (const std::string layer : {"layers.0.", "layers.1."}) {
    Tensor& bias = weight(*m, layer + "attention.k_bias");
    for (int64_t i = 0; i < bias.size(0); ++i) bias[i].fill_(i % 5 == 0 ? 150.0 : 3.0);
  }
  return m;
}

}  // namespace

TEST(CacheForm, AnswersAreWhatTheDefinitionSays) {
  for (const char* kind : {"full", "window", "hybrid", "dynamic_window", "mla", "biased"}) {
    const std::string name = kind;
    const auto m = name == "full" ? tiny_model() : name == "biased" ? biased_model() : model_of(kind_config(kind));
    const auto wide = in_fp64(*m);
    for (EngineConfig c : forms()) {
      c.max_num_batched_tokens = 13;
      Engine engine(*m, c);
      Rng rng(5);
      for (const int64_t prompt : {1, 30, 90}) {
        const Request r = request_of(rng, prompt, 40);
        const RequestId id = engine.add(r);
        const Answer answer = run_out(engine)[id];
        std::vector<TokenId> all = r.prompt;
        all.insert(all.end(), answer.ids.begin(), answer.ids.end());
        ASSERT_EQ(all.size(), size_t(prompt + 40));
        const Tensor logits = defined_logits(*wide, all, cache_form(c)), logprobs = logits - aten::logsumexp(logits, {1}, true);
        for (int64_t i = 0; i < 40; ++i) {
          const double said = logprobs[prompt + i - 1][answer.ids[size_t(i)]].item<double>();
          // Rounding is a step: what differs in the last bit of fp32 may end on its other side. Scores of large keys have fewer bits to spare.
          const double near = c.kv_cache_dtype != "auto" ? 2e-2 : name == "biased" ? 2e-3 : 2e-4;
          ASSERT_NEAR(answer.logprobs[size_t(i)], said, near) << kind << " " << name_of(c) << " " << i;
          ASSERT_NEAR(said, logprobs[prompt + i - 1].max().item<double>(), 2e-2) << kind << " " << name_of(c) << " token " << i;
        }
      }
    }
  }
}

// Every kind of layer, alone and in any company; the plain kind in all forms.
TEST(CacheForm, InvariantInAnyBatchChunkAndCache) {
  for (const char* kind : {"full", "window", "blockwise", "hybrid", "dynamic_window", "context_experts", "mla", "biased"}) {
    const bool full = std::string(kind) == "full", biased = std::string(kind) == "biased";
    const auto m = full ? tiny_model() : biased ? biased_model() : model_of(kind_config(kind));
    const auto requests = mixed_requests(full ? 16 : 6);
    int64_t preemptions = 0;
    for (const EngineConfig& form :
         full ? forms() : std::vector<EngineConfig>{kept_as(biased ? "int4" : "int8"), kept_as(biased ? "int4" : "int8", 20)}) {
      SCOPED_TRACE(str(kind, ", ", name_of(form)));
      const auto alone = answers_of_each(*m, requests, form);
      EngineConfig chunks = form;
      chunks.max_num_batched_tokens = full ? 1 : 7;
      expect_same(*m, requests, alone, chunks);
      EngineConfig tight = form;
      tight.num_blocks = form.attention_window > 0 ? 8 : 12;
      tight.max_num_batched_tokens = 33;
      preemptions += expect_same(*m, requests, alone, tight).preemptions;
      EngineConfig few = form;
      few.max_num_seqs = 3;
      EXPECT_GT(expect_same(*m, requests, alone, few).prefix_hit_tokens, 0);
      few.enable_prefix_caching = false;
      few.block_size = 32;
      expect_same(*m, requests, alone, few);
    }
    EXPECT_GT(preemptions, 0) << kind;
  }
}

TEST(CacheForm, GroupsShareAndCopy) {
  const auto m = tiny_model();
  Rng rng(12);
  for (const EngineConfig& form : {kept_as("int8"), kept_as("auto", 20)}) {
    Request r = request_of(rng, 37, 40);
    r.sampling.temperature = 1;
    EngineConfig c = form;
    c.max_num_batched_tokens = 12;
    Engine engine(*m, c);
    const auto ids = engine.add_group(r, 6);
    Answers answers = run_out(engine);
    for (int i = 0; i < 6; ++i) {
      Request one = r;
      one.sample_index = i;
      EXPECT_TRUE(answers_of_each(*m, {one}, form)[0] == answers[ids[size_t(i)]]) << name_of(form) << " sample " << i;
    }
    EXPECT_EQ(engine.stats().free_blocks, engine.stats().total_blocks);
  }
}

TEST(CacheForm, GuessesChangeNothing) {
  for (const bool by_model : {true, false}) {
    const auto m = by_model ? chain_model() : tiny_model();
    const auto requests = mixed_requests(12);
    for (const EngineConfig& form : {kept_as("int8"), kept_as("auto", 20), kept_as("int8", 48, 20)}) {
      SCOPED_TRACE(name_of(form));
      const auto alone = answers_of_each(*m, requests, form);
      EngineConfig c = form;
      c.num_speculative_tokens = by_model ? 1 : 4;
      c.speculation = by_model ? "mtp" : "ngram";
      const EngineStats stats = expect_same(*m, requests, alone, c);
      if (by_model) {
        EXPECT_GT(stats.accepted_draft_tokens, 30);
      }
      c.num_blocks = 14, c.max_num_batched_tokens = 13;
      expect_same(*m, requests, alone, c);
    }
  }
}

// The smallest of tests that a window is a window: of a model whose own layers have it, the engine says the same without being told.
TEST(CacheForm, AWindowWithoutSinksIsThatOfALayer) {
  model::ModelConfig windowed = tiny_config();
  windowed.attn.window = 24;
  const auto plain = tiny_model(), narrow = model_of(windowed);
  Rng rng(3);
  const Request r = request_of(rng, 50, 60);
  EXPECT_TRUE(answers_of_each(*plain, {r}, kept_as("auto", 24, 0)) == answers_of_each(*narrow, {r}, small_config()));
  EXPECT_TRUE(answers_of_each(*narrow, {r}, kept_as("auto", 30, 8)) == answers_of_each(*narrow, {r}, small_config()))
      << "the smaller counts";
  EXPECT_FALSE(answers_of_each(*plain, {r}, kept_as("auto", 24, 0)) == answers_of_each(*plain, {r}, small_config()));
  EXPECT_TRUE(answers_of_each(*plain, {r}, kept_as("auto", 110)) == answers_of_each(*plain, {r}, small_config())) << "all is seen";
}

TEST(CacheForm, AWindowBoundsWhatASequenceHolds) {
  const auto m = tiny_model();
  EngineConfig c = kept_as("auto", 40);
  c.max_num_batched_tokens = 32;
  const int64_t bound = (4 + 40 + 32) / 16 + 3;
  Engine engine(*m, c);
  Rng rng(8);
  for (const auto& [prompt, answer] : std::vector<std::pair<int64_t, int64_t>>{{10, 480}, {400, 100}}) {
    engine.add(request_of(rng, prompt, answer));
    int64_t most = 0, steps = 0;
    while (!engine.idle()) {
      engine.step();
      ++steps;
      const EngineStats stats = engine.stats();
      most = std::max(most, stats.total_blocks - stats.free_blocks);
    }
    EXPECT_GE(steps, answer);
    EXPECT_LE(most, bound) << prompt;
    EXPECT_GE(most, 3);
    EXPECT_EQ(engine.stats().free_blocks, engine.stats().total_blocks);
  }
}

// A text far longer than the cache, and several of them; as in a cache that holds it all.
TEST(CacheForm, TextsLongerThanTheCache) {
  const auto m = tiny_model();
  std::vector<Request> requests;
  Rng rng(9);
  for (int i = 0; i < 5; ++i) requests.push_back(request_of(rng, 60 + 90 * i, 50));
  const EngineConfig roomy = kept_as("auto", 40);
  const auto alone = answers_of_each(*m, requests, roomy);
  for (const int64_t blocks : {6, 8, 13}) {
    EngineConfig tight = roomy;
    tight.num_blocks = blocks;
    tight.max_num_batched_tokens = 64;
    expect_same(*m, requests, alone, tight);
  }
  EngineConfig none = roomy;
  none.num_blocks = 5;
  Engine engine(*m, none);
  EXPECT_NE(message_of([&] { engine.add(requests[4]); }).find("too few for the window"), std::string::npos);
}

// Middle blocks go back while their prompt's end is still in use, and are written over by others: whoever comes next finds what is left of the
// prefix, or nothing, and says the same.
TEST(CacheForm, PrefixesOutliveTheirMiddle) {
  const auto m = tiny_model();
  EngineConfig c = kept_as("auto", 20);
  c.num_blocks = 16;
  Rng rng(10);
  const Request common = request_of(rng, 150, 12);
  std::vector<Request> requests;
  for (int i = 0; i < 12; ++i) {
    Request r = common;
    r.prompt.resize(size_t(rng.between(100, 150)));
    if (i % 3 == 1) r = request_of(rng, 120, 12);
    requests.push_back(r);
  }
  const auto alone = answers_of_each(*m, requests, kept_as("auto", 20));
  Engine engine(*m, c);
  for (int round = 0; round < 2; ++round)
    for (size_t i = 0; i < requests.size(); ++i) {
      const RequestId id = engine.add(requests[i]);
      EXPECT_TRUE(run_out(engine)[id] == alone[i]) << "round " << round << " request " << i;
      EXPECT_EQ(engine.stats().free_blocks, engine.stats().total_blocks);
    }
  EXPECT_GT(engine.stats().prefix_hit_tokens, 0);
}

// Teacher-forced: the log-probabilities of the same text from both caches, and how far they are apart: at most, on average.
std::pair<double, double> apart(model::Transformer& m, const EngineConfig& form) {
  Rng rng(4);
  Request r = request_of(rng, 60, 100);
  const Answer plain = answers_of_each(m, {r}, small_config())[0];
  r.forced = plain.ids;
  double most = 0, sum = 0;
  const Answer packed = answers_of_each(m, {r}, form)[0];
  EXPECT_EQ(packed.ids, plain.ids);
  for (size_t i = 0; i < plain.ids.size(); ++i) {
    const double apart = std::abs(packed.logprobs[i] - plain.logprobs[i]);
    most = std::max(most, apart), sum += apart;
  }
  return {most, sum / 100};
}
TEST(CacheForm, WholeNumbersAreNearTheModelsOwn) {
  const auto m = tiny_model(), biased = biased_model();
  const auto eight = apart(*m, kept_as("int8")), four = apart(*m, kept_as("int4"));
  EXPECT_LT(eight.first, 0.25);
  EXPECT_LT(eight.second, 0.03);
  EXPECT_GT(eight.second, 0);
  EXPECT_LT(four.second, 0.4);
  EXPECT_GT(four.second, eight.second);
  // Without its bias a key has all 16 steps for what is left.
  EXPECT_LT(apart(*biased, kept_as("int4")).second, 0.4);
}

TEST(CacheForm, BytesOfAToken) {
  const auto m = tiny_model();  // 2 layers, 2 key heads of 16
  const auto bytes = [&](const EngineConfig& c) { return Engine(*m, c).stats().cache_bytes_per_token; };
  EXPECT_EQ(bytes(small_config()), 2 * 2 * 2 * 16 * 4);
  EXPECT_EQ(bytes(kept_as("float32")), 2 * 2 * 2 * 16 * 4);
  EXPECT_EQ(bytes(kept_as("bfloat16")), 2 * 2 * 2 * 16 * 2);
  EXPECT_EQ(bytes(kept_as("int8")), 2 * 2 * 2 * (16 + 4));
  EXPECT_EQ(bytes(kept_as("int4")), 2 * 2 * (8 + 16 + 2 * 4));  // keys and values of 16 in half a byte each; values fill whole groups
  EXPECT_EQ(bytes(kept_as("int8")), model::footprint(tiny_config(), at::kFloat, {16, ops::CacheType::kInt8}).cache_bytes_per_token);
  // In the same memory there are as many more blocks.
  EngineConfig plain, packed = plain;
  plain.kv_cache_memory = packed.kv_cache_memory = 1 << 20;
  packed.kv_cache_dtype = "int8";
  EXPECT_EQ(Engine(*m, plain).stats().total_blocks, (1 << 20) / (512 * 16));
  EXPECT_EQ(Engine(*m, packed).stats().total_blocks, (1 << 20) / (160 * 16));
}

TEST(CacheForm, LayersThatHaveNoSuchCacheSaySo) {
  const auto m = model_of(kind_config("lsh"));
  EXPECT_NE(message_of([&] { Engine(*m, kept_as("int8")); }).find("kv_cache_dtype"), std::string::npos);
  EXPECT_NE(message_of([&] { Engine(*m, kept_as("auto", 32)); }).find("attention_window"), std::string::npos);
  EXPECT_NO_THROW(Engine(*m, kept_as("float32"))) << "what the model has anyway";
}

}  // namespace r1::engine
