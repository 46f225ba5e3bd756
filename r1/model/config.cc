#include "r1/model/config.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <set>
#include <string>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/base/log.h"
#include "r1/model/config_hf.h"
#include "r1/model/families.h"

namespace r1::model {

namespace {

// Of quantized weights, DeepSeek's blocks of 128 x 128 in 8 bits are read (tensor/fp8_block); they are plain weights once loaded.
void check_quantization(const HfReader& r, const Json& q) {
  const Json block = q.is_object() && q.contains("weight_block_size") ? q["weight_block_size"] : Json(nullptr);
  if (!q.is_object() || q.value("quant_method", "") != "fp8" || q.value("fmt", "e4m3") != "e4m3" || block != Json::array({128, 128}))
    r.refuse("quantization_config is not supported but for fp8 (e4m3) in blocks of 128 x 128: convert the model to 16 or 32 bit first");
}

// Options that would change the numbers and that no layer here computes.
void refuse_unsupported(const HfReader& r) {
  r.only("hidden_act", {"silu", "swish"}, " (silu is)");
  for (const char* flag : {"mlp_bias", "use_sliding_window", "attn_logit_softcapping", "final_logit_softcapping"}) {
    if (!r.has(flag)) continue;
    const Json& value = r.json[flag];
    if (!(value.is_boolean() && !value.get<bool>())) r.refuse(flag, " = ", value.dump(), " is not supported");
  }
  if (r.has("quantization_config")) check_quantization(r, r.json["quantization_config"]);
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
void read_rope(const HfReader& r, const Json& rope, ModelConfig& c) {
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

// A token id may be missing, null, a number, or (eos) a list whose first is the main one.
int64_t token_id(const HfReader& r, const char* key) {
  if (!r.has(key)) return -1;
  const Json& value = r.json[key];
  if (value.is_array()) {
    if (value.empty()) return -1;
    if (!value[0].is_number_integer()) r.refuse("key '", key, "' holds no token ids: ", value.dump());
    return value[0].get<int64_t>();
  }
  return r.need<int64_t>(key);
}

// Fills the variant's default window; refuses what a variant of attention cannot be combined with.
void finish_attention(ModelConfig& c) {
  AttentionConfig& a = c.attn;
  if (a.window == 0) a.window = c.attention == "hybrid" ? 256 : c.attention == "dynamic_window" ? 512 : c.attention == "lsh" ? 1 : 0;
  const bool rotates = c.attention == "hybrid" || c.attention == "lsh";
  if (rotates && c.positions != "rope")
    fail_usage("model config: attention ", c.attention, " is made of rotated queries and keys: positions must be rope, not ", c.positions);
  if (c.attention == "dynamic_window" && (c.positions != "rope" || c.rope.type != "none"))
    fail_usage("model config: attention dynamic_window has a learned bias of the distance and nothing that positions ", c.positions,
               " or rope_scaling ", c.rope.type, " could act on");
  if (c.attention == "hybrid" && a.window > a.window_max)
    fail_usage("model config: attn.window ", a.window, " exceeds attn.window_max ", a.window_max, ", up to which it grows");
  if ((c.attention == "blockwise" || c.attention == "mla") && a.window > 0)
    fail_usage("model config: attention ", c.attention, " sees everything, attn.window ", a.window,
               " belongs to full, hybrid, lsh or dynamic_window");
  if (a.window_pattern > 0 && c.attention != "full")
    fail_usage("model config: attn.window_pattern mixes windowed and full layers, it belongs to attention full, not ", c.attention);
  if (a.window_pattern > 0 && a.window == 0)
    fail_usage("model config: attn.window_pattern ", a.window_pattern, " needs attn.window, the tokens that the windowed layers see");
}

// What stands in a block must make sense together; the reasons are for the one who wrote the config.
void check_norm_and_positions(const ModelConfig& c) {
  if (c.family == "gemma3_text" && c.norm != "rms")
    fail_usage("model config: family gemma3_text stores its norms as a distance from 1, which norm ", c.norm,
               " does not: use family llama");
  if (c.positions == "learned" && c.rope.type != "none")
    fail_usage("model config: rope_scaling stretches rotary positions, but positions are learned");
  if (c.positions == "learned" && c.attention == "mla")
    fail_usage("model config: attention mla has a rotary key, but positions are learned");
  if (c.num_nextn_predict_layers > 0 && (c.norm != "rms" || c.positions != "rope"))
    fail_usage("model config: multi-token prediction (num_nextn_predict_layers ", c.num_nextn_predict_layers,
               ") has RMSNorm and rotary positions, not norm ", c.norm, " and positions ", c.positions);
  if (!(c.embedding_scale > 0)) fail_usage("model config: embedding_scale 0 would wipe out the embedding");
  if (c.attn.window_pattern == 1) fail_usage("model config: attn.window_pattern 1 leaves no layer with a window: set attn.window to 0");
}

void check_ffn(const ModelConfig& c) {
  if (c.ffn == "norm_gelu" && c.family == "gemma3_text")
    fail_usage(
        "model config: family gemma3_text stores its norms as a distance from 1, which the one inside ffn norm_gelu does not:"
        " use family llama");
  if (c.ffn != "topk_sparse") return;
  const SparseConfig& s = c.sparse;
  if (c.mlp_bias) fail_usage("model config: ffn topk_sparse has no biases: a neuron that is off must add nothing");
  if (c.moe.n_routed_experts > 0) fail_usage("model config: ffn topk_sparse beside experts: a mixture is sparse already");
  if (!(s.min_sparsity <= s.sparsity && s.sparsity <= s.max_sparsity))
    fail_usage("model config: sparse.sparsity ", s.sparsity, " must lie in [sparse.min_sparsity, sparse.max_sparsity] = [", s.min_sparsity,
               ", ", s.max_sparsity, "]");
}

}  // namespace

void finish_config(ModelConfig& c) {
  const auto positive = [](int64_t value, const char* key) {
    if (value <= 0) fail_usage("model config: ", key, " must be given and positive, got ", value);
  };
  positive(c.vocab_size, "vocab_size");
  positive(c.hidden_size, "hidden_size");
  positive(c.intermediate_size, "intermediate_size");
  positive(c.num_hidden_layers, "num_hidden_layers");
  positive(c.num_attention_heads, "num_attention_heads");
  positive(c.max_position_embeddings, "max_position_embeddings");
  finish_mla(c);
  if (c.num_key_value_heads == 0) c.num_key_value_heads = c.num_attention_heads;
  if (c.head_dim == 0) {
    if (c.hidden_size % c.num_attention_heads != 0) {
      fail_usage("model config: hidden_size ", c.hidden_size, " is not a multiple of num_attention_heads ", c.num_attention_heads,
                 ": give head_dim");
    }
    c.head_dim = c.hidden_size / c.num_attention_heads;
  }
  if (c.num_key_value_heads < 0 || c.num_attention_heads % c.num_key_value_heads != 0) {
    fail_usage("model config: num_key_value_heads ", c.num_key_value_heads, " does not divide num_attention_heads ", c.num_attention_heads);
  }
  if (c.head_dim < 2 || c.head_dim % 2 != 0) fail_usage("model config: head_dim must be even, got ", c.head_dim);
  if (c.family == "qwen2") c.attention_bias = true;
  const bool qwen3 = c.family == "qwen3" || c.family == "qwen3_moe";
  if (qwen3) c.qk_norm = true;
  if ((c.family == "qwen2" || c.family == "gpt2") && c.head_dim * c.num_attention_heads != c.hidden_size) {
    fail_usage("model config: ", c.family, " has head_dim = hidden_size / num_attention_heads, got ", c.head_dim);
  }
  finish_attention(c);
  check_rope(c);
  check_moe(c);
  check_norm_and_positions(c);
  check_ffn(c);
}

void finish_config_of(const std::string& file, ModelConfig& c) {
  try {
    finish_config(c);
  } catch (const Error& e) {
    fail(file, ": ", e.what());
  }
}

void read_common_hf(const HfReader& r, ModelConfig& c) {
  c.initializer_range = r.get<double>("initializer_range", 0.02);
  c.bos_token_id = token_id(r, "bos_token_id");
  c.eos_token_id = token_id(r, "eos_token_id");
  c.pad_token_id = token_id(r, "pad_token_id");
  c.torch_dtype = r.has("dtype") ? r.need<std::string>("dtype") : r.get<std::string>("torch_dtype", "float32");
  finish_config_of(r.where, c);
}

void write_common_hf(const ModelConfig& c, Json& j) {
  const auto id = [](int64_t value) { return value < 0 ? Json(nullptr) : Json(value); };
  j["bos_token_id"] = id(c.bos_token_id);
  j["eos_token_id"] = id(c.eos_token_id);
  j["pad_token_id"] = id(c.pad_token_id);
  j["torch_dtype"] = c.torch_dtype;
}

void set_family(ModelConfig& c, const std::string& family) {
  c.family = family;
  if (family == "gpt2") set_gpt2(c);
  if (family == "gemma3_text") set_gemma3(c);
}

namespace {

// What no published family has (variants of nn/, training-only numbers) stands under this key of config.json, as far as it differs from
// what the family's own keys say. A file whose network is no published one has model_type "r1", so that no other program takes it for one.
constexpr const char* kOwnKey = "r1";

ModelConfig published_config(const Json& json, const std::string& where) {
  const HfReader r{json, where};
  ModelConfig c;
  c.family = r.need<std::string>("model_type");
  if (c.family == "gpt2") return gpt2_from_hf(r);
  if (c.family == "gemma3_text") return gemma3_from_hf(r);
  if (c.family != "llama" && c.family != "qwen2" && c.family != "qwen3" && c.family != "qwen3_moe" && !is_deepseek(c.family))
    r.refuse("model_type '", c.family,
             "' is not supported (llama, qwen2, qwen3, qwen3_moe, deepseek_v2, deepseek_v3, gpt2 and gemma3_text are)");
  refuse_unsupported(r);
  read_numbers(r, kSizes, c);
  // Where transformers writes a number it always writes these two; a file without them has llama's old meaning.
  c.num_key_value_heads = r.get<int64_t>("num_key_value_heads", c.num_attention_heads);
  c.head_dim = r.get<int64_t>("head_dim", 0);
  if (c.family == "qwen3" && c.head_dim == 0) c.head_dim = 128;
  c.max_position_embeddings = r.get<int64_t>("max_position_embeddings", c.max_position_embeddings);
  c.rms_norm_eps = r.get<double>("rms_norm_eps", 1e-6);
  c.tie_word_embeddings = r.get<bool>("tie_word_embeddings", false);
  c.attention_bias = r.get<bool>("attention_bias", false);
  c.rope_theta = r.get<double>("rope_theta", 10000);
  if (is_deepseek(c.family)) read_deepseek(r, c);
  if (c.family == "qwen3_moe") read_qwen3_moe(r, c);
  if (r.has("rope_scaling")) read_rope(r, json["rope_scaling"], c);
  if (r.has("rope_parameters")) read_rope(r, json["rope_parameters"], c);
  read_common_hf(r, c);
  return c;
}

const char* architecture_of(const std::string& family) {
  static constexpr std::pair<const char*, const char*> kClasses[] = {{"llama", "LlamaForCausalLM"},
                                                                     {"qwen2", "Qwen2ForCausalLM"},
                                                                     {"qwen3", "Qwen3ForCausalLM"},
                                                                     {"qwen3_moe", "Qwen3MoeForCausalLM"},
                                                                     {"deepseek_v2", "DeepseekV2ForCausalLM"},
                                                                     {"deepseek_v3", "DeepseekV3ForCausalLM"}};
  for (const auto& [name, architecture] : kClasses) {
    if (family == name) return architecture;
  }
  fail_usage("model config: family ", family, " has no config.json here");
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

Json published_json(const ModelConfig& c) {
  if (c.family == "gpt2") return gpt2_to_hf(c);
  if (c.family == "gemma3_text") return gemma3_to_hf(c);
  const bool llama = c.family == "llama", qwen2 = c.family == "qwen2", deepseek = is_deepseek(c.family);
  Json j;
  j["architectures"] = {architecture_of(c.family)};
  j["model_type"] = c.family;
  write_numbers(c, kSizes, j);
  j["num_key_value_heads"] = c.num_key_value_heads;
  j["head_dim"] = c.head_dim;
  j["hidden_act"] = "silu";
  j["max_position_embeddings"] = c.max_position_embeddings;
  j["initializer_range"] = c.initializer_range;
  j["rms_norm_eps"] = c.rms_norm_eps;
  j["use_cache"] = true;
  j["tie_word_embeddings"] = c.tie_word_embeddings;
  if (!qwen2) j["attention_bias"] = c.attention_bias;
  j["attention_dropout"] = 0.0;
  if (llama) j["mlp_bias"] = false;
  if (!llama && !deepseek) j["use_sliding_window"] = false;
  if (deepseek) write_deepseek(c, j);
  if (c.family == "qwen3_moe") write_qwen3_moe(c, j);
  // transformers 4 reads these two; transformers 5 folds them into its rope_parameters.
  j["rope_theta"] = c.rope_theta;
  j["rope_scaling"] = nullptr;
  if (c.rope.type != "none") j["rope_scaling"] = scaling_json(c.rope);
  write_common_hf(c, j);
  return j;
}

// The members of `object` that `base` lacks or has otherwise, groups member by member.
Json differing(const Json& object, const Json& base) {
  Json out = Json::object();
  for (const auto& [key, value] : object.items()) {
    const auto it = base.find(key);
    if (it != base.end() && *it == value) continue;
    out[key] = it != base.end() && value.is_object() && it->is_object() ? differing(value, *it) : value;
  }
  return out;
}

// Numbers that steer training only: another program may load the network without them.
bool training_only(const Json& own) {
  static constexpr const char* kKeys[] = {"initializer_range", "ffn_dropout", "mtp_loss_weight", "torch_dtype"};
  static constexpr const char* kMoeKeys[] = {"bias_update_speed", "aux_loss_coef", "aux_loss"};
  for (const auto& [key, value] : own.items()) {
    if (std::find(std::begin(kKeys), std::end(kKeys), key) != std::end(kKeys)) continue;
    if (key != "moe") return false;
    for (const auto& [inner, ignored] : value.items()) {
      if (std::find(std::begin(kMoeKeys), std::end(kMoeKeys), inner) == std::end(kMoeKeys)) return false;
    }
  }
  return true;
}

}  // namespace

ModelConfig config_from_hf(const Json& json, const std::string& where) {
  if (!json.is_object()) fail(where, ": not a JSON object");
  const auto own = json.find(kOwnKey);
  if (own == json.end()) return published_config(json, where);
  if (!own->is_object()) fail(where, ": key '", kOwnKey, "' is no object");
  Json published = json;
  if (own->contains("family")) published["model_type"] = own->at("family");
  ModelConfig c = published_config(published, where);
  apply_settings(c, json_settings(*own, where + ": " + kOwnKey));
  finish_config(c);
  return c;
}

Json config_to_hf(const ModelConfig& c) {
  Json j = published_json(c);
  const Json own = differing(config_to_json(c), config_to_json(published_config(j, "model config")));
  if (own.empty()) return j;
  j[kOwnKey] = own;
  if (training_only(own)) return j;
  j["architectures"] = {"R1ForCausalLM"};
  j["model_type"] = "r1";
  j[kOwnKey]["family"] = c.family;
  return j;
}

void RopeScaling::visit(Fields& v) {
  v("type", type, "rope scaling rule", OneOf{"none", "linear", "llama3", "yarn"});
  v("factor", factor, "how much longer than trained", Range{1, 1e6});
  v("low_freq_factor", low_freq_factor, "llama3: wavelengths above original/low are divided by factor", Range{0, 1e6});
  v("high_freq_factor", high_freq_factor, "llama3: wavelengths below original/high are kept", Range{0, 1e6});
  v("original_max_position_embeddings", original_max_position_embeddings, "trained context", Range{1, 1e9});
  v("beta_fast", beta_fast, "yarn: pairs that turn more often than this in the trained context are kept", Range{0, 1e6});
  v("beta_slow", beta_slow, "yarn: pairs that turn less often than this are divided by factor", Range{0, 1e6});
  v("mscale", mscale, "yarn: 0.1 mscale ln(factor) + 1 scales the rotated vectors", Range{0, 100});
  v("mscale_all_dim", mscale_all_dim, "yarn: the same for the softmax scale, squared (DeepSeek)", Range{0, 100});
  v("attention_factor", attention_factor, "yarn: scales the rotated vectors instead of what mscale says; 0: by mscale", Range{0, 100});
}

void MlaConfig::visit(Fields& v) {
  v("q_lora_rank", q_lora_rank, "width of the query latent; 0: queries straight from the residual stream", Range{0, 1e6});
  v("kv_lora_rank", kv_lora_rank, "width of the latent of keys and values, which the engine caches", Range{0, 1e6});
  v("qk_nope_head_dim", qk_nope_head_dim, "part of a head without positions", Range{0, 1e4});
  v("qk_rope_head_dim", qk_rope_head_dim, "part of a head that is rotated; its key is shared by all heads", Range{0, 1e4});
  v("v_head_dim", v_head_dim, "size of a value", Range{0, 1e4});
}

void MoeConfig::visit(Fields& v) {
  v("n_routed_experts", n_routed_experts, "experts that tokens are sent to; 0: a dense network", Range{0, 1e5});
  v("n_shared_experts", n_shared_experts, "experts that see every token", Range{0, 1e4});
  v("num_experts_per_tok", num_experts_per_tok, "routed experts a token", Range{0, 1e4});
  v("moe_intermediate_size", moe_intermediate_size, "width of one expert", Range{0, 1e7});
  v("first_k_dense_replace", first_k_dense_replace, "leading layers that stay dense", Range{0, 1e4});
  v("n_group", n_group, "groups of experts (nodes)", Range{1, 1e4});
  v("topk_group", topk_group, "groups that a token may use", Range{1, 1e4});
  v("gate", gate, "score of an expert", OneOf{"sigmoid", "softmax", "context_sigmoid"});
  v("group_score", group_score, "score of a group: sum of its best two, or its best", OneOf{"top2", "max"});
  v("norm_topk_prob", norm_topk_prob, "gates of the chosen experts sum to 1");
  v("bias", bias, "a bias in the choice (never in the gate) that is moved after each step towards equal load");
  v("routed_scaling_factor", routed_scaling_factor, "factor of the gates", Range{0, 1e4});
  v("bias_update_speed", bias_update_speed, "gamma: how far a step moves the bias", Range{0, 1});
  v("aux_loss_coef", aux_loss_coef, "alpha of the balance loss; 0: none", Range{0, 10});
  v("aux_loss", aux_loss, "balance loss over each sequence, over the batch, or squared distance from equal shares",
    OneOf{"sequence", "batch", "square"});
}

void AttentionConfig::visit(Fields& v) {
  v("window", window, "tokens that a windowed layer sees (itself included); 0: the variant's default", Range{0, 1e9});
  v("window_max", window_max, "hybrid: the window grows with the sequence up to this", Range{1, 1e9});
  v("window_pattern", window_pattern, "every n-th layer sees all, the others the window (Gemma 3: 6); 0: all layers alike", Range{0, 1e4});
  v("block", block, "blockwise: queries and keys of one block", Range{1, 1e9});
  v("hash_rounds", hash_rounds, "lsh: independent hashings", Range{1, 64});
  v("bucket_size", bucket_size, "lsh: tokens a bucket in the mean", Range{1, 1e6});
  v("local_rope_theta", local_rope_theta, "rope base of windowed layers under window_pattern (rope_scaling is not for them)",
    Range{1, 1e12});
  v("scale", scale, "softmax scale; 0: 1 / sqrt(head size)", Range{0, 1e3});
}

void SparseConfig::visit(Fields& v) {
  v("sparsity", sparsity, "share of neurons that are off at the start", Range{0, 0.99});
  v("min_sparsity", min_sparsity, "the controller's lower end", Range{0, 0.99});
  v("max_sparsity", max_sparsity, "the controller's upper end", Range{0, 0.99});
  v("target_grad_norm", target_grad_norm, "gradient norm of a layer that the controller steers to; 0: the mean of all layers",
    Range{0, 1e9});
  v("speed", speed, "how far a step moves the share", Range{0, 1});
}

void ModelConfig::visit(Fields& v) {
  v("family", family, "which published family the layers and weight names follow",
    OneOf{"llama", "qwen2", "qwen3", "qwen3_moe", "deepseek_v2", "deepseek_v3", "gpt2", "gemma3_text"});
  v("vocab_size", vocab_size, "rows of the embedding", Range{0, 1e7});
  v("hidden_size", hidden_size, "width of the residual stream", Range{0, 1e6});
  v("intermediate_size", intermediate_size, "width of the MLP", Range{0, 1e7});
  v("num_hidden_layers", num_hidden_layers, "layers", Range{0, 1e4});
  v("num_attention_heads", num_attention_heads, "query heads", Range{0, 1e4});
  v("num_key_value_heads", num_key_value_heads, "key and value heads (0: as many as query heads)", Range{0, 1e4});
  v("head_dim", head_dim, "size of a head (0: hidden_size / num_attention_heads)", Range{0, 1e4});
  v("max_position_embeddings", max_position_embeddings, "longest sequence", Range{1, 1e9});
  v("rms_norm_eps", rms_norm_eps, "epsilon of the norms", Range{0, 1});
  v("rope_theta", rope_theta, "base of the rotary embedding", Range{1, 1e12});
  v.group("rope_scaling", rope);
  v("initializer_range", initializer_range, "standard deviation of new weights", Range{0, 10});
  v("tie_word_embeddings", tie_word_embeddings, "the head is the embedding");
  v("attention_bias", attention_bias, "bias on q, k, v");
  v("qk_norm", qk_norm, "RMSNorm on q and k per head");
  v("attention", attention, "how tokens look at each other", OneOf{"full", "mla", "blockwise", "hybrid", "lsh", "dynamic_window"});
  v("norm", norm, "what stands before a layer", OneOf{"rms", "layer", "power", "none"});
  v("ffn", ffn, "the MLP", OneOf{"swiglu", "geglu", "gelu", "norm_gelu", "topk_sparse"});
  v("positions", positions, "rotary, or learned and added to the embedding (GPT-2)", OneOf{"rope", "learned"});
  v("rope_interleaved", rope_interleaved, "rotary pairs are neighbours, not halves");
  v("mlp_bias", mlp_bias, "bias in the MLP");
  v("post_norms", post_norms, "norms behind attention and MLP as well (Gemma)");
  v("embedding_scale", embedding_scale, "factor of the embedding (Gemma: sqrt(hidden_size))", Range{0, 1e6});
  v("ffn_dropout", ffn_dropout, "dropout inside the MLP in training", Range{0, 0.99});
  v.group("mla", mla);
  v.group("moe", moe);
  v.group("attn", attn);
  v.group("sparse", sparse);
  v("num_nextn_predict_layers", num_nextn_predict_layers, "depth of multi-token prediction", Range{0, 16});
  v("mtp_loss_weight", mtp_loss_weight, "lambda of its loss", Range{0, 10});
  v("bos_token_id", bos_token_id, "-1: none", Range{-1, 1e7});
  v("eos_token_id", eos_token_id, "-1: none", Range{-1, 1e7});
  v("pad_token_id", pad_token_id, "-1: none", Range{-1, 1e7});
  v("torch_dtype", torch_dtype, "dtype of the stored weights", OneOf{"float32", "bfloat16", "float16"});
}

}  // namespace r1::model
