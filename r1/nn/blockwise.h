// Blockwise attention and blockwise MLP (Liu, Abbeel, "Blockwise Parallel Transformer for Long Contexts", 2023): exact, but between forward
// and backward a layer keeps nothing but its input. Queries, attention outputs and the MLP's inner activations exist for `block` tokens at
// a time, in the forward and once more in the backward; keys and values of all tokens are computed once a pass and met by every block of
// queries. The price is a second forward.
//
// In the engine these are the layers they wrap: there, nothing is kept anyway, and a prompt's chunks find the keys of those before in the
// cache. Forward bits are those of the layers they wrap (CPU fp32), and so are the bits of x's gradient; those of the weights are summed
// block by block, in fp32, and are near.
#pragma once

#include <functional>

#include "r1/nn/feed_forward.h"
#include "r1/nn/gqa.h"

namespace r1::nn {

class Blockwise : public Gqa {
 public:
  // No window: exact attention.
  Blockwise(const GqaShape& shape, std::shared_ptr<const ops::RotaryTable> rotary, int64_t block, const Placement& placement);
  Tensor operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const override;

 private:
  // A block of tokens and the keys and values they may see.
  struct Rows {
    int64_t begin, count, k_begin, seen;
    ops::Sequences sequences;
    Tensor positions_b, k_lKH, v_lKH;
  };
  // In order; no graph in what f is given.
  void for_each_block(const Tensor& x_TD, const LayerContext& context, const std::function<void(const Rows&)>& f) const;
  Tensor forward_blocks(const Tensor& x_TD, const LayerContext& context) const;
  // d of x and of the weights, in the order of inputs.
  std::vector<Tensor> backward_blocks(const Tensor& dy_TD, const std::vector<Tensor>& inputs, const LayerContext& context) const;

  int64_t block_;
  std::vector<Parameter> weights_;
};

// Any MLP whose rows know nothing of each other and of the context.
class BlockwiseFeedForward : public FeedForward {
 public:
  BlockwiseFeedForward(std::unique_ptr<FeedForward> inner, int64_t block);
  Tensor operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const override;
  bool has_cache() const override { return inner_->has_cache(); }
  int64_t cache_bytes(const ops::CacheForm& form) const override { return inner_->cache_bytes(form); }
  void parameters(ParameterList list) override { inner_->parameters(list); }
  void after_step(const ForwardRecord& record) override { inner_->after_step(record); }

 private:
  std::vector<Tensor> backward_blocks(const Tensor& dy_TD, const std::vector<Tensor>& inputs, const std::vector<bool>& want,
                                      const LayerContext& context) const;

  std::unique_ptr<FeedForward> inner_;
  int64_t block_;
  std::vector<Parameter> weights_;
};

}  // namespace r1::nn
