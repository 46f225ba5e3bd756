// The configs of GPT-2 and Gemma 3: both spellings of transformers, what is refused, the published sizes.
#include "r1/model/families.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/model/footprint.h"
#include "r1/model/presets.h"
#include "tiny_model.h"

namespace r1::model {
namespace {

Json gpt2() {
  return parse_json(
      R"({"model_type": "gpt2", "vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "n_ctx": 1024,
          "activation_function": "gelu_new", "layer_norm_epsilon": 1e-05, "bos_token_id": 50256, "eos_token_id": 50256})",
      "gpt2");
}
Json gemma3() {  // as transformers 4 writes it
  return parse_json(
      R"({"model_type": "gemma3_text", "vocab_size": 262144, "hidden_size": 1152, "intermediate_size": 6912, "num_hidden_layers": 26,
          "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256, "max_position_embeddings": 32768, "rms_norm_eps": 1e-06,
          "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 256, "sliding_window": 512, "sliding_window_pattern": 6,
          "rope_theta": 1000000, "rope_local_base_freq": 10000, "rope_scaling": null, "attn_logit_softcapping": null,
          "torch_dtype": "bfloat16", "bos_token_id": 2, "eos_token_id": [1, 106]})",
      "gemma3");
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
std::string usage_error(const ModelConfig& given) {
  ModelConfig c = given;
  try {
    finish_config(c);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Gpt2, ReadsTheConfig) {
  const ModelConfig c = config_from_hf(gpt2(), "config.json");
  EXPECT_EQ(c.hidden_size, 768);
  EXPECT_EQ(c.intermediate_size, 3072);
  EXPECT_EQ(c.head_dim, 64);
  EXPECT_EQ(c.norm, "layer");
  EXPECT_EQ(c.positions, "learned");
  EXPECT_EQ(c.ffn, "gelu");
  EXPECT_TRUE(c.attention_bias && c.mlp_bias && c.tie_word_embeddings);
  EXPECT_EQ(parameter_count(c), 124439808);
  EXPECT_EQ(refusal(gpt2(), "activation_function", "relu"), "m/config.json: activation_function 'relu' is not supported (gelu_new is)");
  EXPECT_EQ(refusal(gpt2(), "scale_attn_by_inverse_layer_idx", true),
            "m/config.json: scale_attn_by_inverse_layer_idx = true is not supported");
  EXPECT_EQ(refusal(gpt2(), "n_head", nullptr), "m/config.json: key 'n_head' is missing");
  EXPECT_NE(refusal(gpt2(), "n_head", 7).find("hidden_size 768 is not a multiple of num_attention_heads 7"), std::string::npos);
}

TEST(Gemma3, ReadsBothSpellings) {
  const ModelConfig c = config_from_hf(gemma3(), "config.json");
  EXPECT_EQ(c.norm, "rms");
  EXPECT_EQ(c.ffn, "geglu");
  EXPECT_TRUE(c.post_norms && c.qk_norm && c.tie_word_embeddings);
  EXPECT_NEAR(c.embedding_scale, std::sqrt(1152.0), 1e-12);
  EXPECT_EQ(c.attn.window, 512);
  EXPECT_EQ(c.attn.window_pattern, 6);
  EXPECT_EQ(c.attn.scale, 0);  // query_pre_attn_scalar is the head size
  EXPECT_EQ(c.rope_theta, 1e6);
  EXPECT_EQ(c.attn.local_rope_theta, 1e4);
  EXPECT_EQ(c.eos_token_id, 1);

  Json five = gemma3();
  for (const char* key : {"rope_theta", "rope_local_base_freq", "rope_scaling", "sliding_window_pattern"}) five.erase(key);
  five["rope_parameters"] = {{"full_attention", {{"rope_type", "linear"}, {"rope_theta", 1e6}, {"factor", 8.0}}},
                             {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 1e4}}}};
  five["layer_types"] = std::vector<std::string>(26, "sliding_attention");
  for (size_t i = 5; i < 26; i += 6) five["layer_types"][i] = "full_attention";
  Json four = gemma3();
  four["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};
  EXPECT_EQ(config_to_hf(config_from_hf(five, "5")), config_to_hf(config_from_hf(four, "4")));
  EXPECT_EQ(config_from_hf(five, "5").rope.factor, 8);

  five["layer_types"][1] = "full_attention";
  EXPECT_EQ(refusal(five, "use_cache", true),
            "m/config.json: layer_types has 'sliding_attention' at layer 3, expected full_attention: every 2th layer sees everything");
}

TEST(Gemma3, PatternsWithoutSomeKind) {
  Json json = gemma3();
  json["num_hidden_layers"] = 2;
  json["layer_types"] = {"sliding_attention", "sliding_attention"};
  ModelConfig c = config_from_hf(json, "local");
  EXPECT_EQ(c.attn.window_pattern, 6);  // both local, so both have the local rotary base
  json["layer_types"] = {"full_attention", "full_attention"};
  c = config_from_hf(json, "global");
  EXPECT_EQ(c.attn.window, 0);
  EXPECT_EQ(config_to_hf(config_from_hf(config_to_hf(c), "again")), config_to_hf(c));
}

TEST(Gemma3, RefusesByName) {
  EXPECT_EQ(refusal(gemma3(), "hidden_activation", "gelu"),
            "m/config.json: hidden_activation 'gelu' is not supported (gelu_pytorch_tanh is)");
  EXPECT_EQ(refusal(gemma3(), "final_logit_softcapping", 30.0), "m/config.json: final_logit_softcapping = 30.0 is not supported");
  EXPECT_NE(refusal(gemma3(), "use_bidirectional_attention", true).find("use_bidirectional_attention"), std::string::npos);
  EXPECT_NE(refusal(gemma3(), "rope_scaling", {{"rope_type", "yarn"}}).find("rope type 'yarn' is not supported for gemma3_text"),
            std::string::npos);
  EXPECT_NE(refusal(gemma3(), "layer_types", {"full_attention"}).find("layer_types has 1 entries for 26 layers"), std::string::npos);
}

TEST(Families, WriteWhatTheyRead) {
  for (const char* family : {"gpt2", "gemma3_text"}) {
    ModelConfig c = tiny(family);
    c.bos_token_id = 7;
    finish_config(c);
    const Json written = config_to_hf(c);
    EXPECT_FALSE(written.contains("r1")) << written.dump();
    EXPECT_EQ(config_to_json(config_from_hf(written, family)), config_to_json(c));
  }
}

// Published counts (Hugging Face model pages; Gemma 3's table 1 rounds to millions).
TEST(Families, PublishedSizes) {
  const std::pair<const char*, int64_t> exact[] = {{"gpt2", 124439808},     {"gpt2-medium", 354823168},  {"gpt2-large", 774030080},
                                                   {"gpt2-xl", 1557611200}, {"gemma-3-270m", 268098176}, {"gemma-3-1b", 999885952}};
  for (const auto& [name, count] : exact) EXPECT_EQ(parameter_count(preset(name)), count) << name;
  const std::pair<const char*, double> rounded[] = {{"gemma-3-4b", 3.88e9}, {"gemma-3-12b", 11.77e9}, {"gemma-3-27b", 27.01e9}};
  for (const auto& [name, count] : rounded) EXPECT_NEAR(double(parameter_count(preset(name))), count, 0.002 * count) << name;
}

TEST(Variants, SenselessCombinationsAreRefused) {
  const auto with = [](auto change) {
    ModelConfig c = tiny("llama");
    change(c);
    return usage_error(c);
  };
  EXPECT_EQ(with([](ModelConfig&) {}), "");
  EXPECT_NE(usage_error([] {
              ModelConfig c = tiny("gemma3_text");
              c.norm = "power";
              return c;
            }())
                .find("family gemma3_text stores its norms as a distance from 1"),
            std::string::npos);
  EXPECT_NE(usage_error([] {
              ModelConfig c = tiny("gemma3_text");
              c.ffn = "norm_gelu";
              return c;
            }())
                .find("which the one inside ffn norm_gelu does not"),
            std::string::npos);
  EXPECT_NE(with([](ModelConfig& c) { c.positions = "learned", c.rope.type = "linear"; }).find("positions are learned"), std::string::npos);
  EXPECT_NE(with([](ModelConfig& c) { c.attn.window_pattern = 6; }).find("needs attn.window"), std::string::npos);
  EXPECT_NE(with([](ModelConfig& c) { c.ffn = "topk_sparse", c.mlp_bias = true; }).find("topk_sparse has no biases"), std::string::npos);
  EXPECT_NE(with([](ModelConfig& c) { c.ffn = "topk_sparse", c.sparse.sparsity = 0.9; }).find("sparse.sparsity 0.9 must lie in"),
            std::string::npos);
  EXPECT_NE(with([](ModelConfig& c) { c.embedding_scale = 0; }).find("embedding_scale 0"), std::string::npos);
}

// Every row of the table of families is whole: a network of it writes the model_type and class that its row names and is read back the
// same, and its own weight rows are ones that the network has.
TEST(Families, EveryRowIsWhole) {
  std::set<std::string> names, classes, architectures;
  for (const Family* family : families()) {
    EXPECT_EQ(&family_of(family->name), family);
    EXPECT_TRUE(names.insert(family->name).second && classes.insert(family->hf_class).second) << family->name;
    if (family->gguf) EXPECT_TRUE(architectures.insert(family->gguf).second) << family->name;
    EXPECT_TRUE(family->gguf || !family->from_gguf) << family->name;
    ModelConfig c = tiny(family->name);
    finish_config(c);
    const Json json = config_to_hf(c);
    EXPECT_EQ(json["model_type"], family->name);
    EXPECT_EQ(json["architectures"], Json::array({family->hf_class})) << family->name;
    EXPECT_EQ(config_to_json(config_from_hf(json, "config.json")), config_to_json(c)) << family->name;
    const Transformer model(c, at::kMeta, at::kFloat);
    for (const KnownWeight& own : family->weights) {
      std::string name = own.hf;
      if (const size_t layer = name.find('#'); layer != std::string::npos) name.replace(layer, 1, "0");
      const bool has =
          std::any_of(model.weights().begin(), model.weights().end(), [&](const WeightRow& row) { return row.hf_name == name; });
      EXPECT_TRUE(has) << family->name << " " << name;
    }
  }
}

TEST(Families, AnUnknownOneIsAnsweredWithTheList) {
  const auto error_of = [](const std::function<void()>& call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  const std::string all = "llama, qwen2, qwen3, qwen3_moe, deepseek_v2, deepseek_v3, gpt2 and gemma3_text are";
  ModelConfig c = tiny();
  c.family = "mamba";
  EXPECT_NE(error_of([&] { finish_config(c); }).find("family 'mamba' is not known (" + all), std::string::npos);
  EXPECT_NE(error_of([&] {
              config_from_hf(parse_json(R"({"model_type": "mamba"})", "x"), "config.json");
            }).find("config.json: model_type 'mamba' is not supported (" + all),
            std::string::npos);
}

}  // namespace
}  // namespace r1::model
