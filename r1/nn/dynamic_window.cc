#include "r1/nn/dynamic_window.h"

#include "r1/base/error.h"
#include "r1/ops/segment_attention.h"

namespace r1::nn {

DynamicWindow::DynamicWindow(const GqaShape& s, const Placement& placement)
    : Gqa(s, nullptr, placement), bias_NB_(new_weight({s.heads, 2 * s.window - 1}, placement)) {
  check(s.window > 0, "[dynamic_window] expected segments of at least one token, got ", s.window);
}

Tensor DynamicWindow::attend(const Tensor&, const Heads& h, const LayerContext& context, const LayerCache* cache) const {
  return cache ? ops::paged_segment_attention(h.q_TNH, h.k_TKH, h.v_TKH, bias_NB_, *cache, context.sequences, scale())
               : ops::segment_attention(h.q_TNH, h.k_TKH, h.v_TKH, bias_NB_, context.sequences, scale());
}

void DynamicWindow::parameters(ParameterList list) {
  Gqa::parameters(list);
  list.add("distance_bias", bias_NB_);
}

}  // namespace r1::nn
