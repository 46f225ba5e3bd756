#include "r1/train/forward.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"

namespace r1::train {
namespace {

void check_batch(const data::Batch& batch, int64_t vocabulary) {
  const size_t T = batch.ids.size();
  check(T > 0, "[batch] expected at least one token, got none");
  check(batch.targets.size() == T && batch.loss_weight.size() == T && batch.positions.size() == T,
        "[batch] expected ids, targets, loss_weight and positions of one length, got ", T, ", ", batch.targets.size(), ", ",
        batch.loss_weight.size(), ", ", batch.positions.size());
  const auto& cu = batch.cu_seqlens;
  check(cu.size() >= 2 && cu.front() == 0 && cu.back() == int64_t(T) && std::is_sorted(cu.begin(), cu.end()),
        "[batch] expected cu_seqlens to rise from 0 to ", T, " tokens");
  for (size_t t = 0; t < T; ++t) {
    check(batch.ids[t] >= 0 && batch.ids[t] < vocabulary, "[batch] expected ids below the model's vocabulary of ", vocabulary, ", got ",
          batch.ids[t], " at token ", t, " (does the tokenizer belong to this model?)");
    check(batch.targets[t] < vocabulary, "[batch] expected targets below the model's vocabulary of ", vocabulary, ", got ",
          batch.targets[t], " at token ", t);
  }
}

Tensor to_device(const std::vector<int32_t>& values, at::ScalarType dtype, at::Device device) {
  return aten::tensor(at::ArrayRef<int32_t>(values), at::kInt).to(device, dtype);
}

nn::LayerContext layer_context(const data::Batch& batch, const ForwardArgs& args, at::Device device) {
  nn::LayerContext context;
  context.sequences.cu_seqlens = batch.cu_seqlens;
  context.sequences.positions = batch.positions;
  context.sequences = ops::sequences_on(device, std::move(context.sequences));
  context.dropout = args.dropout;
  context.dropout_seed = args.dropout_seed;
  context.aux_scale = args.aux_scale;
  context.record = args.record;
  return context;
}

// The head only for rows that are learned from: prompts of SFT and RL cost no [rows, V] product.
ops::LogProbs weighted_logprobs(const model::Transformer& model, const std::vector<float>& weight, const Tensor& x_TD,
                                const Tensor& targets_T, const ForwardArgs& args) {
  const int64_t tokens = int64_t(weight.size());
  std::vector<int32_t> live;
  for (int32_t t = 0; t < tokens; ++t) {
    if (weight[size_t(t)] != 0) live.push_back(t);
  }
  const Tensor rows_R = to_device(live, at::kLong, x_TD.device());
  const ops::LogProbs some = ops::linear_logprob(x_TD.index_select(0, rows_R), model.head(), targets_T.index_select(0, rows_R),
                                                 args.temperature, args.want_entropy);
  const auto spread = [&](const Tensor& x_R) { return aten::zeros({tokens}, x_R.options()).index_copy(0, rows_R, x_R); };
  return {spread(some.logprob_T), some.entropy_T.defined() ? spread(some.entropy_T) : Tensor()};
}

// The batch as module `depth` (0-based) sees it: after token t comes ids[t + depth + 1], and targets[t + depth + 1] is to be predicted.
// Rows whose document ends before that get token 0 and no weight; causality keeps them from the others.
struct Shifted {
  std::vector<int32_t> next, targets;
  std::vector<float> weight;

  Shifted(const data::Batch& batch, int depth) : next(batch.ids.size(), 0), targets(batch.ids.size(), -1), weight(batch.ids.size(), 0.0f) {
    for (size_t s = 0; s + 1 < batch.cu_seqlens.size(); ++s) {
      for (int32_t t = batch.cu_seqlens[s]; t + depth + 1 < batch.cu_seqlens[s + 1]; ++t) {
        const size_t from = size_t(t + depth + 1);
        next[size_t(t)] = batch.ids[from];
        targets[size_t(t)] = batch.targets[from];
        weight[size_t(t)] = batch.targets[from] < 0 ? 0 : batch.loss_weight[from];
      }
    }
  }
};

std::vector<ForwardResult::Further> further_predictions(model::Transformer& model, const data::Batch& batch, const Tensor& x_TD,
                                                        const nn::LayerContext& context, ForwardArgs args) {
  args.temperature = 1;
  args.want_entropy = false;
  std::vector<ForwardResult::Further> out;
  Tensor h_TD = x_TD;
  for (int depth = 0; depth < model.mtp_depth(); ++depth) {
    const Shifted shifted(batch, depth);
    h_TD = model.mtp_hidden(depth, h_TD, to_device(shifted.next, at::kLong, x_TD.device()), context);
    const Tensor targets_T = to_device(shifted.targets, at::kLong, x_TD.device());
    out.push_back({weighted_logprobs(model, shifted.weight, model.mtp_normed(depth, h_TD), targets_T, args).logprob_T,
                   aten::tensor(at::ArrayRef<float>(shifted.weight), at::kFloat).to(x_TD.device())});
  }
  return out;
}

}  // namespace

ForwardResult forward(model::Transformer& model, const data::Batch& batch, const ForwardArgs& args) {
  check_batch(batch, model.config().vocab_size);
  const at::Device device = model.device();
  const Tensor ids_T = to_device(batch.ids, at::kLong, device), targets_T = to_device(batch.targets, at::kLong, device);
  const nn::LayerContext context = layer_context(batch, args, device);
  const Tensor x_TD = model.hidden(ids_T, context, nullptr, args.model);
  const ops::LogProbs out = args.only_weighted ? weighted_logprobs(model, batch.loss_weight, x_TD, targets_T, args)
                                               : ops::linear_logprob(x_TD, model.head(), targets_T, args.temperature, args.want_entropy);
  const Tensor weight_T = aten::tensor(at::ArrayRef<float>(batch.loss_weight), at::kFloat).to(device);
  ForwardResult result{&batch, out.logprob_T, out.entropy_T, weight_T, {}};
  if (args.mtp) result.further = further_predictions(model, batch, x_TD, context, args);
  return result;
}

std::vector<float> batch_logprobs(model::Transformer& model, const data::Batch& batch, double temperature) {
  at::NoGradGuard no_grad;
  const Tensor logprob_T = forward(model, batch, {.temperature = temperature}).logprob_T.to(at::kCPU, at::kFloat).contiguous();
  const float* values = logprob_T.data_ptr<float>();
  return {values, values + logprob_T.numel()};
}

}  // namespace r1::train
