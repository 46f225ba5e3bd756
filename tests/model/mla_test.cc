// Latent attention in the network: the engine's two forms against training, and configs that make no sense.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/model/footprint.h"
#include "r1/model/presets.h"
#include "r1/model/weights_io.h"
#include "r1/tensor/aten.h"
#include "tiny_model.h"

namespace r1::model {
namespace {

std::vector<ModelConfig> shapes() {
  std::vector<ModelConfig> configs(4, tiny("deepseek_v3"));
  configs[1].mla = {.q_lora_rank = 0, .kv_lora_rank = 20, .qk_nope_head_dim = 4, .qk_rope_head_dim = 6, .v_head_dim = 18};
  configs[1].rope_interleaved = false;
  configs[2].rope = {.type = "yarn", .factor = 40, .original_max_position_embeddings = 16, .mscale = 1, .mscale_all_dim = 1};
  configs[3] = tiny("deepseek_v2");
  configs[3].attention_bias = true;
  configs[3].mla.kv_lora_rank = 64;
  for (ModelConfig& c : configs) c.moe = {};  // a router may choose otherwise at a hair's difference
  return configs;
}

// The sequence through the engine's form in chunks of 17.
Tensor through_cache(Transformer& model, const Tensor& ids, bool exact) {
  std::vector<nn::LayerCache> caches;
  for (int i = 0; i < model.num_caches(); ++i)
    caches.push_back(aten::full({8, model.cache_bytes(i, 16)}, 0xFF, at::TensorOptions().dtype(at::kByte)));
  std::vector<Tensor> rows;
  for (int64_t fed = 0; fed < ids.size(0);) {
    const int64_t count = std::min<int64_t>(17, ids.size(0) - fed);
    const nn::LayerContext context{ops::sequences_on(
        at::kCPU,
        {.cu_seqlens = {0, int32_t(count)}, .context_lens = {int32_t(fed)}, .block_tables = {{5, 2, 7, 0, 1, 6}}, .exact = exact})};
    rows.push_back(model.hidden(ids.narrow(0, fed, count), context, &caches));
    fed += count;
  }
  return aten::cat(rows, 0);
}

TEST(MlaModel, AbsorbedAndExpandedGiveTheSameLogits) {
  const at::NoGradGuard no_grad;
  for (const ModelConfig& config : shapes()) {
    Transformer model(config, at::kCPU, at::kFloat);
    model.init_weights(7);
    const Tensor ids = random_ids(80, 61, 8), want = model.hidden(ids, packed({80}));
    EXPECT_TRUE(aten::equal(through_cache(model, ids, true), want));
    const Tensor near = through_cache(model, ids, false), want_logits = model.logits(want);
    EXPECT_FALSE(aten::equal(near, want));  // it is another form
    EXPECT_LT((model.logits(near) - want_logits).abs().max().item<double>(), 1e-4) << "largest " << want_logits.abs().max().item<double>();
  }
}

TEST(MlaModel, CacheIsLatentAndKeyOfEachLayer) {
  const Transformer model(tiny("deepseek_v3"), at::kCPU, at::kFloat);
  const MlaConfig& m = model.config().mla;
  EXPECT_EQ(model.num_caches(), model.num_layers());
  for (int i = 0; i < model.num_caches(); ++i) EXPECT_EQ(model.cache_bytes(i, 16), 16 * (m.kv_lora_rank + m.qk_rope_head_dim) * 4);
}

TEST(MlaModel, PublishedSizes) {
  const Footprint v3 = footprint(preset("deepseek-v3"), at::kBFloat16), lite = footprint(preset("deepseek-v2-lite"), at::kBFloat16);
  EXPECT_EQ(v3.parameters, 671026419200);
  EXPECT_EQ(v3.mtp_parameters, 11610068224);  // "11.5B unique" (README_WEIGHTS), norms and all
  EXPECT_EQ(lite.parameters, 15706484224);
  EXPECT_NEAR(double(lite.active_parameters), 2.4e9, 0.1e9);  // published as 2.4B activated
  EXPECT_EQ(v3.cache_bytes_per_token, 61 * 576 * 2);
  EXPECT_EQ(lite.cache_bytes_per_token, 27 * 576 * 2);
}

std::string refusal(ModelConfig config) {
  try {
    finish_config(config);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(MlaModel, NonsenseIsRefused) {
  ModelConfig c = tiny("deepseek_v3");
  EXPECT_EQ(refusal(c), "");
  c.mla.kv_lora_rank = 0;
  EXPECT_EQ(refusal(c), "model config: attention mla needs mla.kv_lora_rank above 0, got 0");
  c = tiny("deepseek_v3");
  c.mla.qk_rope_head_dim = 5;
  EXPECT_NE(refusal(c).find("qk_rope_head_dim must be even"), std::string::npos);
  c = tiny("deepseek_v3");
  c.num_key_value_heads = 2;
  EXPECT_NE(refusal(c).find("as many key and value heads"), std::string::npos);
  c = tiny("deepseek_v3");
  c.head_dim = 48;
  EXPECT_NE(refusal(c).find("qk_nope_head_dim + qk_rope_head_dim"), std::string::npos);
  c = tiny("llama");
  c.mla.kv_lora_rank = 8;
  EXPECT_EQ(refusal(c), "model config: mla.* belongs to attention mla, not full");
  c = tiny("llama");
  c.rope = {.type = "yarn", .factor = 2, .beta_fast = 1, .beta_slow = 1};
  EXPECT_NE(refusal(c).find("beta_fast"), std::string::npos);
  const auto experts = [](MoeConfig m) {
    ModelConfig c = tiny("deepseek_v3");
    c.moe = m;
    return refusal(c);
  };
  const MoeConfig good{.n_routed_experts = 8, .num_experts_per_tok = 2, .moe_intermediate_size = 16, .n_group = 4, .topk_group = 2};
  EXPECT_EQ(experts(good), "");
  MoeConfig m = good;
  m.num_experts_per_tok = 9;
  EXPECT_NE(experts(m).find("num_experts_per_tok must be 1 to n_routed_experts = 8, got 9"), std::string::npos);
  m = good, m.n_group = 3;
  EXPECT_NE(experts(m).find("n_group 3 does not divide"), std::string::npos);
  m = good, m.topk_group = 5;
  EXPECT_NE(experts(m).find("topk_group must be 1 to n_group"), std::string::npos);
  m = good, m.num_experts_per_tok = 5;
  EXPECT_NE(experts(m).find("cannot come from topk_group = 2 groups of 2"), std::string::npos);
  m = good, m.n_group = 8;
  EXPECT_NE(experts(m).find("top2 needs groups of two"), std::string::npos);
  m = good, m.moe_intermediate_size = 0;
  EXPECT_NE(experts(m).find("moe_intermediate_size"), std::string::npos);
  m = MoeConfig{.n_shared_experts = 1};
  EXPECT_NE(experts(m).find("needs routed experts"), std::string::npos);
}

// The absorbed form takes its two matrices from a packed weight as well.
TEST(MlaModel, AbsorbedPackedGivesTheBitsOfTheUnpackedModel) {
  const at::NoGradGuard no_grad;
  const fs::path folder = fs::temp_directory_path() / str("r1_mla_packed_", ::getpid());
  Transformer model(shapes()[0], at::kCPU, at::kFloat);
  model.init_weights(7);
  save_model(model, folder, at::kFloat8_e4m3fn);
  const auto plain = load_model(folder, at::kCPU, at::kFloat), kept = load_model(folder, at::kCPU, at::kFloat, {}, {.keep_packed = true});
  fs::remove_all(folder);
  EXPECT_TRUE(find_weight(kept->weights(), "layers.0.attention.kv_b").weight->packed());
  const Tensor ids = random_ids(40, 61, 8);
  EXPECT_TRUE(aten::equal(through_cache(*kept, ids, false), through_cache(*plain, ids, false)));
}

}  // namespace
}  // namespace r1::model
