// The shape of a network, visited once (base/config.h). Reads HF config.json (transformers 4 and 5 spellings) and GGUF metadata, writes HF
// config.json.
#pragma once

#include <cstdint>
#include <string>

#include "r1/base/config.h"
#include "r1/base/json.h"

namespace r1::model {

struct RopeScaling {
  std::string type = "none";  // none | linear | llama3
  double factor = 1, low_freq_factor = 1, high_freq_factor = 4;
  int64_t original_max_position_embeddings = 8192;

  template <class V>
  void visit(V& v) {
    v("type", type, "rope scaling rule", OneOf{"none", "linear", "llama3"});
    v("factor", factor, "how much longer than trained", Range{1, 1e6});
    v("low_freq_factor", low_freq_factor, "llama3: wavelengths above original/low are divided by factor", Range{0, 1e6});
    v("high_freq_factor", high_freq_factor, "llama3: wavelengths below original/high are kept", Range{0, 1e6});
    v("original_max_position_embeddings", original_max_position_embeddings, "trained context", Range{1, 1e9});
  }
};

struct ModelConfig {
  std::string family = "llama";  // llama | qwen2 | qwen3: the HF model_type
  int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0;
  int64_t num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0;
  int64_t max_position_embeddings = 2048;
  double rms_norm_eps = 1e-6, rope_theta = 10000, initializer_range = 0.02;
  bool tie_word_embeddings = false, attention_bias = false, qk_norm = false;
  RopeScaling rope;
  int64_t bos_token_id = -1, eos_token_id = -1, pad_token_id = -1;
  std::string torch_dtype = "float32";

  template <class V>
  void visit(V& v) {
    v("family", family, "which published family the layers and weight names follow", OneOf{"llama", "qwen2", "qwen3"});
    v("vocab_size", vocab_size, "rows of the embedding", Range{0, 1e7});
    v("hidden_size", hidden_size, "width of the residual stream", Range{0, 1e6});
    v("intermediate_size", intermediate_size, "width of the SwiGLU", Range{0, 1e7});
    v("num_hidden_layers", num_hidden_layers, "layers", Range{0, 1e4});
    v("num_attention_heads", num_attention_heads, "query heads", Range{0, 1e4});
    v("num_key_value_heads", num_key_value_heads, "key and value heads (0: as many as query heads)", Range{0, 1e4});
    v("head_dim", head_dim, "size of a head (0: hidden_size / num_attention_heads)", Range{0, 1e4});
    v("max_position_embeddings", max_position_embeddings, "longest sequence", Range{1, 1e9});
    v("rms_norm_eps", rms_norm_eps, "epsilon of RMSNorm", Range{0, 1});
    v("rope_theta", rope_theta, "base of the rotary embedding", Range{1, 1e12});
    v.group("rope_scaling", rope);
    v("initializer_range", initializer_range, "standard deviation of new weights", Range{0, 10});
    v("tie_word_embeddings", tie_word_embeddings, "the head is the embedding");
    v("attention_bias", attention_bias, "bias on q, k, v");
    v("qk_norm", qk_norm, "RMSNorm on q and k per head");
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
