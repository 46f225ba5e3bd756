// One pre-norm decoder block:
//   h = x + attention(norm(x))
//   y = h + mlp(norm(h))
// In training, dropout acts on what attention and MLP add.
#pragma once

#include "r1/nn/gqa.h"
#include "r1/nn/mlp.h"

namespace r1::nn {

class Block : public Module {
 public:
  // `index`: the layer's number; it tells its dropout masks from others'.
  Block(int index, const GqaShape& attention, int64_t inner, std::shared_ptr<const ops::RotaryTable> rotary, const Placement& placement);
  Tensor operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const;
  // The same numbers and gradients, bit for bit, but only x is kept for the backward, which runs the block again. Training form only.
  Tensor checkpointed(const Tensor& x_TD, const LayerContext& context);
  int64_t cache_bytes(int32_t block_size) const { return attention_.cache_bytes(block_size); }
  void parameters(ParameterList list) override;

 private:
  int index_;
  RmsNorm attention_norm_;
  Gqa attention_;
  RmsNorm mlp_norm_;
  Mlp mlp_;
};

}  // namespace r1::nn
