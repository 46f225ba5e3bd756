// Llama (Touvron et al., 2023; Llama 3, arXiv 2407.21783), Qwen2 (arXiv 2407.10671) and Qwen3 (arXiv 2505.09388), dense: one config.json
// with few differences. The families with layers of their own that spell the rest as llama does (config_hf.h) share the keys from here.
#include <cmath>
#include <set>
#include <string>

#include "r1/base/log.h"
#include "r1/model/config_hf.h"
#include "r1/model/families.h"
#include "r1/model/quantization.h"

namespace r1::model {

namespace {

// Options that would change the numbers and that no layer here computes.
void refuse_unsupported(const HfReader& r) {
  r.only("hidden_act", {"silu", "swish"}, " (silu is)");
  for (const char* flag : {"mlp_bias", "use_sliding_window", "attn_logit_softcapping", "final_logit_softcapping"}) {
    if (!r.has(flag)) continue;
    const Json& value = r.json[flag];
    if (!(value.is_boolean() && !value.get<bool>())) r.refuse(flag, " = ", value.dump(), " is not supported");
  }
  if (r.has("quantization_config")) parse_quantization(r.json["quantization_config"], r.where);
  if (r.get<double>("partial_rotary_factor", 1.0) != 1.0) r.refuse("partial_rotary_factor is not supported");
  if (r.has("layer_types")) {
    for (const Json& type : r.json["layer_types"]) {
      if (type != "full_attention") r.refuse("layer_types has ", type.dump(), ", only full_attention is supported");
    }
  }
}

void read_yarn(const HfReader& in, ModelConfig& c) {
  c.rope.original_max_position_embeddings = in.get<int64_t>("original_max_position_embeddings", c.max_position_embeddings);
  c.rope.factor = in.get<double>("factor", double(c.max_position_embeddings) / double(c.rope.original_max_position_embeddings));
  c.rope.beta_fast = in.get<double>("beta_fast", 32);
  c.rope.beta_slow = in.get<double>("beta_slow", 1);
  c.rope.mscale = in.get<double>("mscale", 0);
  c.rope.mscale_all_dim = in.get<double>("mscale_all_dim", 0);
  // transformers' own key names the factor itself; attn_factor (DeepSeek-R1-0528-Qwen3-8B) multiplies YaRN's, as its authors and vLLM do.
  c.rope.attention_factor = in.get<double>("attention_factor", 0);
  if (in.has("attn_factor") && !in.has("attention_factor"))
    c.rope.attention_factor = in.need<double>("attn_factor") * (c.rope.factor <= 1 ? 1 : 0.1 * std::log(c.rope.factor) + 1);
  if (!(c.rope.attention_factor >= 0)) in.refuse("attention_factor of rope type yarn: expected at least 0, got ", c.rope.attention_factor);
  if (!in.get<bool>("truncate", true)) in.refuse("truncate = false of rope type yarn is not supported");
}

// A key that is not known may change the numbers; transformers warns of it and goes on, and so does this.
void warn_of_unknown(const HfReader& r, const Json& rope, const std::string& type) {
  std::set<std::string> known = {"rope_type", "type", "rope_theta", "partial_rotary_factor"};
  if (type != "default") known.insert("factor");
  if (type == "llama3") known.insert({"low_freq_factor", "high_freq_factor", "original_max_position_embeddings"});
  if (type == "yarn")
    known.insert({"beta_fast", "beta_slow", "mscale", "mscale_all_dim", "attention_factor", "attn_factor", "truncate",
                  "original_max_position_embeddings"});
  std::string unknown;
  for (const auto& [key, value] : rope.items())
    if (!known.count(key)) unknown += str(unknown.empty() ? "" : ", ", "'", printable(key), "'");
  if (!unknown.empty()) log_warning(r.where, ": rope type ", type, " has keys that are not known and change nothing: ", unknown);
}

// `rope`: transformers 4's rope_scaling or transformers 5's rope_parameters.
void read_scaling(const HfReader& r, const Json& rope, ModelConfig& c) {
  if (!rope.is_object()) r.refuse("rope settings are no object: ", rope.dump());
  const HfReader in{rope, r.where};
  const std::string type = in.has("rope_type") ? in.need<std::string>("rope_type") : in.get<std::string>("type", "default");
  c.rope_theta = in.get<double>("rope_theta", c.rope_theta);
  if (in.get<double>("partial_rotary_factor", 1.0) != 1.0) r.refuse("partial_rotary_factor is not supported");
  if (type == "default") return warn_of_unknown(r, rope, type);
  if (type != "linear" && type != "llama3" && type != "yarn")
    r.refuse("rope type '", type, "' is not supported (default, linear, llama3 and yarn are)");
  c.rope.type = type;
  warn_of_unknown(r, rope, type);
  if (type == "yarn") return read_yarn(in, c);
  c.rope.factor = in.need<double>("factor");
  if (type == "linear") return;
  c.rope.low_freq_factor = in.need<double>("low_freq_factor");
  c.rope.high_freq_factor = in.need<double>("high_freq_factor");
  c.rope.original_max_position_embeddings = in.need<int64_t>("original_max_position_embeddings");
}

// As transformers 4 spells it; 5 reads that too.
Json scaling_json(const RopeScaling& s) {
  Json rope = {{"rope_type", s.type}, {"factor", s.factor}};
  if (s.type == "linear") return rope;
  rope["original_max_position_embeddings"] = s.original_max_position_embeddings;
  if (s.type == "llama3") {
    rope["low_freq_factor"] = s.low_freq_factor;
    rope["high_freq_factor"] = s.high_freq_factor;
    return rope;
  }
  rope["beta_fast"] = s.beta_fast;
  rope["beta_slow"] = s.beta_slow;
  if (s.mscale != 0) rope["mscale"] = s.mscale;
  if (s.mscale_all_dim != 0) rope["mscale_all_dim"] = s.mscale_all_dim;
  if (s.attention_factor != 0) rope["attention_factor"] = s.attention_factor;
  return rope;
}

void llama_from_hf(const HfReader& r, ModelConfig& c) {
  read_llama_keys(r, c);
  read_llama_rope(r, c);
}

void qwen3_from_hf(const HfReader& r, ModelConfig& c) {
  read_llama_keys(r, c);
  if (c.head_dim == 0) c.head_dim = 128;
  read_llama_rope(r, c);
}

void llama_to_hf(const ModelConfig& c, Json& j) {
  write_llama_keys(c, j);
  j["attention_bias"] = c.attention_bias;
  j["attention_dropout"] = 0.0;
  j["mlp_bias"] = false;
  write_llama_rope(c, j);
}

void qwen2_to_hf(const ModelConfig& c, Json& j) {
  write_llama_keys(c, j);
  j["attention_dropout"] = 0.0;
  j["use_sliding_window"] = false;
  write_llama_rope(c, j);
}

void qwen3_to_hf(const ModelConfig& c, Json& j) {
  write_llama_keys(c, j);
  j["attention_bias"] = c.attention_bias;
  j["attention_dropout"] = 0.0;
  j["use_sliding_window"] = false;
  write_llama_rope(c, j);
}

}  // namespace

void read_llama_keys(const HfReader& r, ModelConfig& c) {
  refuse_unsupported(r);
  read_numbers(r, kSizes, c);
  // Where transformers writes a number it always writes these two; a file without them has llama's old meaning.
  c.num_key_value_heads = r.get<int64_t>("num_key_value_heads", c.num_attention_heads);
  c.head_dim = r.get<int64_t>("head_dim", 0);
  c.max_position_embeddings = r.get<int64_t>("max_position_embeddings", c.max_position_embeddings);
  c.rms_norm_eps = r.get<double>("rms_norm_eps", 1e-6);
  c.tie_word_embeddings = r.get<bool>("tie_word_embeddings", false);
  c.attention_bias = r.get<bool>("attention_bias", false);
}

void read_llama_rope(const HfReader& r, ModelConfig& c) {
  c.rope_theta = r.get<double>("rope_theta", 10000);
  if (r.has("rope_scaling")) read_scaling(r, r.json["rope_scaling"], c);
  if (r.has("rope_parameters")) read_scaling(r, r.json["rope_parameters"], c);
}

void write_llama_keys(const ModelConfig& c, Json& j) {
  write_numbers(c, kSizes, j);
  j["num_key_value_heads"] = c.num_key_value_heads;
  j["head_dim"] = c.head_dim;
  j["hidden_act"] = "silu";
  j["max_position_embeddings"] = c.max_position_embeddings;
  j["initializer_range"] = c.initializer_range;
  j["rms_norm_eps"] = c.rms_norm_eps;
  j["use_cache"] = true;
  j["tie_word_embeddings"] = c.tie_word_embeddings;
}

// transformers 4 reads these two; transformers 5 folds them into its rope_parameters.
void write_llama_rope(const ModelConfig& c, Json& j) {
  j["rope_theta"] = c.rope_theta;
  j["rope_scaling"] = c.rope.type == "none" ? Json(nullptr) : scaling_json(c.rope);
}

extern const Family kLlama, kQwen2, kQwen3;
constinit const Family kLlama = {.name = "llama",
                                 .hf_class = "LlamaForCausalLM",
                                 .from_hf = llama_from_hf,
                                 .to_hf = llama_to_hf,
                                 .gguf = "llama",
                                 .rope_rows_permuted_in_gguf = true};
constinit const Family kQwen2 = {.name = "qwen2",
                                 .hf_class = "Qwen2ForCausalLM",
                                 .from_hf = llama_from_hf,
                                 .to_hf = qwen2_to_hf,
                                 .gguf = "qwen2",
                                 .always_qkv_bias = true,
                                 .output_bias = false,
                                 .heads_fill_width = true};
constinit const Family kQwen3 = {.name = "qwen3",
                                 .hf_class = "Qwen3ForCausalLM",
                                 .from_hf = qwen3_from_hf,
                                 .to_hf = qwen3_to_hf,
                                 .gguf = "qwen3",
                                 .always_qk_norm = true};

}  // namespace r1::model
