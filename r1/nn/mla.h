// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1; DeepSeek-V3, arXiv 2412.19437, section 2.1.1).
//
//   c_q = RMSNorm(W_qa x)          q = W_qb c_q                (or q = W_q x, where there is no query latent)
//   [c ; r] = W_kva x              c = RMSNorm(c), r = rotated(r): one key part for all heads
//   k[n] = [W_K[n] c ; r]          v[n] = W_V[n] c             ([W_K[n] ; W_V[n]] are the rows of W_kvb for head n)
//   q[n] = [q_nope[n] ; rotated(q_rope[n])]                    y = W_o attention(q, k, v)
//
// The cache holds c and r alone: kv_lora + rope values a token (ops/mla_attention). Training expands keys and values. The engine expands
// them again from the cache where its rows must be the trainer's bits (Sequences::exact on the CPU), else it decodes in the absorbed
// form.
//
// Ranks that share the layer (nn/tensor_parallel) have some of the heads each; the latents' projections and norms are whole on every rank.
#pragma once

#include <memory>
#include <optional>

#include "r1/nn/attention_layer.h"
#include "r1/nn/linear.h"
#include "r1/nn/norm.h"
#include "r1/ops/rotary.h"

namespace r1::nn {

struct MlaShape {
  int64_t dim = 0, heads = 0;
  int64_t q_lora = 0, kv_lora = 0;    // widths of the latents; q_lora 0: none
  int64_t nope = 0, rope = 0, v = 0;  // of a head: without positions, rotated, value
  bool bias = false;                  // on the projections from and to the residual stream (but a q without latent)
  double scale = 0;                   // of the scores

  int64_t head() const { return nope + rope; }
  int64_t cached() const { return kv_lora + rope; }  // values a token
};

class Mla : public AttentionLayer {
 public:
  Mla(const MlaShape& shape, std::shared_ptr<const ops::RotaryTable> rotary, const Placement& placement);
  Tensor operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const override;
  int64_t cache_bytes(const ops::CacheForm& form) const override;
  void parameters(ParameterList list) override;

 private:
  Tensor queries(const Tensor& x_TD, const LayerContext& context) const;                     // [T, N, nope + rope]
  std::pair<Tensor, Tensor> latents(const Tensor& x_TD, const LayerContext& context) const;  // c [T, R], r [T, P]
  std::pair<Tensor, Tensor> expand(const Tensor& c_TR, const Tensor& r_TP) const;            // k [T, N, nope + rope], v [T, N, V]
  Tensor attend_cached(const Tensor& q_TNH, const LayerContext& context, const LayerCache& cache) const;
  Tensor absorbed(const Tensor& q_TNH, const LayerContext& context, const LayerCache& cache) const;

  MlaShape shape_;
  Placement placement_;
  std::shared_ptr<const ops::RotaryTable> rotary_;
  std::optional<Linear> q_, q_a_, q_b_;
  std::optional<RmsNorm> q_a_norm_;
  Linear kv_a_, kv_b_, o_;
  RmsNorm kv_a_norm_;
};

}  // namespace r1::nn
