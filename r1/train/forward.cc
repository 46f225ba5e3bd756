#include "r1/train/forward.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstring>

#include "r1/base/error.h"
#include "r1/ops/autograd.h"
#include "r1/ops/device_lists.h"
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

// Rows of the head's product that are learned from. Undefined: all rows go through it, those without a weight having no target.
struct LearnedRows {
  Tensor rows_R;
};

// A device takes all rows where few of them would be saved: to pick rows of a large x and to put their gradients back is not free.
bool takes_all_rows(int64_t live, int64_t tokens, at::Device device) {
  return !device.is_cpu() && live * 8 >= tokens * 7;
}

std::vector<int64_t> live_rows(const std::vector<float>& weight) {
  std::vector<int64_t> live;
  for (size_t t = 0; t < weight.size(); ++t) {
    if (weight[t] != 0) live.push_back(int64_t(t));
  }
  return live;
}

// A batch on the device, by one copy from pinned memory.
struct Uploaded {
  nn::LayerContext context;
  Tensor ids_T, targets_T, weight_T;
  LearnedRows learned;

  Uploaded(const data::Batch& batch, const ForwardArgs& args, at::Device device) {
    const size_t T = batch.ids.size();
    const std::vector<int64_t> ids(batch.ids.begin(), batch.ids.end());
    std::vector<int64_t> targets(batch.targets.begin(), batch.targets.end()), live, weight_bits((T + 1) / 2);
    std::memcpy(weight_bits.data(), batch.loss_weight.data(), T * sizeof(float));
    if (args.only_weighted) live = live_rows(batch.loss_weight);
    const bool all = args.only_weighted && takes_all_rows(int64_t(live.size()), int64_t(T), device);
    if (all) {
      live.clear();
      for (size_t t = 0; t < T; ++t) {
        if (batch.loss_weight[t] == 0) targets[t] = -1;
      }
    }
    ops::Sequences& s = context.sequences;
    s.cu_seqlens = batch.cu_seqlens;
    s.positions = batch.positions;
    ops::SequenceBuffers buffers(device, {.sequences = s.count(), .tokens = int64_t(T), .lists = 4});
    buffers.place(s, {ids, targets, weight_bits, live});
    ids_T = buffers.list(0), targets_T = buffers.list(1);
    weight_T = buffers.list(2).view(at::kFloat).narrow(0, 0, int64_t(T));
    if (args.only_weighted && !all) learned.rows_R = buffers.list(3);
    context.dropout = args.dropout;
    context.dropout_seed = args.dropout_seed;
    context.aux_scale = args.aux_scale;
    context.record = args.record;
  }
};

// Rows of x, none of them twice: on a device their gradients are put back, where ATen would add them up one by one.
Tensor picked_rows(const Tensor& x_TD, const Tensor& rows_R) {
  if (x_TD.is_cpu() || !ops::needs_grad({x_TD})) return x_TD.index_select(0, rows_R);
  Tensor picked_RD;
  {
    const at::NoGradGuard no_grad;
    picked_RD = x_TD.index_select(0, rows_R);
  }
  return ops::differentiable("picked_rows", picked_RD, {x_TD}, {rows_R},
                             [tokens = x_TD.size(0)](const Tensor& d_RD, const ops::Tensors& saved, const ops::Wanted&) {
                               return ops::Tensors{aten::zeros({tokens, d_RD.size(1)}, d_RD.options()).index_copy_(0, saved[0], d_RD)};
                             });
}

Tensor spread(const Tensor& x_R, const Tensor& rows_R, int64_t tokens) {
  return aten::zeros({tokens}, x_R.options()).index_copy(0, rows_R, x_R);
}

// The head only for rows that are learned from: prompts of SFT and RL cost no [rows, V] product.
ops::LogProbs weighted_logprobs(const model::Transformer& model, const LearnedRows& learned, const Tensor& x_TD, const Tensor& targets_T,
                                const ForwardArgs& args) {
  const Tensor& rows_R = learned.rows_R;
  if (!rows_R.defined()) {
    ops::LogProbs all = model.linear_logprob(x_TD, targets_T, args.temperature, args.want_entropy);
    if (all.entropy_T.defined()) all.entropy_T = all.entropy_T.masked_fill(targets_T < 0, 0);
    return all;
  }
  const ops::LogProbs some =
      model.linear_logprob(picked_rows(x_TD, rows_R), targets_T.index_select(0, rows_R), args.temperature, args.want_entropy);
  const int64_t tokens = x_TD.size(0);
  return {spread(some.logprob_T, rows_R, tokens), some.entropy_T.defined() ? spread(some.entropy_T, rows_R, tokens) : Tensor()};
}

// The same where the loss is their weighted sum.
ops::Nll weighted_nll(const model::Transformer& model, const Uploaded& on, const Tensor& x_TD, const ForwardArgs& args) {
  const Tensor& rows_R = on.learned.rows_R;
  if (!rows_R.defined()) return ops::linear_nll(x_TD, model.head(), on.targets_T, on.weight_T, args.temperature);
  const ops::Nll some = ops::linear_nll(picked_rows(x_TD, rows_R), model.head(), on.targets_T.index_select(0, rows_R),
                                        on.weight_T.index_select(0, rows_R), args.temperature);
  return {some.sum, spread(some.logprob_T, rows_R, x_TD.size(0))};
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
  const at::Device device = x_TD.device();
  const auto ids_on_device = [&](const std::vector<int32_t>& ids) {
    const std::vector<int64_t> wide(ids.begin(), ids.end());
    return ops::uploaded<int64_t>(wide, device);
  };
  std::vector<ForwardResult::Further> out;
  Tensor h_TD = x_TD;
  for (int depth = 0; depth < model.mtp_depth(); ++depth) {
    const Shifted shifted(batch, depth);
    h_TD = model.mtp_hidden(depth, h_TD, ids_on_device(shifted.next), context);
    const std::vector<int64_t> live = live_rows(shifted.weight);
    const LearnedRows learned{ops::uploaded<int64_t>(live, device)};
    out.push_back({weighted_logprobs(model, learned, model.mtp_normed(depth, h_TD), ids_on_device(shifted.targets), args).logprob_T,
                   ops::uploaded<float>(shifted.weight, device)});
  }
  return out;
}

}  // namespace

ForwardResult forward(model::Transformer& model, const data::Batch& batch, const ForwardArgs& args) {
  check_batch(batch, model.config().vocab_size);
  const Uploaded on(batch, args, model.device());
  ForwardResult result{.batch = &batch, .loss_weight_T = on.weight_T};
  model::ForwardOptions options = args.model;
  if (args.layers)
    options.observe = [&](int layer, const Tensor& x_TD) {
      if (layer < model.num_layers()) result.states.layers.push_back(x_TD);
    };
  const Tensor x_TD = model.hidden(on.ids_T, on.context, nullptr, std::move(options));
  if (args.states) {
    result.states.x_TD = x_TD, result.states.targets_T = on.targets_T, result.states.rows_R = on.learned.rows_R;
    if (args.mtp) result.further = further_predictions(model, batch, x_TD, on.context, args);
    return result;
  }
  if (args.nll && args.only_weighted && !args.want_entropy && x_TD.is_cuda() && !model.ranks()) {
    const ops::Nll nll = weighted_nll(model, on, x_TD, args);
    result.nll = nll.sum, result.logprob_T = nll.logprob_T;
  } else {
    const ops::LogProbs out = args.only_weighted ? weighted_logprobs(model, on.learned, x_TD, on.targets_T, args)
                                                 : model.linear_logprob(x_TD, on.targets_T, args.temperature, args.want_entropy);
    result.logprob_T = out.logprob_T, result.entropy_T = out.entropy_T;
  }
  if (args.mtp) result.further = further_predictions(model, batch, x_TD, on.context, args);
  return result;
}

Tensor learned_rows(const ForwardResult& forward, const Tensor& x_TD) {
  return forward.states.rows_R.defined() ? picked_rows(x_TD, forward.states.rows_R) : x_TD;
}

std::vector<float> batch_logprobs(model::Transformer& model, const data::Batch& batch, double temperature) {
  at::NoGradGuard no_grad;
  const Tensor logprob_T = forward(model, batch, {.temperature = temperature}).logprob_T.to(at::kCPU, at::kFloat).contiguous();
  const float* values = logprob_T.data_ptr<float>();
  return {values, values + logprob_T.numel()};
}

}  // namespace r1::train
