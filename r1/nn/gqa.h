// Grouped-query attention (Ainslie et al., 2023) with rotary positions, optional biases on q, k, v (Qwen2), optional RMSNorm of each head
// of q and k (Qwen3) and an optional window (Mistral, Gemma 3). q, k and v have a weight each, or one that holds their rows one below the
// other (GPT-2). Caches keys after rotation, and values; the layout of the bytes is ops/attention's.
//
// Other ways of looking at each other (nn/hybrid, nn/lsh, ...) are the same projections with another attend().
//
// Ranks that share the layer (nn/tensor_parallel) have some of the heads each. Where there are fewer heads of keys and values than ranks, those
// whose queries ask the same one hold it alike.
#pragma once

#include <memory>
#include <optional>

#include "r1/nn/attention_layer.h"
#include "r1/nn/joint_linear.h"
#include "r1/nn/norm.h"
#include "r1/ops/attention.h"
#include "r1/ops/rotary.h"

namespace r1::nn {

struct GqaShape {
  int64_t dim = 0, heads = 0, kv_heads = 0, head_dim = 0;
  bool qkv_bias = false, output_bias = false, qk_norm = false;
  double norm_eps = 1e-6, norm_offset = 0;  // of the heads' norms (RmsNorm)
  bool fused_qkv = false;
  double scale = 0;       // of the scores; 0: 1 / sqrt(head_dim)
  int64_t window = 0;     // tokens that a query sees, itself included; 0: all
  int64_t kv_copies = 1;  // ranks in a row that have the same heads of keys and values
};

class Gqa : public AttentionLayer {
 public:
  // `rotary`: null for positions that come in elsewhere.
  Gqa(const GqaShape& shape, std::shared_ptr<const ops::RotaryTable> rotary, const Placement& placement);
  // x [T, D] -> [T, D]. `cache`: this layer's, when the context is paged; else null.
  Tensor operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const override;
  int64_t cache_bytes(const ops::CacheForm& form) const override;
  void keep_heavy_hitters(const LayerCache& cache, const ops::CacheForm& form, const ops::HeldTokens& tokens) const override;
  void parameters(ParameterList list) override;
  void arrange() override;
  bool replayable() const override;

 protected:
  struct Heads {
    Tensor q_TNH, k_TKH, v_TKH;  // normed and rotated
  };
  // -> [T, N, H]. What stands between the projections; x is the layer's input, as all ranks have it.
  virtual Tensor attend(const Tensor& x_TD, const Heads& heads, const LayerContext& context, const LayerCache* cache) const;

  // False where attend() is another.
  virtual bool attends_plainly() const { return true; }

  Heads heads_of(const Tensor& x_TD, const Tensor& positions_T) const;
  Tensor queries(const Tensor& x_TD, const Tensor& positions_T) const;
  Tensor keys(const Tensor& x_TD, const Tensor& positions_T) const;
  Tensor values(const Tensor& x_TD) const;
  Tensor output(const Tensor& a_TNH) const;
  double scale() const;
  const GqaShape& shape() const { return shape_; }
  const Placement& placement() const { return placement_; }

 private:
  // The heads of keys or of values, whose weight other ranks may hold as well.
  Tensor project_kv(const std::optional<Linear>& own, const Tensor& x_TD, int64_t first) const;
  // Normed and rotated, as far as the layer does.
  Tensor turned(Tensor heads_TNH, const std::optional<RmsNorm>& norm, const Tensor& positions_T) const;
  // What all keys have in common, if the cache is to be without: they come with a bias and are rotated by positions of one component, or not at all.
  std::optional<ops::KeyBias> key_bias(const ops::CacheForm& form) const;
  // x through the layer's own weight, or through the heads [first, first + heads) of the common one: [T, heads, H].
  Tensor project(const std::optional<Linear>& own, const Tensor& x_TD, int64_t first, int64_t heads) const;

  // The joint form: one product, then norms, rotation and what follows in as few steps as the device has for them.
  bool has_joint(const Tensor& x_TD) const;
  Tensor attend_jointly(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const;

  GqaShape shape_;
  Placement placement_;
  std::shared_ptr<const ops::RotaryTable> rotary_;
  std::optional<Linear> q_, k_, v_, qkv_;
  JointLinear joint_;  // of q_, k_ and v_
  Linear o_;
  std::optional<RmsNorm> q_norm_, k_norm_;
};

}  // namespace r1::nn
