// Causal attention of packed sequences with grouped queries: softmax(q k^T * scale) v. Query head n reads key/value head n / (N / K).
//   q [T, N, H], k and v [T, K, H]; result [T, N, H]. Tokens of all sequences lie in one row; a sequence sees itself only (Sequences
//   below). In the training form values may have a size of their own: v [T, K, V] gives [T, N, V]; and with cu_keylens there may be more
//   keys than queries: k and v [cu_keylens.back(), K, H].
//
// With a window, a query sees the last of these keys only. Work and time are then O(T w) (CPU: tiles of keys that no query sees are
// skipped, forward and backward; CUDA: flash attention's own window where it is of one size, a mask else).
//
// Two forms of one op: `attention` (training; every sequence starts at position 0; has a backward) and `paged_attention` (engine; keys and
// values live in blocks of a cache, new ones are appended behind `context_lens` and the new queries attend to all; no backward). CPU fp32:
// both run the same inner routine, so a token's result is bitwise the same in either form, whatever the chunking, the batch, the block ids
// and the number of threads. That holds under a window too: what a query sees, and in which order it is summed, depends on positions only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "r1/tensor/tensor.h"

namespace r1::ops {

struct PagedSequences {
  int32_t block_size = 16;                         // tokens a block
  std::vector<int32_t> context_lens;               // [S] tokens cached before this forward
  std::vector<std::vector<int32_t>> block_tables;  // [S] block ids in order of position; hold context + new tokens
  bool exact = true;  // CPU: rows are the training form's bits; false: a layer may take a faster form that is near (nn/mla)
};

// Sequence s owns rows cu_seqlens[s] .. cu_seqlens[s+1]-1. Built once a forward, read by every layer.
struct Sequences {
  std::vector<int32_t> cu_seqlens;        // [S+1]
  std::vector<int32_t> cu_keylens;        // [S+1] training form, rows of k and v where they are more than queries; empty: cu_seqlens
  int32_t max_seqlen = 0;                 // longest run of new rows
  const PagedSequences* paged = nullptr;  // borrowed; null: the training form
  int32_t block_bound = 0;                // one more than the largest block id

  // What device kernels read, made by sequences_on(); undefined on the CPU. A slot is a row of the cache seen as [.., K, H]: in block b the
  // key of token i is row 2 b block_size + i, its value lies block_size rows behind.
  Tensor cu_seqlens_dev;                // int32 [S+1]
  Tensor new_k_slots_T, new_v_slots_T;  // int64 [T] of the new tokens
  Tensor cu_keylens_dev;                // int32 [S+1] of all keys, old and new
  Tensor k_slots_L, v_slots_L;          // int64 [sum of key lengths], in order
  int32_t max_keylen = 0;

  int64_t count() const { return int64_t(cu_seqlens.size()) - 1; }
  int64_t tokens() const { return cu_seqlens.back(); }
  // Rows of k and v: in the training form a sequence's queries are its last tokens.
  const std::vector<int32_t>& key_rows() const { return cu_keylens.empty() ? cu_seqlens : cu_keylens; }
};

// Checks the lengths against each other and fills the device side. `cu_seqlens_dev` may be given (made already) or undefined.
Sequences sequences_on(at::Device device, std::vector<int32_t> cu_seqlens, const PagedSequences* paged = nullptr,
                       Tensor cu_seqlens_dev = {});

// Queries begin .. end-1 of packed sequences (the training form) alone, and the keys they may see: rows k_begin .. end-1.
struct QueryChunk {
  Sequences sequences;
  int64_t k_begin = 0;
};
QueryChunk chunk_of(const Sequences& sequences, int64_t begin, int64_t end, at::Device device);

// The keys that the query at position p sees: the last at(p) of its sequence, itself included.
struct Window {
  int64_t tokens = 0;    // 0: all
  int64_t grows_to = 0;  // above tokens: the window grows with the text, see at()

  Window(int64_t tokens = 0, int64_t grows_to = 0) : tokens(tokens), grows_to(grows_to) {}  // NOLINT: a number of tokens is a window
  // tokens, or, where it grows, a quarter of the p + 1 tokens so far (rounded down), no less than tokens and no more than grows_to. It
  // depends on the query's own position, not on how long the sequence will be, so decoding sees what training saw. 0: all.
  int64_t at(int64_t position) const { return grows_to > tokens && tokens > 0 ? std::clamp((position + 1) / 4, tokens, grows_to) : tokens; }
};

Tensor attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                 const Window& window = {});
Tensor attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                     const Window& window = {});

// `cache`: uint8 [blocks, paged_attention_bytes(...)], one layer's. The layout inside a block is this op's business: it differs between
// devices and dtypes, so a block may be copied whole but not read.
Tensor paged_attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& sequences,
                       double scale, const Window& window = {});
// The definition, on the plain layout: a block is k [block_size, K, H], then v.
Tensor paged_attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& sequences,
                           double scale, const Window& window = {});
int64_t paged_attention_bytes(int64_t kv_heads, int64_t head_dim, int32_t block_size, at::Device device, at::ScalarType dtype);

}  // namespace r1::ops
