// GGUF files of small models, as llama.cpp's converter lays them out.
#pragma once

#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "r1/model/transformer.h"
#include "r1/tensor/aten.h"
#include "tests/base/gguf_builder.h"

namespace r1::model {

// fp32 values in ggml's Q8_0: blocks of 32, a scale in half precision and 32 signed bytes.
inline std::string q8_0_of(const std::string& values) {
  constexpr size_t kBlock = 32;
  const auto* x = reinterpret_cast<const float*>(values.data());
  std::string out;
  for (size_t at = 0; at < values.size() / sizeof(float); at += kBlock) {
    float largest = 0;
    for (size_t i = 0; i < kBlock; ++i) largest = std::max(largest, std::fabs(x[at + i]));
    const c10::Half scale = largest / 127;
    out.append(reinterpret_cast<const char*>(&scale), sizeof(scale));
    for (size_t i = 0; i < kBlock; ++i) out.push_back(largest > 0 ? char(int8_t(std::lround(x[at + i] / float(scale)))) : 0);
  }
  return out;
}

// GGUF's row of llama's q or k for our row: within a head they stand 0, half, 1, half + 1, ...
inline int64_t gguf_row(int64_t row, int64_t head_dim) {
  const int64_t in_head = row % head_dim, half = head_dim / 2;
  return row - in_head + (in_head < half ? 2 * in_head : 2 * (in_head - half) + 1);
}

// Adds weights [begin, end) of the table in fp32, or, those that may be packed, in Q8_0 (rows must be whole blocks of 32).
inline void add_weights(testing::GgufBuilder& builder, const Transformer& model, size_t begin, size_t end, bool q8_0 = false) {
  const int64_t head_dim = model.config().head_dim;
  for (size_t i = begin; i < end; ++i) {
    const WeightRow& row = model.weights()[i];
    const Tensor t = row.tensor->contiguous();
    std::string bytes(static_cast<const char*>(t.const_data_ptr()), t.nbytes());
    if (row.rope_permuted_in_gguf) {
      const size_t row_bytes = t.nbytes() / size_t(t.size(0));
      for (int64_t r = 0; r < t.size(0); ++r) {
        bytes.replace(size_t(gguf_row(r, head_dim)) * row_bytes, row_bytes,
                      static_cast<const char*>(t.const_data_ptr()) + size_t(r) * row_bytes, row_bytes);
      }
    }
    std::vector<uint64_t> shape(row.shape.begin(), row.shape.end());
    const bool quantized = q8_0 && row.weight && row.shape.size() > 1;
    builder.tensor(row.gguf_name, quantized ? GgmlType::kQ8_0 : GgmlType::kF32, shape, quantized ? q8_0_of(bytes) : bytes);
  }
}

// A GGUF file of the model's config, as llama.cpp's converter lays it out.
inline testing::GgufBuilder gguf_header(const Transformer& model) {
  const ModelConfig& c = model.config();
  const std::string architecture = c.family == "qwen3_moe" ? "qwen3moe" : c.family, p = architecture + ".";
  testing::GgufBuilder builder;
  if (c.moe.n_routed_experts > 0) {
    builder.add(p + "expert_count", uint32_t(c.moe.n_routed_experts))
        .add(p + "expert_used_count", uint32_t(c.moe.num_experts_per_tok))
        .add(p + "expert_feed_forward_length", uint32_t(c.moe.moe_intermediate_size));
  }
  builder.add("general.architecture", architecture)
      .add(p + "block_count", uint32_t(c.num_hidden_layers))
      .add(p + "context_length", uint32_t(c.max_position_embeddings))
      .add(p + "embedding_length", uint32_t(c.hidden_size))
      .add(p + "feed_forward_length", uint32_t(c.intermediate_size))
      .add(p + "attention.head_count", uint32_t(c.num_attention_heads))
      .add(p + "attention.head_count_kv", uint32_t(c.num_key_value_heads))
      .add(p + "attention.key_length", uint32_t(c.head_dim))
      .add(p + "attention.layer_norm_rms_epsilon", float(c.rms_norm_eps))
      .add(p + "rope.freq_base", float(c.rope_theta))
      .add("tokenizer.ggml.eos_token_id", uint32_t{7})
      .add("tokenizer.ggml.eot_token_id", uint32_t{9})
      .add("tokenizer.ggml.eom_token_id", uint32_t{7});
  return builder;
}

// And its weights.
inline testing::GgufBuilder gguf_of(const Transformer& model, bool q8_0 = false) {
  testing::GgufBuilder builder = gguf_header(model);
  add_weights(builder, model, 0, model.weights().size(), q8_0);
  return builder;
}

}  // namespace r1::model
