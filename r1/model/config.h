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
  double beta_fast = 32, beta_slow = 1, mscale = 1, mscale_all_dim = 0, attention_factor = 0;  // yarn

  void visit(Fields& v);
};

// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434). Used where `attention` is mla.
struct MlaConfig {
  int64_t q_lora_rank = 0, kv_lora_rank = 0, qk_nope_head_dim = 0, qk_rope_head_dim = 0, v_head_dim = 0;

  void visit(Fields& v);
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

  void visit(Fields& v);
};

// What the attention variants read; each only its own.
struct AttentionConfig {
  int64_t window = 0, window_max = 4096, window_pattern = 0;
  int64_t block = 512, hash_rounds = 4, bucket_size = 64;
  double local_rope_theta = 10000, scale = 0;

  void visit(Fields& v);
};

// Sparse neurons (ffn topk_sparse): a layer keeps its largest share of neurons a token; a controller moves the share.
struct SparseConfig {
  double sparsity = 0.5, min_sparsity = 0.3, max_sparsity = 0.8, target_grad_norm = 0, speed = 0.01;

  void visit(Fields& v);
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
  std::vector<int64_t> more_eos_token_ids;  // ids beside eos_token_id that end a text or a turn
  std::string torch_dtype = "float32";

  // Full attention through a window: every layer, or under window_pattern all but every n-th.
  bool windowed_layer(int64_t layer) const {
    return attention == "full" && attn.window > 0 && (attn.window_pattern == 0 || (layer + 1) % attn.window_pattern != 0);
  }
  bool moe_layer(int64_t layer) const { return moe.n_routed_experts > 0 && layer >= moe.first_k_dense_replace; }

  void visit(Fields& v);
};

// All ids that end a text or a turn, the main one first.
std::vector<int64_t> eos_token_ids(const ModelConfig& config);
// Adds one that the config lacks; a negative id is none.
void add_eos_token_id(ModelConfig& config, int64_t id);

// Fills derived zeros (head_dim, num_key_value_heads), checks that the shape makes sense; kUsage errors name the key.
void finish_config(ModelConfig& config);

// `where` names the file in errors. Unsupported model types and options are refused with their name, never guessed.
ModelConfig config_from_hf(const Json& config_json, const std::string& where);
Json config_to_hf(const ModelConfig& config);

}  // namespace r1::model
