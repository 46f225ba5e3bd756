// Grouped-query attention (Ainslie et al., 2023) with rotary positions, optional biases on q, k, v (Qwen2) and optional RMSNorm of each
// head of q and k (Qwen3). Caches keys after rotation, and values; the layout of the bytes is ops/attention's.
#pragma once

#include <memory>
#include <optional>

#include "r1/nn/attention_layer.h"
#include "r1/nn/linear.h"
#include "r1/nn/norm.h"
#include "r1/ops/rotary.h"

namespace r1::nn {

struct GqaShape {
  int64_t dim = 0, heads = 0, kv_heads = 0, head_dim = 0;
  bool qkv_bias = false, output_bias = false, qk_norm = false;
  double norm_eps = 1e-6;
};

class Gqa : public AttentionLayer {
 public:
  Gqa(const GqaShape& shape, std::shared_ptr<const ops::RotaryTable> rotary, const Placement& placement);
  // x [T, D] -> [T, D]. `cache`: this layer's, when the context is paged; else null.
  Tensor operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const override;
  int64_t cache_bytes(int32_t block_size) const override;
  void parameters(ParameterList list) override;

 private:
  GqaShape shape_;
  Placement placement_;
  std::shared_ptr<const ops::RotaryTable> rotary_;
  Linear q_, k_, v_, o_;
  std::optional<RmsNorm> q_norm_, k_norm_;
};

}  // namespace r1::nn
