// What the engine's tests share: a tiny random model, the definition of greedy decoding, requests of all kinds.
#pragma once

#include "r1/engine/engine.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/engine/sampler.h"
#include "r1/ops/logprob.h"
#include "r1/tensor/aten.h"

namespace r1::engine {

inline namespace fixture {

constexpr int kVocab = 131;

inline model::ModelConfig tiny_config() {
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

inline std::unique_ptr<model::Transformer> model_of(const model::ModelConfig& config, uint64_t seed = 1, at::Device device = at::kCPU,
                                                    at::ScalarType dtype = at::kFloat) {
  auto m = std::make_unique<model::Transformer>(config, device, dtype);
  m->init_weights(seed);
  return m;
}

inline std::unique_ptr<model::Transformer> tiny_model(uint64_t seed = 1) {
  return model_of(tiny_config(), seed);
}

// A layer kind by its name in the config; "window" is full attention with every other layer narrow, "context_experts" are experts whose
// router carries a running mean from token to token.
inline model::ModelConfig kind_config(const std::string& kind) {
  model::ModelConfig c = tiny_config();
  if (kind == "window") {
    c.attn.window = 21, c.attn.window_pattern = 2;
    return c;
  }
  if (kind == "context_experts") {
    c.moe = {.n_routed_experts = 8, .n_shared_experts = 1, .num_experts_per_tok = 3, .moe_intermediate_size = 24};
    c.moe.gate = "context_sigmoid";
    return c;
  }
  if (kind == "mla") {
    c.family = "deepseek_v3";
    c.attention = "mla";
    c.rope_interleaved = true;
    c.num_key_value_heads = c.head_dim = 0;
    c.mla = {.q_lora_rank = 24, .kv_lora_rank = 20, .qk_nope_head_dim = 8, .qk_rope_head_dim = 8, .v_head_dim = 12};
    c.rope = {.type = "yarn", .factor = 8, .original_max_position_embeddings = 64, .mscale = 1, .mscale_all_dim = 1};
    return c;
  }
  c.attention = kind;
  if (kind == "hybrid") c.attn.window = 9, c.attn.window_max = 20;
  if (kind == "lsh") c.attn.hash_rounds = 2, c.attn.bucket_size = 8;
  if (kind == "dynamic_window") c.attn.window = 18;
  return c;
}

inline model::ModelConfig mtp_config() {
  model::ModelConfig c = tiny_config();
  c.num_nextn_predict_layers = 1;
  return c;
}

inline Tensor& weight(model::Transformer& m, const std::string& name) {
  return *model::find_weight(m.weights(), name).tensor;
}

// A chain: the next token depends on the last one only, and the module of multi-token prediction guesses the likeliest. Attention and MLPs
// add nothing, and the module hands the embedding of the token after through.
inline std::unique_ptr<model::Transformer> chain_model(at::Device device = at::kCPU) {
  auto m = model_of(mtp_config(), 3, device);
  const at::NoGradGuard no_grad;
  for (const std::string layer : {"layers.0.", "layers.1.", "layers.2."}) {
    weight(*m, layer + "attention.o").zero_();
    weight(*m, layer + "mlp.down").zero_();
  }
  Tensor& project = weight(*m, "layers.2.eh_proj");
  project.zero_();
  for (int64_t i = 0; i < project.size(0); ++i) project[i][i].fill_(1);
  // An untied direction, or every token would be its own likeliest successor.
  Tensor& norm = weight(*m, "norm");
  for (int64_t i = 0; i < norm.size(0); ++i) norm[i].fill_(i % 2 ? 1 : -1);
  weight(*m, "layers.2.shared_head_norm").copy_(norm);
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

inline Answers run_out(Engine& engine) {
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

inline EngineConfig small_config() {
  EngineConfig c;
  c.num_blocks = 400;
  return c;
}

inline EngineConfig speculating(EngineConfig c = small_config()) {
  c.num_speculative_tokens = 1;
  return c;
}

inline Tensor ids_tensor(std::vector<int64_t>& ids) {
  return aten::from_blob(ids.data(), {int64_t(ids.size())}, at::TensorOptions().dtype(at::kLong));
}

inline nn::LayerContext packed(const std::vector<std::vector<TokenId>>& sequences, std::vector<int64_t>& ids,
                               at::Device device = at::kCPU) {
  std::vector<int32_t> lengths;
  for (const auto& s : sequences) {
    ids.insert(ids.end(), s.begin(), s.end());
    lengths.push_back(int32_t(s.size()));
  }
  return {ops::sequences_of(device, lengths)};
}

// The definition: the whole sequence again for every token.
inline std::vector<TokenId> naive_greedy(model::Transformer& m, std::vector<TokenId> tokens, int count) {
  const at::NoGradGuard no_grad;
  std::vector<TokenId> made;
  for (int i = 0; i < count; ++i) {
    std::vector<int64_t> ids;
    const nn::LayerContext context = packed({tokens}, ids, m.device());
    const Tensor x_TD = m.hidden(ids_tensor(ids).to(m.device()), context);
    const Tensor logits = m.logits(x_TD.narrow(0, int64_t(ids.size()) - 1, 1)).cpu().contiguous();
    made.push_back(greedy_token(logits.const_data_ptr<float>(), kVocab));
    tokens.push_back(made.back());
  }
  return made;
}

inline Request request_of(Rng& rng, int64_t prompt, int64_t answer) {
  Request r;
  for (int64_t i = 0; i < prompt; ++i) r.prompt.push_back(TokenId(rng.below(kVocab)));
  r.sampling = {.temperature = 0, .max_new_tokens = answer, .logprobs = true};
  return r;
}

// Requests of all kinds, some with equal beginnings.
inline std::vector<Request> mixed_requests(int n) {
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

inline std::vector<Answer> answers_alone(model::Transformer& m, const std::vector<Request>& requests) {
  std::vector<Answer> answers;
  for (const Request& r : requests) {
    Engine engine(m, small_config());
    const RequestId id = engine.add(r);
    answers.push_back(run_out(engine)[id]);
  }
  return answers;
}

inline EngineStats expect_same(model::Transformer& m, const std::vector<Request>& requests, const std::vector<Answer>& expected,
                               const EngineConfig& config) {
  Engine engine(m, config);
  std::vector<RequestId> ids;
  for (const Request& r : requests) ids.push_back(engine.add(r));
  Answers answers = run_out(engine);
  for (size_t i = 0; i < requests.size(); ++i) EXPECT_TRUE(answers[ids[i]] == expected[i]) << "request " << i;
  EXPECT_EQ(engine.stats().free_blocks, engine.stats().total_blocks);
  return engine.stats();
}

}  // namespace fixture

}  // namespace r1::engine
