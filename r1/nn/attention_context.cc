#include "r1/nn/attention_context.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"

namespace r1::nn {

void ForwardRecord::add(const std::string& name, const Tensor& value) {
  const auto [it, fresh] = sums.try_emplace(name, value.detach());
  if (!fresh) it->second = it->second + value.detach();
}

LayerContext layer_context(const AttentionContext& context, at::Device device) {
  check(!context.cu_seqlens.empty() && context.tokens() == context.cu_seqlens.back(), "[attention] expected ",
        context.cu_seqlens.empty() ? 0 : context.cu_seqlens.back(), " positions, got ", context.tokens());
  LayerContext layer{ops::sequences_on(device, context.cu_seqlens, context.paged, context.cu_seqlens_dev),
                     context.positions_dev,
                     context.dropout,
                     context.dropout_seed,
                     context.aux_scale,
                     context.record,
                     context.record};
  if (layer.positions_T.defined()) {
    layer.positions_T = layer.positions_T.to(at::kInt);
  } else {
    const Tensor host = aten::empty({context.tokens()}, at::kInt);
    std::copy(context.positions.begin(), context.positions.end(), host.mutable_data_ptr<int32_t>());
    layer.positions_T = host.to(device);
  }
  return layer;
}

}  // namespace r1::nn
