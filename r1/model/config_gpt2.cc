// GPT-2 (Radford et al., 2019): LayerNorm with biases, learned positions, GELU in its tanh form, biases everywhere, q, k and v in one
// matrix, the head tied. config.json has names of its own for the sizes (n_embd, n_layer, ...).
#include "r1/base/error.h"
#include "r1/model/families.h"

namespace r1::model {

namespace {

// Options of the class that would change the numbers.
void refuse_unsupported(const Json& json, const std::string& where) {
  const auto activation = json_get_or<std::string>(json, "activation_function", "gelu_new", where);
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh")
    fail(where, ": activation_function '", activation, "' is not supported (gelu_new is)");
  for (const char* flag : {"scale_attn_by_inverse_layer_idx", "add_cross_attention"}) {
    if (json_get_or(json, flag, false, where)) fail(where, ": ", flag, " = true is not supported");
  }
}

}  // namespace

void set_gpt2(ModelConfig& c) {
  c.family = "gpt2";
  c.norm = "layer";
  c.ffn = "gelu";
  c.positions = "learned";
  c.attention_bias = c.mlp_bias = true;
}

ModelConfig gpt2_from_hf(const Json& json, const std::string& where) {
  refuse_unsupported(json, where);
  const auto need = [&](const char* key) { return json_get<int64_t>(json, key, where); };
  ModelConfig c;
  set_gpt2(c);
  c.vocab_size = need("vocab_size");
  c.hidden_size = need("n_embd");
  c.num_hidden_layers = need("n_layer");
  c.num_attention_heads = need("n_head");
  c.max_position_embeddings = need("n_positions");
  const bool has_inner = json.contains("n_inner") && !json["n_inner"].is_null();
  c.intermediate_size = has_inner ? need("n_inner") : 4 * c.hidden_size;
  c.rms_norm_eps = json_get_or(json, "layer_norm_epsilon", 1e-5, where);
  c.tie_word_embeddings = json_get_or(json, "tie_word_embeddings", true, where);
  if (!json_get_or(json, "scale_attn_weights", true, where)) c.attn.scale = 1;
  read_common_hf(json, where, c);
  return c;
}

Json gpt2_to_hf(const ModelConfig& c) {
  Json j;
  j["architectures"] = {"GPT2LMHeadModel"};
  j["model_type"] = "gpt2";
  j["vocab_size"] = c.vocab_size;
  j["n_embd"] = c.hidden_size;
  j["n_layer"] = c.num_hidden_layers;
  j["n_head"] = c.num_attention_heads;
  j["n_positions"] = c.max_position_embeddings;
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
