// One forward of the model over what the scheduler picked: packs the tokens of all sequences, prefill and decode together, into one row
// (ops::Sequences) and owns the cache that the block ids point into. What a step tells the device lies in buffers of fixed size, sent by
// one copy; nothing is allocated for it after construction.
#pragma once

#include <vector>

#include "r1/engine/decode_graphs.h"
#include "r1/engine/scheduler.h"
#include "r1/model/transformer.h"
#include "r1/nn/layer_context.h"
#include "r1/ops/sequences.h"

namespace r1::engine {

struct RunnerConfig {
  int64_t num_blocks = 0;
  ops::CacheForm form = {};
  bool speculate = false;                                        // with the caches of multi-token prediction
  int64_t guesses = 0;                                           // most of a sequence in a step, of guesses that come from elsewhere
  bool exact = true;                                             // ops::Sequences::exact
  bool cuda_graphs = true;                                       // where the model's steps can be replayed
  int64_t max_sequences = 0, max_tokens = 0, max_model_len = 0;  // of a step; of a sequence
};

class Runner {
 public:
  // Allocates num_blocks blocks for every cache of the model on its device.
  Runner(model::Transformer& model, const RunnerConfig& config);

  // Makes a schedule's drops.
  void drop(const Schedule& schedule);
  // Makes the schedule's block copies, runs its tokens and returns the logits [rows, V] fp32 of the last token of each sequence that
  // samples and of the guesses after it, in the schedule's order; undefined if none does.
  Tensor forward(const Schedule& schedule);
  // Whether decode steps are replayed, so that forward_ahead() may be called.
  bool replays() const { return graphs_.on(); }
  int64_t replayed_steps() const { return graphs_.replays(); }
  // forward() of a schedule made ahead (Scheduler::schedule_ahead): sequence i's token is tokens[sources[i]], int64 on the device.
  Tensor forward_ahead(const Schedule& schedule, const Tensor& tokens, const std::vector<int64_t>& sources);
  // After forward(), once its tokens have been accepted: multi-token prediction over the rows that stay, and a guess (Sequence::draft) for
  // each sequence that decodes. What it caches for a token depends on the token after it, so a block that is shared at that border may
  // hold another sequence's: guesses may be poorer there, the output knows nothing of them.
  void draft(const Scheduler& scheduler);

 private:
  void pack(const Schedule& schedule);
  int64_t rows_to_replay(const Schedule& schedule) const;
  void pad(int64_t sequences, int64_t rows = 1);
  Tensor replay(int64_t rows_each = 1);

  // What of the last forward draft() needs: sequence `id` had rows first_row .. of tokens at first_position ..
  struct PackedRows {
    RequestId id = 0;
    int64_t first_row = 0, first_position = 0, rows = 0;
  };
  void begin_pack();
  void pack_sequence(const Sequence& s, int64_t first, int64_t rows);
  void end_pack();
  void pack_accepted(const Scheduler& scheduler, std::vector<Sequence*>& decoding);

  model::Transformer& model_;
  bool speculate_;
  int64_t guesses_, max_tokens_, max_model_len_;
  int32_t no_block_;  // a block that belongs to nobody, for the rows of a padded step
  DecodeGraphs graphs_;
  std::vector<nn::LayerCache> caches_;
  std::vector<PackedRows> packed_;
  Tensor hidden_TD_;
  // Kept from step to step for their memory.
  nn::LayerContext context_;
  std::vector<int64_t> ids_, rows_, last_rows_;
  int64_t replay_rows_ = 0;  // of the step that is packed (rows_to_replay)
  ops::SequenceBuffers buffers_;
};

// Bytes of one block over all layers.
int64_t block_bytes(const model::Transformer& model, const ops::CacheForm& form, bool speculate);

}  // namespace r1::engine
