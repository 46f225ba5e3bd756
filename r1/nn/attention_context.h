// What attention needs to know about the packed tokens of one forward, besides q, k, v. One layout for training and serving:
// tokens of all sequences lie in one row [T, ...], sequence s owns rows cu_seqlens[s] .. cu_seqlens[s+1]-1.
//
// Training: `paged` is null; every sequence starts at position 0 and sees itself only.
// Engine:   `paged` is set; sequence s has context_lens[s] tokens in its cache already, its new rows are appended behind them and attend to all.
#pragma once

#include <cstdint>
#include <vector>

#include "r1/tensor/tensor.h"

namespace r1::nn {

struct PagedSequences {
  int32_t block_size = 16;                  // tokens a block
  std::vector<int32_t> context_lens;        // [S] tokens cached before this forward
  std::vector<std::vector<int32_t>> block_tables;  // [S] block ids in order of position; hold context + new tokens
};

struct AttentionContext {
  std::vector<int32_t> cu_seqlens;          // [S+1]
  std::vector<int32_t> positions;           // [T] absolute position of each row in its sequence
  int32_t max_seqlen = 0;                   // longest run of new rows
  const PagedSequences* paged = nullptr;

  // Copies on the model's device, made once a forward: int32 [S+1], int64 [T].
  Tensor cu_seqlens_dev, positions_dev;

  // Training only.
  double dropout = 0;
  uint64_t dropout_seed = 0;                // counter-based: the same seed gives the same mask (activation checkpointing, resume)

  int64_t sequences() const { return int64_t(cu_seqlens.size()) - 1; }
  int64_t tokens() const { return int64_t(positions.size()); }
};

// One layer's share of the block pool: uint8 [num_blocks, layer.cache_bytes(block_size)]. What the bytes mean is the layer's business.
using LayerCache = Tensor;

}  // namespace r1::nn
