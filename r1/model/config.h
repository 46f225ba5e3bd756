// The shape of a network, visited once (base/config.h). Reads HF config.json (transformers 4 and 5 spellings) and GGUF metadata, writes HF
// config.json.
#pragma once

#include <cstdint>
#include <string>

#include "r1/base/config.h"
#include "r1/base/json.h"

namespace r1::model {

struct RopeScaling {
  std::string type = "none";  // none | linear | llama3 | yarn
  double factor = 1, low_freq_factor = 1, high_freq_factor = 4;
  int64_t original_max_position_embeddings = 8192;
  double beta_fast = 32, beta_slow = 1, mscale = 1, mscale_all_dim = 0;  // yarn

  template <class V>
  void visit(V& v) {
    v("type", type, "rope scaling rule", OneOf{"none", "linear", "llama3", "yarn"});
    v("factor", factor, "how much longer than trained", Range{1, 1e6});
    v("low_freq_factor", low_freq_factor, "llama3: wavelengths above original/low are divided by factor", Range{0, 1e6});
    v("high_freq_factor", high_freq_factor, "llama3: wavelengths below original/high are kept", Range{0, 1e6});
    v("original_max_position_embeddings", original_max_position_embeddings, "trained context", Range{1, 1e9});
    v("beta_fast", beta_fast, "yarn: pairs that turn more often than this in the trained context are kept", Range{0, 1e6});
    v("beta_slow", beta_slow, "yarn: pairs that turn less often than this are divided by factor", Range{0, 1e6});
    v("mscale", mscale, "yarn: 0.1 mscale ln(factor) + 1 scales the rotated vectors", Range{0, 100});
    v("mscale_all_dim", mscale_all_dim, "yarn: the same for the softmax scale, squared (DeepSeek)", Range{0, 100});
  }
};

// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434). Used where `attention` is mla.
struct MlaConfig {
  int64_t q_lora_rank = 0, kv_lora_rank = 0, qk_nope_head_dim = 0, qk_rope_head_dim = 0, v_head_dim = 0;

  template <class V>
  void visit(V& v) {
    v("q_lora_rank", q_lora_rank, "width of the query latent; 0: queries straight from the residual stream", Range{0, 1e6});
    v("kv_lora_rank", kv_lora_rank, "width of the latent of keys and values, which the engine caches", Range{0, 1e6});
    v("qk_nope_head_dim", qk_nope_head_dim, "part of a head without positions", Range{0, 1e4});
    v("qk_rope_head_dim", qk_rope_head_dim, "part of a head that is rotated; its key is shared by all heads", Range{0, 1e4});
    v("v_head_dim", v_head_dim, "size of a value", Range{0, 1e4});
  }
};

// Mixture of experts. Layers from first_k_dense_replace on are sparse where n_routed_experts is above 0.
struct MoeConfig {
  int64_t n_routed_experts = 0, n_shared_experts = 0, num_experts_per_tok = 0, moe_intermediate_size = 0, first_k_dense_replace = 0;
  int64_t n_group = 1, topk_group = 1;
  std::string gate = "sigmoid";             // sigmoid | softmax | context_sigmoid
  std::string group_score = "top2";         // top2 (DeepSeek-V3) | max (DeepSeek-V2)
  bool norm_topk_prob = true, bias = true;  // bias: of the choice alone, moved after each step (aux-loss-free balance)
  double routed_scaling_factor = 1, bias_update_speed = 1e-3, aux_loss_coef = 0;
  std::string aux_loss = "sequence";  // sequence (DeepSeek) | batch (Switch, Qwen) | square (alpha sum (p_i - 1/N)^2)

  template <class V>
  void visit(V& v) {
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
};

// What the attention variants read; each only its own.
struct AttentionConfig {
  int64_t window = 0, window_max = 4096, window_pattern = 0;
  int64_t block = 512, hash_rounds = 4, bucket_size = 64;
  double local_rope_theta = 10000, scale = 0;

  template <class V>
  void visit(V& v) {
    v("window", window, "tokens that a windowed layer sees (itself included); 0: the variant's default", Range{0, 1e9});
    v("window_max", window_max, "hybrid: the window grows with the sequence up to this", Range{1, 1e9});
    v("window_pattern", window_pattern, "every n-th layer sees all, the others the window (Gemma 3: 6); 0: all layers alike",
      Range{0, 1e4});
    v("block", block, "blockwise: queries and keys of one block", Range{1, 1e9});
    v("hash_rounds", hash_rounds, "lsh: independent hashings", Range{1, 64});
    v("bucket_size", bucket_size, "lsh: tokens a bucket in the mean", Range{1, 1e6});
    v("local_rope_theta", local_rope_theta, "rope base of windowed layers under window_pattern (rope_scaling is not for them)",
      Range{1, 1e12});
    v("scale", scale, "softmax scale; 0: 1 / sqrt(head size)", Range{0, 1e3});
  }
};

// Sparse neurons (ffn topk_sparse): a layer keeps its largest share of neurons a token; a controller moves the share.
struct SparseConfig {
  double sparsity = 0.5, min_sparsity = 0.3, max_sparsity = 0.8, target_grad_norm = 0, speed = 0.01;

  template <class V>
  void visit(V& v) {
    v("sparsity", sparsity, "share of neurons that are off at the start", Range{0, 0.99});
    v("min_sparsity", min_sparsity, "the controller's lower end", Range{0, 0.99});
    v("max_sparsity", max_sparsity, "the controller's upper end", Range{0, 0.99});
    v("target_grad_norm", target_grad_norm, "gradient norm of a layer that the controller steers to; 0: the mean of all layers",
      Range{0, 1e9});
    v("speed", speed, "how far a step moves the share", Range{0, 1});
  }
};

struct ModelConfig {
  // The HF model_type: which published family the weight names and config keys follow.
  std::string family = "llama";
  int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0;
  int64_t num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0;
  int64_t max_position_embeddings = 2048;
  double rms_norm_eps = 1e-6, rope_theta = 10000, initializer_range = 0.02;
  bool tie_word_embeddings = false, attention_bias = false, qk_norm = false;
  RopeScaling rope;

  // What stands in a block, each a file in nn/, chosen in model/layers.
  std::string attention = "full", norm = "rms", ffn = "swiglu", positions = "rope";
  bool rope_interleaved = false;              // neighbours pair up (DeepSeek), not halves
  bool mlp_bias = false, post_norms = false;  // post_norms: also what a layer adds is normed (Gemma)
  double embedding_scale = 1, ffn_dropout = 0;
  MlaConfig mla;
  MoeConfig moe;
  AttentionConfig attn;
  SparseConfig sparse;
  int64_t num_nextn_predict_layers = 0;  // depth of multi-token prediction
  double mtp_loss_weight = 0.3;

  int64_t bos_token_id = -1, eos_token_id = -1, pad_token_id = -1;
  std::string torch_dtype = "float32";

  // Full attention through a window: every layer, or under window_pattern all but every n-th.
  bool windowed_layer(int64_t layer) const {
    return attention == "full" && attn.window > 0 && (attn.window_pattern == 0 || (layer + 1) % attn.window_pattern != 0);
  }
  bool moe_layer(int64_t layer) const { return moe.n_routed_experts > 0 && layer >= moe.first_k_dense_replace; }

  template <class V>
  void visit(V& v) {
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
};

// Fills derived zeros (head_dim, num_key_value_heads), checks that the shape makes sense; kUsage errors name the key.
void finish_config(ModelConfig& config);

// `where` names the file in errors. Unsupported model types and options are refused with their name, never guessed.
ModelConfig config_from_hf(const Json& config_json, const std::string& where);
Json config_to_hf(const ModelConfig& config);

int64_t parameter_count(const ModelConfig& config);

}  // namespace r1::model
