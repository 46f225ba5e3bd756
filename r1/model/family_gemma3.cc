// Gemma 3, text (Gemma Team, "Gemma 3 Technical Report", arXiv 2503.19786): RMSNorm with 1 + weight before and after attention and MLP,
// norms of the heads of q and k, embeddings times sqrt(hidden_size), GEGLU, and five layers out of six that see a sliding window only and
// have a rotary base of their own, which no scaling touches. The document of adding a family (docs/adding_a_model.md) walks through this
// file.
#include <cmath>

#include "r1/model/config_hf.h"
#include "r1/model/families.h"
#include "r1/model/quantization.h"

namespace r1::model {

namespace {

constexpr int64_t kPattern = 6;
constexpr double kLocalTheta = 10000;
constexpr int64_t kLayers27b = 62;

void refuse_unsupported(const HfReader& r) {
  for (const char* key : {"hidden_activation", "hidden_act"}) r.only(key, {"gelu_pytorch_tanh"}, " (gelu_pytorch_tanh is)");
  for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    if (r.has(key)) r.refuse(key, " = ", r.json[key].dump(), " is not supported");
  }
  if (r.get<bool>("use_bidirectional_attention", false)) r.refuse("use_bidirectional_attention = true is not supported");
  if (r.has("quantization_config")) parse_quantization(r.json["quantization_config"], r.where);
}

// Which layers see everything: every n-th. `layer_types` says it layer by layer; older files give n alone.
int64_t read_pattern(const HfReader& r, const ModelConfig& c) {
  const char* key = r.json.contains("_sliding_window_pattern") ? "_sliding_window_pattern" : "sliding_window_pattern";
  const int64_t given = r.get<int64_t>(key, kPattern);
  if (!r.has("layer_types")) return given;
  const auto types = r.need<std::vector<std::string>>("layer_types");
  if (int64_t(types.size()) != c.num_hidden_layers)
    r.refuse("layer_types has ", types.size(), " entries for ", c.num_hidden_layers, " layers");
  int64_t pattern = 0;  // the first layer that sees everything, counted from 1
  for (size_t i = 0; i < types.size() && pattern == 0; ++i) {
    if (types[i] == "full_attention") pattern = int64_t(i) + 1;
  }
  if (pattern == 0) pattern = std::max(given, c.num_hidden_layers + 1);
  for (size_t i = 0; i < types.size(); ++i) {
    const char* expected = (int64_t(i) + 1) % pattern == 0 ? "full_attention" : "sliding_attention";
    if (types[i] != expected)
      r.refuse("layer_types has '", types[i], "' at layer ", i, ", expected ", expected, ": every ", pattern, "th layer sees everything");
  }
  return pattern;
}

void read_global_rope(const HfReader& r, ModelConfig& c) {
  const std::string type = r.get<std::string>(r.json.contains("rope_type") ? "rope_type" : "type", "default");
  c.rope_theta = r.get<double>("rope_theta", c.rope_theta);
  if (type == "default") return;
  if (type != "linear") r.refuse("rope type '", type, "' is not supported for gemma3_text (default and linear are)");
  c.rope.type = type;
  c.rope.factor = r.need<double>("factor");
}

// transformers 4: rope_theta, rope_local_base_freq, rope_scaling of the global layers. 5: rope_parameters by kind of layer.
void read_rope(const HfReader& r, ModelConfig& c) {
  c.rope_theta = r.get<double>("rope_theta", 1e6);
  c.attn.local_rope_theta = r.get<double>("rope_local_base_freq", kLocalTheta);
  if (r.has("rope_scaling")) read_global_rope({r.json["rope_scaling"], r.where}, c);
  if (!r.has("rope_parameters")) return;
  const HfReader rope{r.json["rope_parameters"], r.where};
  if (!rope.json.is_object()) r.refuse("rope_parameters is no object");
  if (!rope.has("full_attention")) return read_global_rope(rope, c);
  read_global_rope({rope.json["full_attention"], r.where}, c);
  if (!rope.has("sliding_attention")) return;
  const HfReader local{rope.json["sliding_attention"], r.where};
  if (local.get<std::string>("rope_type", "default") != "default")
    r.refuse("rope_parameters.sliding_attention is scaled, which is not supported");
  c.attn.local_rope_theta = local.get<double>("rope_theta", c.attn.local_rope_theta);
}

std::vector<std::string> layer_types(const ModelConfig& c) {
  std::vector<std::string> types;
  for (int64_t i = 1; i <= c.num_hidden_layers; ++i) {
    const bool local = c.attn.window > 0 && (c.attn.window_pattern == 0 || i % c.attn.window_pattern != 0);
    types.push_back(local ? "sliding_attention" : "full_attention");
  }
  return types;
}

// The published files have whole numbers here.
Json query_scalar(const ModelConfig& c) {
  if (c.attn.scale == 0) return c.head_dim;
  const double scalar = 1 / (c.attn.scale * c.attn.scale), whole = std::round(scalar);
  return std::abs(scalar - whole) < 1e-9 * whole ? Json(int64_t(whole)) : Json(scalar);
}

using enum WeightKind;

// llama's post_attention_layernorm is the norm before the MLP; Gemma's stands after attention.
constexpr KnownWeight kWeights[] = {
    {"layers.#.attention_post_norm", "model.layers.#.post_attention_layernorm.weight", "blk.#.post_attention_norm.weight", kNorm, -1},
    {"layers.#.mlp_norm", "model.layers.#.pre_feedforward_layernorm.weight", "blk.#.ffn_norm.weight", kNorm, -1},
    {"layers.#.mlp_post_norm", "model.layers.#.post_feedforward_layernorm.weight", "blk.#.post_ffw_norm.weight", kNorm, -1},
};

void set_gemma3(ModelConfig& c) {
  c.norm = "rms";
  c.ffn = "geglu";
  c.post_norms = c.qk_norm = true;
  c.embedding_scale = std::sqrt(double(c.hidden_size));
}

void gemma3_from_hf(const HfReader& r, ModelConfig& c) {
  refuse_unsupported(r);
  read_numbers(r, kSizes, c);
  c.num_key_value_heads = r.get<int64_t>("num_key_value_heads", 4);
  c.head_dim = r.get<int64_t>("head_dim", 256);
  c.max_position_embeddings = r.get<int64_t>("max_position_embeddings", 131072);
  c.rms_norm_eps = r.get<double>("rms_norm_eps", 1e-6);
  c.tie_word_embeddings = r.get<bool>("tie_word_embeddings", true);
  c.attention_bias = r.get<bool>("attention_bias", false);
  set_gemma3(c);
  const auto scalar = r.get<double>("query_pre_attn_scalar", 256);
  if (scalar <= 0) r.refuse("query_pre_attn_scalar must be positive, got ", scalar);
  if (scalar != double(c.head_dim)) c.attn.scale = 1 / std::sqrt(scalar);
  c.attn.window = r.get<int64_t>("sliding_window", 4096);
  c.attn.window_pattern = read_pattern(r, c);
  if (c.attn.window_pattern == 1) c.attn.window = c.attn.window_pattern = 0;  // no layer has it
  read_rope(r, c);
}

void gemma3_to_hf(const ModelConfig& c, Json& j) {
  write_numbers(c, kSizes, j);
  j["num_key_value_heads"] = c.num_key_value_heads;
  j["head_dim"] = c.head_dim;
  j["hidden_activation"] = "gelu_pytorch_tanh";
  j["max_position_embeddings"] = c.max_position_embeddings;
  j["initializer_range"] = c.initializer_range;
  j["rms_norm_eps"] = c.rms_norm_eps;
  j["tie_word_embeddings"] = c.tie_word_embeddings;
  j["attention_bias"] = c.attention_bias;
  j["attention_dropout"] = 0.0;
  j["query_pre_attn_scalar"] = query_scalar(c);
  j["sliding_window"] = c.attn.window > 0 ? c.attn.window : 4096;
  j["sliding_window_pattern"] = c.attn.window > 0 ? c.attn.window_pattern : 1;
  j["layer_types"] = layer_types(c);
  // transformers 4 reads these three; transformers 5 folds them into its rope_parameters.
  j["rope_theta"] = c.rope_theta;
  j["rope_local_base_freq"] = c.attn.local_rope_theta;
  j["rope_scaling"] = c.rope.type == "linear" ? Json{{"rope_type", "linear"}, {"factor", c.rope.factor}} : Json(nullptr);
  j["use_cache"] = true;
}

// llama.cpp keeps the pattern, the local base and the score's scale in its code.
void gemma3_from_gguf(const GgufFile& file, ModelConfig& c) {
  set_gemma3(c);
  c.attn.window = file.integer("gemma3.attention.sliding_window");
  c.attn.window_pattern = file.integer_or("gemma3.attention.sliding_window_pattern", kPattern);
  c.attn.local_rope_theta = file.number_or("gemma3.rope.freq_base_swa", kLocalTheta);
  if (c.num_hidden_layers == kLayers27b) c.attn.scale = 1 / std::sqrt(double(c.hidden_size) / double(c.num_attention_heads));
}

void gemma3_to_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  ModelConfig back = c;
  back.attn.scale = 0;
  if (c.num_hidden_layers == kLayers27b) back.attn.scale = 1 / std::sqrt(double(c.hidden_size) / double(c.num_attention_heads));
  if (back.attn.scale != c.attn.scale)
    fail_usage("GGUF has no key for gemma3's query_pre_attn_scalar, and this one is not the published one");
  metadata.add_u32("gemma3.attention.sliding_window", c.attn.window);
  if (c.attn.window_pattern != kPattern) metadata.add_u32("gemma3.attention.sliding_window_pattern", c.attn.window_pattern);
  metadata.add_f32("gemma3.rope.freq_base_swa", c.attn.local_rope_theta);
}

}  // namespace

extern const Family kGemma3;
constinit const Family kGemma3 = {.name = "gemma3_text",
                                  .hf_class = "Gemma3ForCausalLM",
                                  .from_hf = gemma3_from_hf,
                                  .to_hf = gemma3_to_hf,
                                  .gguf = "gemma3",
                                  .from_gguf = gemma3_from_gguf,
                                  .to_gguf = gemma3_to_gguf,
                                  .set = set_gemma3,
                                  .weights = kWeights,
                                  .norm_offset = 1};

}  // namespace r1::model
