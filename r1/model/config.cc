#include "r1/model/config.h"

#include <algorithm>
#include <string>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/model/config_hf.h"
#include "r1/model/families.h"

namespace r1::model {

namespace {

// A token id may be missing, null, a number, or (eos) a list whose first is the main one.
std::vector<int64_t> token_ids(const HfReader& r, const char* key) {
  if (!r.has(key)) return {};
  const Json& value = r.json[key];
  if (!value.is_array()) return {r.need<int64_t>(key)};
  std::vector<int64_t> ids;
  for (const Json& id : value) {
    if (!id.is_number_integer()) r.refuse("key '", key, "' holds no token ids: ", value.dump());
    ids.push_back(id.get<int64_t>());
  }
  return ids;
}

int64_t token_id(const HfReader& r, const char* key) {
  const std::vector<int64_t> ids = token_ids(r, key);
  return ids.empty() ? -1 : ids[0];
}

}  // namespace

std::vector<int64_t> eos_token_ids(const ModelConfig& config) {
  std::vector<int64_t> ids = config.more_eos_token_ids;
  if (config.eos_token_id >= 0) ids.insert(ids.begin(), config.eos_token_id);
  return ids;
}

void add_eos_token_id(ModelConfig& config, int64_t id) {
  if (id < 0 || id == config.eos_token_id || std::ranges::find(config.more_eos_token_ids, id) != config.more_eos_token_ids.end()) return;
  if (config.eos_token_id < 0)
    config.eos_token_id = id;
  else
    config.more_eos_token_ids.push_back(id);
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
  for (const int64_t id : token_ids(r, "eos_token_id")) add_eos_token_id(c, id);
  c.pad_token_id = token_id(r, "pad_token_id");
  c.torch_dtype = r.has("dtype") ? r.need<std::string>("dtype") : r.get<std::string>("torch_dtype", "float32");
  finish_config_of(r.where, c);
}

void write_common_hf(const ModelConfig& c, Json& j) {
  const auto id = [](int64_t value) { return value < 0 ? Json(nullptr) : Json(value); };
  j["bos_token_id"] = id(c.bos_token_id);
  j["eos_token_id"] = c.more_eos_token_ids.empty() ? id(c.eos_token_id) : Json(eos_token_ids(c));
  j["pad_token_id"] = id(c.pad_token_id);
  j["torch_dtype"] = c.torch_dtype;
}

namespace {

// What no published family has (variants of nn/, training-only numbers) stands under this key of config.json, as far as it differs from
// what the family's own keys say. A file whose network is no published one has model_type "r1", so that no other program takes it for one.
constexpr const char* kOwnKey = "r1";

ModelConfig published_config(const Json& json, const std::string& where) {
  const HfReader r{json, where};
  ModelConfig c;
  const std::string type = r.need<std::string>("model_type");
  const Family* family = find_family(type);
  if (!family) r.refuse("model_type '", printable(type), "' is not supported (", listed(family_names()), " are)");
  c.family = family->name;
  family->from_hf(r, c);
  read_common_hf(r, c);
  return c;
}

Json published_json(const ModelConfig& c) {
  const Family& family = family_of(c.family);
  Json j;
  j["architectures"] = {family.hf_class};
  j["model_type"] = family.name;
  family.to_hf(c, j);
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

namespace {

OneOf known_families() {
  OneOf families({});
  families.values = family_names();
  return families;
}

}  // namespace

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
  v("family", family, "which published family the layers and weight names follow", known_families());
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
  v("post_norms", post_norms, "norms after attention and MLP as well (Gemma)");
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
