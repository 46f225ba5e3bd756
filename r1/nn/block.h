// One pre-norm decoder block:
//   h = x + attention(norm(x))
//   y = h + mlp(norm(h))
// What runs from block to block is y in its two terms, h and mlp(norm(h)): the sum is made together with the norm that follows.
// Where there are post-norms (Gemma), what attention and MLP give is normed before it is added. In training, dropout acts on what is added.
// What the parts are is the caller's choice (model/layers).
#pragma once

#include <memory>

#include "r1/nn/attention_layer.h"
#include "r1/nn/feed_forward.h"
#include "r1/nn/norm.h"

namespace r1::nn {

struct BlockParts {
  std::unique_ptr<Norm> attention_norm, mlp_norm;
  std::unique_ptr<Norm> attention_post_norm, mlp_post_norm;  // null: none
  std::unique_ptr<AttentionLayer> attention;
  std::unique_ptr<FeedForward> mlp;
};

// The caches of one block; null where the context is not paged or the part has none.
struct BlockCaches {
  const LayerCache* attention = nullptr;
  const LayerCache* mlp = nullptr;
};

struct Residual {
  Tensor x_TD, delta_TD;  // the stream is their sum; delta undefined: x alone
  Tensor sum() const { return delta_TD.defined() ? x_TD.add(delta_TD) : x_TD; }
};

class Block : public Module {
 public:
  // `index`: the layer's number; it tells its dropout masks from others'.
  Block(int index, BlockParts parts);
  Residual operator()(const Residual& in, const LayerContext& context, BlockCaches caches = {}) const;
  // The same numbers and gradients, bit for bit, but only x is kept for the backward, which runs the block again. Training form only.
  Tensor checkpointed(const Tensor& x_TD, const LayerContext& context);
  const AttentionLayer& attention() const { return *parts_.attention; }
  const FeedForward& mlp() const { return *parts_.mlp; }
  void parameters(ParameterList list) override;
  void after_step(const ForwardRecord& record) override;
  void arrange() override;

 private:
  ops::AddNormed normed(const std::unique_ptr<Norm>& norm, const Residual& in, const LayerContext& context) const;

  int index_;
  BlockParts parts_;
};

}  // namespace r1::nn
