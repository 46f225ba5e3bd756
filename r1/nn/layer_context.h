// What a forward of packed tokens knows besides the tokens: the batch (ops::Sequences, training or paged) and, in training, what layers
// draw, weigh and record. The caller fills it in once a forward; every layer reads the same one. A layer's cache is handed to it apart.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "r1/ops/sequences.h"
#include "r1/tensor/tensor.h"

namespace r1::nn {

// What layers say of a training forward besides their result, by weight-like name ("layers.3.mlp.load"): loads of experts, statistics of
// norms. No graph. Summed over the micro-batches of a step by the trainer and handed to Module::after_step.
struct ForwardRecord {
  std::map<std::string, Tensor> sums;
  void add(const std::string& name, const Tensor& value);
};

struct LayerContext {
  ops::Sequences sequences;  // made by ops::sequences_on or ops::SequenceBuffers, on the model's device

  // Training only.
  double dropout = 0;
  uint64_t dropout_seed = 0;        // counter-based: the same seed gives the same mask (activation checkpointing, resume)
  double aux_scale = 0;             // what a layer's own loss (balance of experts) is multiplied by: this micro-batch's share of the step
  ForwardRecord* record = nullptr;  // null: nobody asks (engine, evaluation)
  bool recomputed = false;          // this forward is run again for the backward: its record has been taken

  bool training() const { return record != nullptr || aux_scale > 0; }
  // Where a forward adds what it sees; null: nowhere. Backwards add to `record` itself, also when the forward is run again.
  ForwardRecord* forward_record() const { return recomputed ? nullptr : record; }
};

// One layer's share of the block pool: uint8 [num_blocks, layer.cache_bytes(block_size)]. What the bytes mean is the layer's business.
using LayerCache = Tensor;

}  // namespace r1::nn
