// Attention within segments of `window` tokens and to the cached keys and values of the segment before, with a learned bias of the distance
// in place of rotary positions (ops/segment_attention). The bias, [heads, 2 window - 1], starts at zero. Caches what Gqa caches; a block
// whose tokens lie more than 2 window - 2 before a sequence's end is not read any more (nothing frees it yet: the scheduler knows no
// layer).
#pragma once

#include "r1/nn/gqa.h"

namespace r1::nn {

class DynamicWindow : public Gqa {
 public:
  // shape.window: of a segment.
  DynamicWindow(const GqaShape& shape, const Placement& placement);
  void parameters(ParameterList list) override;

 protected:
  bool attends_plainly() const override { return false; }
  Tensor attend(const Tensor& x_TD, const Heads& heads, const LayerContext& context, const LayerCache* cache) const override;

 private:
  Tensor bias_NB_;
};

}  // namespace r1::nn
