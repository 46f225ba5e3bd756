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

using enum WeightKind;

constexpr KnownWeight kWeights[] = {
    {"embedding", "transformer.wte.weight", "token_embd.weight", kEmbedding, 0},
    {"positions", "transformer.wpe.weight", "position_embd.weight", kEmbedding, -1},
    {"layers.#.attention_norm", "transformer.h.#.ln_1.weight", "blk.#.attn_norm.weight", kNorm, -1},
    {"layers.#.attention_norm_bias", "transformer.h.#.ln_1.bias", "blk.#.attn_norm.bias", kBias, -1},
    {"layers.#.attention.qkv", "transformer.h.#.attn.c_attn.weight", "blk.#.attn_qkv.weight", kMatrix, 0, true, false, true, false, 3},
    {"layers.#.attention.qkv_bias", "transformer.h.#.attn.c_attn.bias", "blk.#.attn_qkv.bias", kBias, 0, false, false, false, false, 3},
    {"layers.#.attention.o", "transformer.h.#.attn.c_proj.weight", "blk.#.attn_output.weight", kMatrix, 1, true, false, true},
    {"layers.#.attention.o_bias", "transformer.h.#.attn.c_proj.bias", "blk.#.attn_output.bias", kBias, -1},
    {"layers.#.mlp_norm", "transformer.h.#.ln_2.weight", "blk.#.ffn_norm.weight", kNorm, -1},
    {"layers.#.mlp_norm_bias", "transformer.h.#.ln_2.bias", "blk.#.ffn_norm.bias", kBias, -1},
    {"layers.#.mlp.up", "transformer.h.#.mlp.c_fc.weight", "blk.#.ffn_up.weight", kMatrix, 0, true, false, true},
    {"layers.#.mlp.up_bias", "transformer.h.#.mlp.c_fc.bias", "blk.#.ffn_up.bias", kBias, 0},
    {"layers.#.mlp.down", "transformer.h.#.mlp.c_proj.weight", "blk.#.ffn_down.weight", kMatrix, 1, true, false, true},
    {"layers.#.mlp.down_bias", "transformer.h.#.mlp.c_proj.bias", "blk.#.ffn_down.bias", kBias, -1},
    {"norm", "transformer.ln_f.weight", "output_norm.weight", kNorm, -1},
    {"norm_bias", "transformer.ln_f.bias", "output_norm.bias", kBias, -1},
};

void set_gpt2(ModelConfig& c) {
  c.norm = "layer";
  c.ffn = "gelu";
  c.positions = "learned";
  c.attention_bias = c.mlp_bias = true;
}

void gpt2_from_hf(const HfReader& r, ModelConfig& c) {
  r.only("activation_function", {"gelu_new", "gelu_pytorch_tanh"}, " (gelu_new is)");
  for (const char* flag : {"scale_attn_by_inverse_layer_idx", "add_cross_attention"}) {
    if (r.get<bool>(flag, false)) r.refuse(flag, " = true is not supported");
  }
  set_gpt2(c);
  read_numbers(r, kGpt2Sizes, c);
  c.intermediate_size = r.get<int64_t>("n_inner", 4 * c.hidden_size);
  c.rms_norm_eps = r.get<double>("layer_norm_epsilon", 1e-5);
  c.tie_word_embeddings = r.get<bool>("tie_word_embeddings", true);
  if (!r.get<bool>("scale_attn_weights", true)) c.attn.scale = 1;
}

void gpt2_to_hf(const ModelConfig& c, Json& j) {
  write_numbers(c, kGpt2Sizes, j);
  j["n_inner"] = c.intermediate_size == 4 * c.hidden_size ? Json(nullptr) : Json(c.intermediate_size);
  j["activation_function"] = "gelu_new";
  j["layer_norm_epsilon"] = c.rms_norm_eps;
  j["initializer_range"] = c.initializer_range;
  j["scale_attn_weights"] = c.attn.scale != 1;
  j["tie_word_embeddings"] = c.tie_word_embeddings;
  for (const char* dropout : {"attn_pdrop", "embd_pdrop", "resid_pdrop"}) j[dropout] = 0.0;
  j["use_cache"] = true;
}

void gpt2_from_gguf(const GgufFile& file, ModelConfig& c) {
  set_gpt2(c);
  c.rms_norm_eps = file.number_or("gpt2.attention.layer_norm_epsilon", 1e-5);
}

void gpt2_to_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  metadata.add_f32("gpt2.attention.layer_norm_epsilon", c.rms_norm_eps);
}

}  // namespace

extern const Family kGpt2;
constinit const Family kGpt2 = {.name = "gpt2",
                                .hf_class = "GPT2LMHeadModel",
                                .from_hf = gpt2_from_hf,
                                .to_hf = gpt2_to_hf,
                                .gguf = "gpt2",
                                .from_gguf = gpt2_from_gguf,
                                .to_gguf = gpt2_to_gguf,
                                .set = set_gpt2,
                                .weights = kWeights,
                                .fused_qkv = true,
                                .heads_fill_width = true};

}  // namespace r1::model
