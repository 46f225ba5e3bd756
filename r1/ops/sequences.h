// What a batch of packed sequences is: one struct for training and serving, made once a forward and read by every layer. Tokens of all
// sequences lie in one row [T, ...]; sequence s owns rows cu_seqlens[s] .. cu_seqlens[s+1]-1. S sequences, T rows, C components of a
// position, M blocks that a table has room for, L keys of all sequences, old and new.
//
// Two forms:
//   training  no block tables: a sequence starts at its first row and sees itself only.
//   paged     the engine's: sequence s has context_lens[s] tokens in cache blocks already; its rows come after them and see all. What the
//             blocks hold is the layers' business: a batch only says which block has which tokens.
//
// The caller fills in the upper part; sequences_on() or SequenceBuffers::place() check it and make the rest. The device side of the paged
// form is tables and lengths of fixed size (SequenceBuffers): same addresses and no allocation from step to step, one copy from pinned
// memory a step.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "r1/ops/cache_form.h"
#include "r1/tensor/tensor.h"

namespace r1::ops {

struct Sequences {
  // ---- what the caller says
  std::vector<int32_t> cu_seqlens;  // [S+1] from 0
  // [T * C], a row's components together. Empty: one component, a row's index in its sequence. Moved to positions_T.
  std::vector<int32_t> positions;
  int32_t position_components = 1;  // C
  std::vector<int32_t> cu_keylens;  // [S+1] training form, rows of k and v where they are more than queries; empty: cu_seqlens

  // The paged form.
  int32_t block_size = 16;                         // tokens a block
  std::vector<int32_t> context_lens;               // [S] tokens cached before this forward
  std::vector<std::vector<int32_t>> block_tables;  // [S] block ids in order of position; hold context + new tokens
  bool exact = true;  // CPU: rows are the training form's bits; false: a layer may take a faster form that is near (nn/mla)
  CacheType cache_type = CacheType::kModel;  // cache_form.h; of the paged form, like the next
  int64_t kept_first = 0, kept_last = 0;
  int64_t budget = 0;  // above 0: context_lens count the tokens held, and positions are said

  void set_form(const CacheForm& form) {
    block_size = form.block_size, cache_type = form.type, kept_first = form.kept_first, kept_last = form.kept_last, budget = form.budget;
  }

  // ---- what is made of it
  int32_t max_seqlen = 0;    // longest run of new rows
  int32_t max_keylen = 0;    // longest sequence, old and new tokens
  int32_t max_position = 0;  // of all components
  int32_t block_bound = 0;   // one more than the largest block id

  // On the device. The CPU's kernels read the lists above.
  Tensor positions_T;       // int32 [T], or [T, C] where C > 1
  Tensor cu_seqlens_dev;    // int32 [S+1]
  Tensor cu_keylens_dev;    // int32 [S+1] of all keys; where there are more than the new ones
  Tensor context_lens_dev;  // int32 [S]
  Tensor block_table_SM;    // int32 [S, M]; entries after a sequence's last block are anything

  // Where tokens lie in a cache, int64, made on the device from tables and lengths when an op first asks, and kept until the next placing.
  // What is launched grows with the contexts: no step that is captured may ask.
  Tensor new_places() const;                        // [T] the token's row in a cache of one row a token (ops/token_places.h)
  Tensor places() const;                            // [L] of all tokens, old and new
  Tensor new_k_slots() const, new_v_slots() const;  // the same where a block is block_size rows of keys, then block_size of values
  Tensor k_slots() const, v_slots() const;
  struct Places {
    Tensor new_places_T, places_L, new_k_slots_T;
  };
  mutable Places made_places;  // for these

  // CUDA: int32 zeros for kernels that count their blocks and leave zeros behind (kernels/cuda/paged_attention.h). The same for every batch.
  Tensor counters_dev;

  CacheForm cache_form() const { return {block_size, cache_type, kept_first, kept_last, budget}; }
  bool paged() const { return !block_tables.empty(); }
  int64_t count() const { return int64_t(cu_seqlens.size()) - 1; }
  int64_t tokens() const { return cu_seqlens.back(); }
  int64_t rows_of(int64_t s) const { return cu_seqlens[size_t(s) + 1] - cu_seqlens[size_t(s)]; }
  // Rows of k and v: in the training form a sequence's queries are its last tokens.
  const std::vector<int32_t>& key_rows() const { return cu_keylens.empty() ? cu_seqlens : cu_keylens; }
};

// Checks `given` and makes its device side, in memory of its own.
Sequences sequences_on(at::Device device, Sequences given);
// The training form of these starts and ends.
Sequences sequences_on(at::Device device, std::vector<int32_t> cu_seqlens);
// The training form of sequences of these lengths.
Sequences sequences_of(at::Device device, const std::vector<int32_t>& lengths);

// Room for the device side of batches up to these sizes, allocated once. A placed batch reads this memory until the next is placed.
class SequenceBuffers {
 public:
  struct Limits {
    int64_t sequences = 0, tokens = 0;
    int64_t blocks = 0;  // a sequence; 0: the training form
    int64_t position_components = 1;
    int64_t lists = 0;  // further lists of up to `tokens` numbers that travel in the same copy (ids, rows to sample)
  };
  SequenceBuffers(at::Device device, const Limits& limits);
  ~SequenceBuffers();

  // sequences_on() in place, with the caller's own lists. Throws if the batch exceeds the limits.
  void place(Sequences& s, std::initializer_list<std::span<const int64_t>> lists = {});
  // The caller's list i as placed last: int64 on the device.
  Tensor list(size_t i) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Queries begin .. end-1 of packed sequences (the training form) alone, and the keys they may see: rows k_begin .. end-1.
struct QueryChunk {
  Sequences sequences;
  int64_t k_begin = 0;
};
QueryChunk chunk_of(const Sequences& sequences, int64_t begin, int64_t end, at::Device device);

}  // namespace r1::ops
