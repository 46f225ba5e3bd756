// config.json in and out: both spellings, what is filled in, what is refused and how it is said.
#include "r1/model/config.h"

#include <gtest/gtest.h>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/model/footprint.h"
#include "r1/model/generation_config.h"
#include "tiny_model.h"

namespace r1::model {
namespace {

Json llama() {
  return parse_json(
      R"({"model_type": "llama", "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
    "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 131072, "rms_norm_eps": 1e-05, "rope_theta": 500000.0,
    "tie_word_embeddings": true, "torch_dtype": "bfloat16", "bos_token_id": 128000, "eos_token_id": [128001, 128008, 128009],
    "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"}})",
      "llama");
}

std::string refusal(const Json& json) {
  try {
    config_from_hf(json, "m/config.json");
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}
std::string refusal_with(const char* key, Json value) {
  Json json = llama();
  json[key] = std::move(value);
  return refusal(json);
}

TEST(Config, ReadsLlama32) {
  const ModelConfig c = config_from_hf(llama(), "config.json");
  EXPECT_EQ(c.family, "llama");
  EXPECT_EQ(c.head_dim, 64);
  EXPECT_EQ(c.rope.type, "llama3");
  EXPECT_EQ(c.rope.factor, 32);
  EXPECT_EQ(c.rope_theta, 500000);
  EXPECT_EQ(c.eos_token_id, 128001);
  EXPECT_EQ(eos_token_ids(c), (std::vector<int64_t>{128001, 128008, 128009}));
  EXPECT_EQ(config_to_hf(c)["eos_token_id"], (Json{128001, 128008, 128009}));
  EXPECT_EQ(eos_token_ids(config_from_hf(config_to_hf(c), "again")), eos_token_ids(c));
  EXPECT_EQ(c.pad_token_id, -1);
  EXPECT_EQ(c.torch_dtype, "bfloat16");
  EXPECT_EQ(parameter_count(c), 1235814400);  // Llama 3.2 1B
}

TEST(Config, BothSpellingsOfRope) {
  Json five = llama();
  Json rope = five["rope_scaling"];
  rope["rope_theta"] = 500000.0;
  five.erase("rope_scaling");
  five.erase("rope_theta");
  five.erase("torch_dtype");
  five["rope_parameters"] = rope;
  five["dtype"] = "bfloat16";
  EXPECT_EQ(config_to_hf(config_from_hf(five, "5")), config_to_hf(config_from_hf(llama(), "4")));
}

TEST(Config, OldSpellingTypeForRopeType) {
  Json json = llama();
  json["rope_scaling"] = {{"type", "linear"}, {"factor", 2.0}};
  const ModelConfig c = config_from_hf(json, "config.json");
  EXPECT_EQ(c.rope.type, "linear");
  EXPECT_EQ(c.rope.factor, 2);
}

TEST(Config, WritesWhatItReads) {
  for (const char* family : {"llama", "qwen2", "qwen3"}) {
    ModelConfig c = tiny(family);
    c.rope = {.type = "llama3", .factor = 4, .low_freq_factor = 1, .high_freq_factor = 2, .original_max_position_embeddings = 64};
    c.bos_token_id = 7;
    finish_config(c);
    const Json written = config_to_hf(c);
    EXPECT_EQ(config_to_hf(config_from_hf(written, family)), written);
  }
}

TEST(Config, FamiliesFillIn) {
  ModelConfig qwen2 = tiny("qwen2"), qwen3 = tiny("qwen3");
  finish_config(qwen2);
  finish_config(qwen3);
  EXPECT_TRUE(qwen2.attention_bias);
  EXPECT_TRUE(qwen3.qk_norm);
  EXPECT_FALSE(qwen3.attention_bias);
  ModelConfig c;
  c.vocab_size = 10, c.hidden_size = 64, c.intermediate_size = 96, c.num_hidden_layers = 1, c.num_attention_heads = 4;
  finish_config(c);
  EXPECT_EQ(c.head_dim, 16);
  EXPECT_EQ(c.num_key_value_heads, 4);
}

TEST(Config, RefusesByName) {
  EXPECT_EQ(refusal_with("model_type", "mamba"),
            "m/config.json: model_type 'mamba' is not supported (llama, qwen2, qwen3, qwen3_moe, deepseek_v2, deepseek_v3, gpt2 and "
            "gemma3_text are)");
  EXPECT_EQ(refusal_with("hidden_act", "gelu"), "m/config.json: hidden_act 'gelu' is not supported (silu is)");
  EXPECT_EQ(refusal_with("mlp_bias", true), "m/config.json: mlp_bias = true is not supported");
  EXPECT_EQ(refusal_with("use_sliding_window", true), "m/config.json: use_sliding_window = true is not supported");
  EXPECT_EQ(refusal_with("rope_scaling", {{"rope_type", "longrope"}, {"factor", 4.0}}),
            "m/config.json: rope type 'longrope' is not supported (default, linear, llama3 and yarn are)");
  EXPECT_NE(refusal_with("rope_scaling", {{"rope_type", "yarn"}, {"factor", 4.0}, {"attention_factor", -1.0}}).find("attention_factor"),
            std::string::npos);
  EXPECT_NE(refusal_with("quantization_config", {{"quant_method", "bitsandbytes"}}).find("quant_method 'bitsandbytes' is not supported"),
            std::string::npos);
  EXPECT_NE(refusal_with("layer_types", {"full_attention", "sliding_attention"}).find("sliding_attention"), std::string::npos);
  EXPECT_NE(refusal_with("partial_rotary_factor", 0.5).find("partial_rotary_factor"), std::string::npos);
  EXPECT_NE(refusal_with("num_key_value_heads", 5).find("num_key_value_heads 5 does not divide"), std::string::npos);
  EXPECT_NE(refusal_with("head_dim", 63).find("head_dim must be even"), std::string::npos);
  EXPECT_EQ(refusal_with("hidden_size", nullptr), "m/config.json: key 'hidden_size' is missing");
  EXPECT_NE(refusal_with("hidden_size", "wide").find("'hidden_size' has the wrong type"), std::string::npos);
  EXPECT_NE(refusal_with("hidden_size", -1).find("hidden_size must be given and positive"), std::string::npos);
  EXPECT_NE(refusal(parse_json("[]", "list")).find("not a JSON object"), std::string::npos);
  EXPECT_EQ(refusal_with("use_sliding_window", false), "");
}

TEST(Config, EndIdsAreASet) {
  ModelConfig c;
  EXPECT_TRUE(eos_token_ids(c).empty());
  for (const int64_t id : {-1, 5, 5, 3, 5, 3, -1}) add_eos_token_id(c, id);
  EXPECT_EQ(eos_token_ids(c), (std::vector<int64_t>{5, 3}));
  EXPECT_EQ(c.eos_token_id, 5);
}

TEST(GenerationConfig, IdsAndSampling) {
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "r1_generation_config";
  std::filesystem::create_directories(folder);
  const auto read = [&](const char* json) {
    write_file_atomic(folder / "generation_config.json", json);
    return read_generation_config(folder / "model.safetensors");
  };
  const GenerationConfig g =
      read(R"({"eos_token_id":[7,-1,9],"temperature":0.6,"top_p":0.95,"top_k":20,"min_p":0.1,"repetition_penalty":1.05})");
  EXPECT_EQ(g.eos_token_ids, (std::vector<int64_t>{7, 9}));
  EXPECT_EQ(g.temperature, 0.6);
  EXPECT_EQ(g.top_p, 0.95);
  EXPECT_EQ(g.top_k, 20);
  EXPECT_EQ(g.min_p, 0.1);
  EXPECT_EQ(g.repetition_penalty, 1.05);
  const GenerationConfig off = read(R"({"do_sample":false,"temperature":0.6,"top_k":null,"eos_token_id":3,"repetition_penalty":1.2})");
  EXPECT_EQ(off.temperature, std::nullopt);
  EXPECT_EQ(off.repetition_penalty, 1.2);
  EXPECT_EQ(off.eos_token_ids, std::vector<int64_t>{3});
  for (const char* bad : {"[]", R"({"eos_token_id":"x"})", R"({"temperature":-1})", R"({"temperature":"x"})", R"({"top_k":1.5e9})"}) {
    try {
      read(bad);
      ADD_FAILURE() << bad;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("generation_config.json: "), std::string::npos) << e.what();
    }
  }
  std::filesystem::remove_all(folder);
  EXPECT_TRUE(read_generation_config(folder).where.empty());
  EXPECT_TRUE(read_generation_config("x.gguf").where.empty());
}

// DeepSeek-R1-0528-Qwen3-8B undoes YaRN's factor by attn_factor = 1 / (0.1 ln 4 + 1); transformers' own key says the factor itself.
TEST(Config, FactorsOfYarn) {
  const auto factor = [](Json rope) {
    Json json = llama();
    rope.update(Json{{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32768}});
    json["rope_scaling"] = rope;
    const ModelConfig c = config_from_hf(json, "m/config.json");
    EXPECT_EQ(config_to_hf(config_from_hf(config_to_hf(c), "again")), config_to_hf(c));
    return c.rope.attention_factor;
  };
  EXPECT_EQ(factor(Json::object()), 0);
  EXPECT_NEAR(factor({{"attn_factor", 0.8782488562869419}}), 1.0, 1e-12);
  EXPECT_EQ(factor({{"attention_factor", 1.5}}), 1.5);
  EXPECT_EQ(factor({{"attention_factor", 1.5}, {"attn_factor", 0.5}}), 1.5);
}

TEST(Config, UnknownKeysOfRopeAreNamed) {
  const auto said = [](const Json& rope) {
    ::testing::internal::CaptureStderr();
    EXPECT_EQ(refusal_with("rope_scaling", rope), "");
    return ::testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(said({{"rope_type", "yarn"}, {"factor", 4.0}, {"atn_factor", 1.0}, {"mscale", 1.0}, {"low_freq_factor", 1.0}}),
            "warning: m/config.json: rope type yarn has keys that are not known and change nothing: 'atn_factor', 'low_freq_factor'\n");
  EXPECT_EQ(said({{"rope_type", "default"}, {"rope_theta", 1e4}, {"factor", 2.0}}),
            "warning: m/config.json: rope type default has keys that are not known and change nothing: 'factor'\n");
  EXPECT_EQ(said({{"type", "linear"}, {"factor", 4.0}, {"rope_theta", 1e4}}), "");
  EXPECT_EQ(said(llama()["rope_scaling"]), "");
}

TEST(Config, WrongTokenIdsAreOneError) {
  EXPECT_NE(refusal_with("eos_token_id", Json::array({"<eos>"})).find("eos_token_id"), std::string::npos);
  EXPECT_NE(refusal_with("eos_token_id", {1, "<eos>"}).find("eos_token_id"), std::string::npos);
  EXPECT_EQ(refusal_with("eos_token_id", Json::array()), "");
}

TEST(Weights, EveryRowHasItsThreeNames) {
  const Transformer model(tiny("qwen3"), at::kCPU, at::kFloat);
  bool seen = false;
  for (const WeightRow& row : model.weights()) {
    EXPECT_EQ(row.shape, row.tensor->sizes().vec());
    if (row.name != "layers.1.attention.q_norm") continue;
    seen = true;
    EXPECT_EQ(row.hf_name, "model.layers.1.self_attn.q_norm.weight");
    EXPECT_EQ(row.gguf_name, "blk.1.attn_q_norm.weight");
    EXPECT_EQ(row.kind, WeightKind::kNorm);
  }
  EXPECT_TRUE(seen);
  Transformer llama(tiny("llama"), at::kCPU, at::kFloat);
  EXPECT_TRUE(find_weight(llama.weights(), "layers.0.attention.k").rope_permuted_in_gguf);
  EXPECT_FALSE(find_weight(llama.weights(), "layers.0.attention.v").rope_permuted_in_gguf);
  EXPECT_THROW(find_weight(llama.weights(), "layers.9.attention.q"), Error);
}

}  // namespace
}  // namespace r1::model
