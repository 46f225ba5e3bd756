// DeepSeek's config.json as published (the values that matter; written down from the models' pages) against the presets, and there and
// back.
#include <gtest/gtest.h>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/model/config.h"
#include "r1/model/presets.h"

namespace r1::model {
namespace {

Json v3() {
  return parse_json(
      R"({"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "attention_bias": false, "attention_dropout": 0.0,
    "bos_token_id": 0, "eos_token_id": 1, "ep_size": 1, "first_k_dense_replace": 3, "hidden_act": "silu",
    "hidden_size": 7168, "initializer_range": 0.02, "intermediate_size": 18432, "kv_lora_rank": 512, "max_position_embeddings": 163840,
    "moe_intermediate_size": 2048, "moe_layer_freq": 1, "n_group": 8, "n_routed_experts": 256, "n_shared_experts": 1, "norm_topk_prob": true,
    "num_attention_heads": 128, "num_experts_per_tok": 8, "num_hidden_layers": 61, "num_key_value_heads": 128, "num_nextn_predict_layers": 1,
    "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "rms_norm_eps": 1e-06, "rope_theta": 10000,
    "quantization_config": {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]},
    "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 1.0, "mscale_all_dim": 1.0,
      "original_max_position_embeddings": 4096, "type": "yarn"},
    "routed_scaling_factor": 2.5, "scoring_func": "sigmoid", "tie_word_embeddings": false, "topk_group": 4,
    "topk_method": "noaux_tc", "torch_dtype": "bfloat16", "use_cache": true, "v_head_dim": 128, "vocab_size": 129280})",
      "v3");
}
Json v2_lite() {
  return parse_json(
      R"({"architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2", "attention_bias": false, "aux_loss_alpha": 0.001,
    "bos_token_id": 100000, "eos_token_id": 100001, "first_k_dense_replace": 1, "hidden_act": "silu", "hidden_size": 2048,
    "initializer_range": 0.02, "intermediate_size": 10944, "kv_lora_rank": 512, "max_position_embeddings": 163840,
    "moe_intermediate_size": 1408, "moe_layer_freq": 1, "n_group": 1, "n_routed_experts": 64, "n_shared_experts": 2, "norm_topk_prob": false,
    "num_attention_heads": 16, "num_experts_per_tok": 6, "num_hidden_layers": 27, "num_key_value_heads": 16, "q_lora_rank": null,
    "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "rms_norm_eps": 1e-06, "rope_theta": 10000,
    "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 0.707, "mscale_all_dim": 0.707,
      "original_max_position_embeddings": 4096, "type": "yarn"},
    "routed_scaling_factor": 1.0, "scoring_func": "softmax", "seq_aux": true, "tie_word_embeddings": false, "topk_group": 1,
    "topk_method": "greedy", "torch_dtype": "bfloat16", "v_head_dim": 128, "vocab_size": 102400})",
      "v2");
}

std::string refusal(Json json, const char* key, Json value) {
  json[key] = std::move(value);
  try {
    config_from_hf(json, "m/config.json");
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(DeepseekConfig, PublishedFilesAreThePresets) {
  ModelConfig expected = preset("deepseek-v3");
  expected.moe.aux_loss_coef = 0;  // the preset's is the paper's
  EXPECT_EQ(config_to_json(config_from_hf(v3(), "v3")), config_to_json(expected));
  EXPECT_EQ(config_to_json(config_from_hf(v2_lite(), "v2")), config_to_json(preset("deepseek-v2-lite")));
}

TEST(DeepseekConfig, ThereAndBackAsAPublishedFamily) {
  for (const char* name : {"deepseek-v3", "deepseek-v2-lite", "tiny-v3"}) {
    const ModelConfig config = preset(name);
    const Json json = config_to_hf(config);
    EXPECT_EQ(json["model_type"], config.family) << name;
    EXPECT_EQ(config_to_json(config_from_hf(json, name)), config_to_json(config)) << name;
  }
  ModelConfig groups = preset("deepseek-v2-lite");
  groups.moe.n_group = 4, groups.moe.topk_group = 2;
  EXPECT_EQ(config_to_hf(groups)["topk_method"], "group_limited_greedy");
  EXPECT_EQ(config_to_json(config_from_hf(config_to_hf(groups), "groups")), config_to_json(groups));
}

// A network that no published code computes says so in its file, and comes back.
TEST(DeepseekConfig, OtherRoutersAreNoPublishedModel) {
  ModelConfig c = preset("tiny-v3");
  c.moe.gate = "softmax";
  EXPECT_EQ(config_to_hf(c)["model_type"], "r1");
  EXPECT_EQ(config_from_hf(config_to_hf(c), "r1").moe.gate, "softmax");
}

TEST(DeepseekConfig, RefusesByName) {
  EXPECT_EQ(refusal(v3(), "scoring_func", "softmax"), "m/config.json: scoring_func 'softmax' is not supported");
  EXPECT_EQ(refusal(v3(), "topk_method", "greedy"), "m/config.json: topk_method 'greedy' is not supported");
  EXPECT_EQ(refusal(v3(), "moe_layer_freq", 2), "m/config.json: moe_layer_freq = 2 is not supported");
  EXPECT_NE(refusal(v2_lite(), "norm_topk_prob", true).find("norm_topk_prob"), std::string::npos);
  EXPECT_NE(refusal(v3(), "n_group", 7).find("n_group 7 does not divide"), std::string::npos);
  Json quantized = v3()["quantization_config"];
  quantized["weight_block_size"] = {64, 64};
  EXPECT_NE(refusal(v3(), "quantization_config", quantized).find("128 x 128"), std::string::npos);
  Json without = v3();
  without.erase("q_lora_rank");
  EXPECT_NE(refusal(without, "seq_aux", true).find("'q_lora_rank' is missing"), std::string::npos);
}

}  // namespace
}  // namespace r1::model
