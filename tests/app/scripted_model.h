// HF folders whose model says what a test wants: the next token is a chosen function of the current one, so the right answer is known by
// construction. One Llama layer of zeros over one-hot embeddings; the head's row y holds, at column x, how much x wants y.
#pragma once

#include <cmath>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/base/safetensors_file.h"
#include "r1/text/bpe.h"
#include "r1/text/tokenizer_parts.h"

namespace r1::app::testing {

// The 256 bytes, then added tokens as they come.
inline text::TokenizerParts byte_parts(std::vector<text::AddedToken> added) {
  text::TokenizerParts parts;
  parts.where = "scripted";
  for (int b = 0; b < 256; ++b) {
    const char byte = char(b);
    parts.vocabulary.emplace_back(text::to_byte_letters({&byte, 1}), b);
  }
  for (auto& token : added) token.id = text::TokenId(256 + parts.added.size()), parts.added.push_back(token);
  parts.pre_tokenizer = text::byte_level_section(false, true);
  parts.decoder = text::byte_level_section(false, true);
  return parts;
}

struct ScriptedModel {
  int64_t vocab_size = 0;                             // rows of the model, at least the vocabulary
  std::map<int64_t, std::map<int64_t, double>> next;  // logits of what follows a token; what is not named has -20
  Json config = {}, generation = {};                  // keys of config.json beside the shape's; generation_config.json if not null

  // After ids[i] comes ids[i + 1], for certain.
  void chain(const std::vector<int64_t>& ids) {
    for (size_t i = 0; i + 1 < ids.size(); ++i) next[ids[i]][ids[i + 1]] = 10;
  }
  void write(const fs::path& folder) const;
};

inline void ScriptedModel::write(const fs::path& folder) const {
  make_folder(folder);
  const int64_t v = vocab_size, h = (v + 63) / 64 * 64, heads = h / 32, inner = 64;
  Json c = {{"architectures", {"LlamaForCausalLM"}},
            {"model_type", "llama"},
            {"vocab_size", v},
            {"hidden_size", h},
            {"intermediate_size", inner},
            {"num_hidden_layers", 1},
            {"num_attention_heads", heads},
            {"num_key_value_heads", heads},
            {"head_dim", 32},
            {"hidden_act", "silu"},
            {"max_position_embeddings", 512},
            {"rms_norm_eps", 1e-6},
            {"rope_theta", 10000.0},
            {"tie_word_embeddings", false},
            {"torch_dtype", "float32"}};
  if (config.is_object()) c.update(config);
  write_file_atomic(folder / "config.json", dump_json(c));
  if (!generation.is_null()) write_file_atomic(folder / "generation_config.json", dump_json(generation));

  // The norm divides a one-hot row by this.
  const float unit = float(std::sqrt(1.0 / double(h) + c["rms_norm_eps"].get<double>()));
  std::vector<float> embedding(size_t(v * h), 0), head(size_t(v * h), -20 * unit);
  for (int64_t i = 0; i < v; ++i) embedding[size_t(i * h + i)] = 1;
  for (const auto& [x, wants] : next)
    for (const auto& [y, logit] : wants) head[size_t(y * h + x)] = float(logit) * unit;
  std::vector<SafeSource> sources;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape, std::vector<float> values) {
    const auto held = std::make_shared<const std::vector<float>>(std::move(values));
    sources.push_back({name, SafeType::kF32, std::move(shape), [held] { return std::as_bytes(std::span(*held)); }});
  };
  const auto zeros = [](int64_t n) { return std::vector<float>(size_t(n), 0.0f); };
  const auto ones = [](int64_t n) { return std::vector<float>(size_t(n), 1.0f); };
  add("model.embed_tokens.weight", {v, h}, std::move(embedding));
  add("lm_head.weight", {v, h}, std::move(head));
  add("model.norm.weight", {h}, ones(h));
  const std::string layer = "model.layers.0.";
  for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"}) add(layer + "self_attn." + name + ".weight", {h, h}, zeros(h * h));
  for (const char* name : {"gate_proj", "up_proj"}) add(layer + "mlp." + name + ".weight", {inner, h}, zeros(inner * h));
  add(layer + "mlp.down_proj.weight", {h, inner}, zeros(inner * h));
  for (const char* name : {"input_layernorm", "post_attention_layernorm"}) add(layer + name + ".weight", {h}, ones(h));
  write_safetensors(folder / "model.safetensors", sources);
}

}  // namespace r1::app::testing
