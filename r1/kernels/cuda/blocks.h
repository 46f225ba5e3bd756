// Kernels over the blocks of a paged cache: whole blocks copied, and where the tokens of a batch lie.
#pragma once

#include <cstddef>
#include <cstdint>

#include "r1/kernels/block_copy.h"
#include "r1/kernels/cuda/device.h"

namespace r1::kernels::cuda {

// A cache of blocks, one after the other.
struct BlockPool {
  void* data = nullptr;
  int64_t block_bytes = 0;
};

// In every pool, the copies one after the other in the order given: the result is that of doing them one by one, also where a block is
// read and then written again. One launch for up to 64 pools and 256 copies; the lists are on the host and may go at once.
void copy_blocks(const BlockPool* pools, int64_t pool_count, const BlockCopy* copies, int64_t copy_count, Stream stream);

// ops/token_places.h. All on the device: table int32 [sequences, table_width], cu int32 [sequences + 1], first int32 [sequences] or null
// (zeros), places int64 [count].
struct TokenPlaces {
  const int32_t* table;
  int64_t table_width, sequences;
  const int32_t* cu;
  const int32_t* first;
  int32_t block_size;
  int64_t* places;
  int64_t count;
};
void token_places(const TokenPlaces& a, Stream stream);

// Copies `count` rows of `row_bytes` to these places of a cache of such rows, instead of writing the places down (places: null). Addresses and
// bytes are multiples of 4.
void append_rows(const TokenPlaces& a, const void* rows, int64_t row_bytes, void* cache, Stream stream);

}  // namespace r1::kernels::cuda
