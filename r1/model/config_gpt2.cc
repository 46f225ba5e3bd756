// GPT-2 (Radford et al., 2019): LayerNorm with biases, learned positions, GELU in its tanh form, biases everywhere, q, k and v in one
// matrix, the head tied. config.json has names of its own for the sizes (n_embd, n_layer, ...).
#include "r1/model/config_hf.h"
#include "r1/model/families.h"

namespace r1::model {

namespace {

constexpr HfNumber<ModelConfig> kGpt2Sizes[] = {{"vocab_size", &ModelConfig::vocab_size},
                                                {"n_embd", &ModelConfig::hidden_size},
                                                {"n_layer", &ModelConfig::num_hidden_layers},
                                                {"n_head", &ModelConfig::num_attention_heads},
                                                {"n_positions", &ModelConfig::max_position_embeddings}};

}  // namespace

void set_gpt2(ModelConfig& c) {
  c.family = "gpt2";
  c.norm = "layer";
  c.ffn = "gelu";
  c.positions = "learned";
  c.attention_bias = c.mlp_bias = true;
}

ModelConfig gpt2_from_hf(const HfReader& r) {
  r.only("activation_function", {"gelu_new", "gelu_pytorch_tanh"}, " (gelu_new is)");
  for (const char* flag : {"scale_attn_by_inverse_layer_idx", "add_cross_attention"}) {
    if (r.get<bool>(flag, false)) r.refuse(flag, " = true is not supported");
  }
  ModelConfig c;
  set_gpt2(c);
  read_numbers(r, kGpt2Sizes, c);
  c.intermediate_size = r.get<int64_t>("n_inner", 4 * c.hidden_size);
  c.rms_norm_eps = r.get<double>("layer_norm_epsilon", 1e-5);
  c.tie_word_embeddings = r.get<bool>("tie_word_embeddings", true);
  if (!r.get<bool>("scale_attn_weights", true)) c.attn.scale = 1;
  read_common_hf(r, c);
  return c;
}

Json gpt2_to_hf(const ModelConfig& c) {
  Json j;
  j["architectures"] = {"GPT2LMHeadModel"};
  j["model_type"] = "gpt2";
  write_numbers(c, kGpt2Sizes, j);
  j["n_inner"] = c.intermediate_size == 4 * c.hidden_size ? Json(nullptr) : Json(c.intermediate_size);
  j["activation_function"] = "gelu_new";
  j["layer_norm_epsilon"] = c.rms_norm_eps;
  j["initializer_range"] = c.initializer_range;
  j["scale_attn_weights"] = c.attn.scale != 1;
  j["tie_word_embeddings"] = c.tie_word_embeddings;
  for (const char* dropout : {"attn_pdrop", "embd_pdrop", "resid_pdrop"}) j[dropout] = 0.0;
  j["use_cache"] = true;
  write_common_hf(c, j);
  return j;
}

void gpt2_from_gguf(const GgufFile& file, ModelConfig& c) {
  set_gpt2(c);
  c.rms_norm_eps = file.number_or("gpt2.attention.layer_norm_epsilon", 1e-5);
}

}  // namespace r1::model
