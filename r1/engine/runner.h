// One forward of the model over what the scheduler picked: packs the tokens of all sequences, prefill and decode together, into one row
// with its AttentionContext, and owns the cache that the block ids point into.
#pragma once

#include <vector>

#include "r1/engine/scheduler.h"
#include "r1/model/transformer.h"
#include "r1/nn/attention_context.h"

namespace r1::engine {

class Runner {
 public:
  // Allocates num_blocks blocks for every layer on the model's device. `exact`: PagedSequences::exact.
  Runner(model::Transformer& model, int64_t num_blocks, int32_t block_size, bool exact = true);

  // Makes the schedule's block copies, runs its tokens and returns the logits [rows, V] fp32 of the last token of each sequence that
  // samples, in the schedule's order; undefined if none does.
  Tensor forward(const Schedule& schedule);

 private:
  void copy_blocks(const std::vector<BlockCopy>& copies);
  void pack(const Schedule& schedule);

  model::Transformer& model_;
  std::vector<nn::LayerCache> caches_;
  // Kept from step to step for their memory.
  nn::PagedSequences paged_;
  nn::AttentionContext context_;
  std::vector<int64_t> ids_, rows_;
};

// Bytes of one block over all layers.
int64_t block_bytes(const model::Transformer& model, int32_t block_size);

}  // namespace r1::engine
