// Causal attention of new rows to all tokens of their sequences, straight on the blocks of a cache; the new rows' keys and values are in it
// already. ops/attention.h says what it computes. A block is k [block_size, K, H], then v, in fp32 or bf16; or, with latents, rows
// [block_size, H] alone, whose first numbers are the value too (ops/mla_attention.h, absorbed).
//
// Lengths, tables and starts are read on the device, and what is launched depends on shapes alone, so that a captured launch serves batches
// of other lengths. Two kernels share the sequences of a batch:
//   narrow  few rows (decoding, speculation): the tiles of keys of all sequences and key heads stand in one line that is cut into as many
//           equal parts as blocks run at a time, whatever the lengths; heads of a group are rows of one product, and a key is read once for
//           them. Parts of one sum are put together by the last block that ends one, in the order of the keys: a result depends on the batch
//           (where the line is cut), but not on the run.
//   wide    many rows (prefill, bf16): 64 rows x heads of a group a block.
#pragma once

#include <cstdint>

#include "r1/kernels/cpu/rows.h"
#include "r1/kernels/cuda/device.h"
#include "r1/kernels/cuda/qkv_heads.h"

namespace r1::kernels::cuda {

struct PagedAttention {
  const void* q = nullptr;  // [tokens, heads, head_dim], tokens q_stride elements apart; at multiples of 16 bytes
  const void* cache = nullptr;
  void* out = nullptr;  // [tokens, heads, head_dim or latent], dense
  Float type = Float::kF32;
  int64_t tokens = 0, sequences = 0;
  int64_t q_stride = 0;
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  int64_t latent = 0;  // numbers of a key that are its value; 0: values of their own. With latents there is one key head
  int32_t block_size = 16;
  const int32_t* table = nullptr;  // [sequences, table_width]; entries after a sequence's last block are not read
  int64_t table_width = 0;
  const int32_t* cu = nullptr;       // [sequences + 1]
  const int32_t* context = nullptr;  // [sequences] tokens before the new rows
  float scale = 1;
  int64_t window = 0, window_grows_to = 0;  // kernels/cpu/window.h
  int64_t max_rows = 1;                     // of a sequence: no sequence has more. 1: decoding
  bool has_few = true;                      // a sequence may have at most narrow_rows() rows; false: the narrow kernel is left out
  // Decoding in one launch, where has_joint_attention() and every sequence has one row: q, k and v as their projection gave them, what is to
  // be done to them, and the cache that k and v go into (its cache and nothing else of QkvHeads::cache); q above is not read. Null: q, and the
  // cache, are made.
  const QkvHeads* joint = nullptr;
  void* workspace = nullptr;  // paged_attention_workspace() of it, 16-byte aligned
  // That many int32 zeros, zero again afterwards; launches that share them follow one another. Null: the workspace's.
  int32_t* counters = nullptr;
};

// Head sizes 16, 32, 64, 80, 96, 128, 192 and 256, or latents of 32 in 48 and 512 in 576; blocks of a multiple of 16 tokens.
bool has_paged_attention(Float type, int64_t head_dim, int64_t latent, int32_t block_size);

// Rows that a sequence has at most to go through the narrow kernel.
int64_t narrow_rows(const PagedAttention& a);

// bf16, heads of 64 and 128.
bool has_joint_attention(Float type, int64_t head_dim);

struct PagedWorkspace {
  int64_t bytes = 0;
  int64_t counters = 0;  // int32, at its start: without PagedAttention::counters, the caller makes them zero before (QkvHeads::zeroed does)
};
PagedWorkspace paged_attention_workspace(const PagedAttention& a, int device);

void paged_attention(const PagedAttention& a, Stream stream);

}  // namespace r1::kernels::cuda
