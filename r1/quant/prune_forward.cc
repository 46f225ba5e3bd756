#include "r1/quant/prune_forward.h"

#include "r1/ops/device_lists.h"

namespace r1::quant {

namespace {

Tensor long_on(const std::vector<int32_t>& ids, at::Device device) {
  const std::vector<int64_t> wide(ids.begin(), ids.end());
  return ops::uploaded<int64_t>(wide, device);
}

}  // namespace

Tensor states_of(model::Transformer& model, const data::Batch& batch, std::vector<Tensor>* layers) {
  nn::LayerContext context;
  ops::Sequences given;
  given.cu_seqlens = batch.cu_seqlens;
  given.positions = batch.positions;
  context.sequences = ops::sequences_on(model.device(), std::move(given));
  model::ForwardOptions options;
  if (layers)
    options.observe = [&](int layer, const Tensor& x_TD) {
      if (layer < model.num_layers()) layers->push_back(x_TD);
    };
  return model.hidden(long_on(batch.ids, model.device()), context, nullptr, std::move(options));
}

ops::Nll loss_of(model::Transformer& model, const data::Batch& batch) {
  const Tensor x_TD = states_of(model, batch);
  return ops::linear_nll(x_TD, model.head(), long_on(batch.targets, model.device()),
                         ops::uploaded<float>(batch.loss_weight, model.device()));
}

}  // namespace r1::quant
