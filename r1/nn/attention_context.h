// What attention needs to know about the packed tokens of one forward, besides q, k, v. One layout for training and serving:
// tokens of all sequences lie in one row [T, ...], sequence s owns rows cu_seqlens[s] .. cu_seqlens[s+1]-1.
//
// Training: `paged` is null; every sequence starts at position 0 and sees itself only.
// Engine:   `paged` is set; sequence s has context_lens[s] tokens in its cache already, its new rows are appended behind them and attend to
// all.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "r1/ops/attention.h"
#include "r1/tensor/tensor.h"

namespace r1::nn {

using ops::PagedSequences;

// What layers say of a training forward besides their result, by weight-like name ("layers.3.mlp.load"): loads of experts, statistics of
// norms. No graph. Summed over the micro-batches of a step by the trainer and handed to Module::after_step.
struct ForwardRecord {
  std::map<std::string, Tensor> sums;
  void add(const std::string& name, const Tensor& value);
};

// What the caller of a forward says.
struct AttentionContext {
  std::vector<int32_t> cu_seqlens;  // [S+1]
  std::vector<int32_t> positions;   // [T] absolute position of each row in its sequence
  int32_t max_seqlen = 0;           // longest run of new rows (derived: may be left 0)
  const PagedSequences* paged = nullptr;

  // Copies on the model's device, int32 [S+1] and int64 [T]; left undefined they are made once a forward.
  Tensor cu_seqlens_dev, positions_dev;

  // Training only.
  double dropout = 0;
  uint64_t dropout_seed = 0;  // counter-based: the same seed gives the same mask (activation checkpointing, resume)
  double aux_scale = 0;       // what a layer's own loss (balance of experts) is multiplied by: this micro-batch's share of the step
  ForwardRecord* record = nullptr;

  int64_t sequences() const { return int64_t(cu_seqlens.size()) - 1; }
  int64_t tokens() const { return int64_t(positions.size()); }
};

// One layer's share of the block pool: uint8 [num_blocks, layer.cache_bytes(block_size)]. What the bytes mean is the layer's business.
using LayerCache = Tensor;

// What the layers read: the context checked, with its device side, made once a forward.
struct LayerContext {
  ops::Sequences sequences;
  Tensor positions_T;  // int32 on the device
  double dropout = 0;
  uint64_t dropout_seed = 0;
  double aux_scale = 0;
  ForwardRecord* record = nullptr;         // null: nobody asks (engine, evaluation), or the forward is run again for the backward
  ForwardRecord* from_backward = nullptr;  // where the backward adds what it sees; it stays when a forward is run again
  bool training() const { return record != nullptr || aux_scale > 0; }
};
LayerContext layer_context(const AttentionContext& context, at::Device device);

}  // namespace r1::nn
