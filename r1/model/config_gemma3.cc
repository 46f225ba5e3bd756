// Gemma 3, text (Gemma Team, "Gemma 3 Technical Report", arXiv 2503.19786): RMSNorm with 1 + weight before and behind attention and MLP,
// norms of the heads of q and k, embeddings times sqrt(hidden_size), GEGLU, and five layers out of six that see a sliding window only and
// have a rotary base of their own, which no scaling touches. The document of adding a family (docs/adding_a_model.md) walks through this
// file.
#include <cmath>

#include "r1/base/error.h"
#include "r1/model/families.h"

namespace r1::model {

namespace {

constexpr int64_t kPattern = 6;
constexpr double kLocalTheta = 10000;

bool has(const Json& json, const char* key) {
  const auto it = json.find(key);
  return it != json.end() && !it->is_null();
}

void refuse_unsupported(const Json& json, const std::string& where) {
  for (const char* key : {"hidden_activation", "hidden_act"}) {
    const auto activation = json_get_or<std::string>(json, key, "gelu_pytorch_tanh", where);
    if (activation != "gelu_pytorch_tanh") fail(where, ": ", key, " '", activation, "' is not supported (gelu_pytorch_tanh is)");
  }
  for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    if (has(json, key)) fail(where, ": ", key, " = ", json[key].dump(), " is not supported");
  }
  if (json_get_or(json, "use_bidirectional_attention", false, where)) fail(where, ": use_bidirectional_attention = true is not supported");
  if (has(json, "quantization_config")) fail(where, ": quantization_config is not supported: convert the model to 16 or 32 bit first");
}

// Which layers see everything: every n-th. `layer_types` says it layer by layer; older files give n alone.
int64_t read_pattern(const Json& json, const ModelConfig& c, const std::string& where) {
  const char* key = json.contains("_sliding_window_pattern") ? "_sliding_window_pattern" : "sliding_window_pattern";
  const int64_t given = json_get_or<int64_t>(json, key, kPattern, where);
  if (!has(json, "layer_types")) return given;
  const auto types = json_get<std::vector<std::string>>(json, "layer_types", where);
  if (int64_t(types.size()) != c.num_hidden_layers)
    fail(where, ": layer_types has ", types.size(), " entries for ", c.num_hidden_layers, " layers");
  int64_t pattern = 0;  // the first layer that sees everything, counted from 1
  for (size_t i = 0; i < types.size() && pattern == 0; ++i) {
    if (types[i] == "full_attention") pattern = int64_t(i) + 1;
  }
  if (pattern == 0) pattern = std::max(given, c.num_hidden_layers + 1);
  for (size_t i = 0; i < types.size(); ++i) {
    const char* expected = (int64_t(i) + 1) % pattern == 0 ? "full_attention" : "sliding_attention";
    if (types[i] != expected)
      fail(where, ": layer_types has '", types[i], "' at layer ", i, ", expected ", expected, ": every ", pattern,
           "th layer sees everything");
  }
  return pattern;
}

void read_global_rope(const Json& rope, const std::string& where, ModelConfig& c) {
  const std::string type = json_get_or<std::string>(rope, rope.contains("rope_type") ? "rope_type" : "type", "default", where);
  c.rope_theta = json_get_or(rope, "rope_theta", c.rope_theta, where);
  if (type == "default") return;
  if (type != "linear") fail(where, ": rope type '", type, "' is not supported for gemma3_text (default and linear are)");
  c.rope.type = type;
  c.rope.factor = json_get<double>(rope, "factor", where);
}

// transformers 4: rope_theta, rope_local_base_freq, rope_scaling of the global layers. 5: rope_parameters by kind of layer.
void read_rope(const Json& json, const std::string& where, ModelConfig& c) {
  c.rope_theta = json_get_or(json, "rope_theta", 1e6, where);
  c.attn.local_rope_theta = json_get_or(json, "rope_local_base_freq", kLocalTheta, where);
  if (has(json, "rope_scaling")) read_global_rope(json["rope_scaling"], where, c);
  if (!has(json, "rope_parameters")) return;
  const Json& rope = json["rope_parameters"];
  if (!rope.is_object()) fail(where, ": rope_parameters is no object");
  if (!rope.contains("full_attention")) return read_global_rope(rope, where, c);
  read_global_rope(json_get<Json>(rope, "full_attention", where), where, c);
  const Json local = json_get_or<Json>(rope, "sliding_attention", Json::object(), where);
  if (json_get_or<std::string>(local, "rope_type", "default", where) != "default")
    fail(where, ": rope_parameters.sliding_attention is scaled, which is not supported");
  c.attn.local_rope_theta = json_get_or(local, "rope_theta", c.attn.local_rope_theta, where);
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

}  // namespace

void set_gemma3(ModelConfig& c) {
  c.family = "gemma3_text";
  c.norm = "rms";
  c.ffn = "geglu";
  c.post_norms = c.qk_norm = true;
  c.embedding_scale = std::sqrt(double(c.hidden_size));
}

ModelConfig gemma3_from_hf(const Json& json, const std::string& where) {
  refuse_unsupported(json, where);
  const auto need = [&](const char* key) { return json_get<int64_t>(json, key, where); };
  const auto get = [&](const char* key, auto fallback) { return json_get_or(json, key, fallback, where); };
  ModelConfig c;
  c.vocab_size = need("vocab_size");
  c.hidden_size = need("hidden_size");
  c.intermediate_size = need("intermediate_size");
  c.num_hidden_layers = need("num_hidden_layers");
  c.num_attention_heads = need("num_attention_heads");
  c.num_key_value_heads = get("num_key_value_heads", int64_t{4});
  c.head_dim = get("head_dim", int64_t{256});
  c.max_position_embeddings = get("max_position_embeddings", int64_t{131072});
  c.rms_norm_eps = get("rms_norm_eps", 1e-6);
  c.tie_word_embeddings = get("tie_word_embeddings", true);
  c.attention_bias = get("attention_bias", false);
  set_gemma3(c);
  const double scalar = get("query_pre_attn_scalar", 256.0);
  if (scalar <= 0) fail(where, ": query_pre_attn_scalar must be positive, got ", scalar);
  if (scalar != double(c.head_dim)) c.attn.scale = 1 / std::sqrt(scalar);
  c.attn.window = get("sliding_window", int64_t{4096});
  c.attn.window_pattern = read_pattern(json, c, where);
  if (c.attn.window_pattern == 1) c.attn.window = c.attn.window_pattern = 0;  // no layer has it
  read_rope(json, where, c);
  read_common_hf(json, where, c);
  return c;
}

Json gemma3_to_hf(const ModelConfig& c) {
  Json j;
  j["architectures"] = {"Gemma3ForCausalLM"};
  j["model_type"] = "gemma3_text";
  j["vocab_size"] = c.vocab_size;
  j["hidden_size"] = c.hidden_size;
  j["intermediate_size"] = c.intermediate_size;
  j["num_hidden_layers"] = c.num_hidden_layers;
  j["num_attention_heads"] = c.num_attention_heads;
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
  write_common_hf(c, j);
  return j;
}

// llama.cpp keeps the pattern, the local base and the score's scale in its code.
void gemma3_from_gguf(const GgufFile& file, ModelConfig& c) {
  set_gemma3(c);
  constexpr int64_t kLayers27b = 62;
  c.attn.window = file.integer("gemma3.attention.sliding_window");
  c.attn.window_pattern = file.integer_or("gemma3.attention.sliding_window_pattern", kPattern);
  c.attn.local_rope_theta = file.number_or("gemma3.rope.freq_base_swa", kLocalTheta);
  if (c.num_hidden_layers == kLayers27b) c.attn.scale = 1 / std::sqrt(double(c.hidden_size) / double(c.num_attention_heads));
}

}  // namespace r1::model
