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
  // Allocates num_blocks blocks for every cache of the model on its device; `speculate`: those of multi-token prediction too. `exact`:
  // PagedSequences::exact.
  Runner(model::Transformer& model, int64_t num_blocks, int32_t block_size, bool speculate, bool exact = true);

  // Makes the schedule's block copies, runs its tokens and returns the logits [rows, V] fp32 of the last token of each sequence that
  // samples and of the guesses behind it, in the schedule's order; undefined if none does.
  Tensor forward(const Schedule& schedule);
  // Behind forward(), once its tokens have been accepted: multi-token prediction over the rows that stay, and a guess (Sequence::draft) for
  // each sequence that decodes. What it caches for a token depends on the token behind it, so a block that is shared at that border may
  // hold another sequence's: guesses may be poorer there, the output knows nothing of them.
  void draft(const Scheduler& scheduler);

 private:
  void copy_blocks(const std::vector<BlockCopy>& copies);
  void pack(const Schedule& schedule);

  // What of the last forward draft() needs: sequence `id` had rows first_row .. of tokens at first_position ..
  struct Ran {
    RequestId id = 0;
    int64_t first_row = 0, first_position = 0, rows = 0;
  };
  void begin_pack();
  void pack_sequence(const Sequence& s, int64_t first, int64_t rows);
  void pack_accepted(const Scheduler& scheduler, std::vector<Sequence*>& decoding, std::vector<int64_t>& last_rows);

  model::Transformer& model_;
  bool speculate_;
  std::vector<nn::LayerCache> caches_;
  std::vector<Ran> ran_;
  Tensor hidden_TD_;
  // Kept from step to step for their memory.
  nn::PagedSequences paged_;
  nn::AttentionContext context_;
  std::vector<int64_t> ids_, rows_;
};

// Bytes of one block over all layers.
int64_t block_bytes(const model::Transformer& model, int32_t block_size, bool speculate);

}  // namespace r1::engine
