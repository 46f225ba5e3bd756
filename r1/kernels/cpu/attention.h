// Exact attention over packed sequences (training) and over a paged key/value pool (serving), by one and the same inner routine; and its
// backward pass.
//
//   out[t, h] = sum_j softmax_j(score(q[t, h], k[j, h'])) v[j, h'],  h' = h / (heads / kv_heads),  score(q, k) = cap(scale q . k),
//   cap(s) = s, or soft_cap tanh(s / soft_cap); j runs over the keys of t's own sequence that t may see: causal: up to its own position;
//   window: of these, the last `window` (itself included; with window_max the last window_at(position)); segments: of these, those of its
//   own segment of `window` tokens and the window - 1 before the segment; not causal: all. Of these again, with kept_last, those that a
//   sequence keeps: its first kept_first and the last kept_last before the query, itself included. With a bias, bias[h, distance] is added to a
//   score (after scale and cap), distance being t's position minus j's.
//
// The algorithm is the online softmax (Milakov, Gimelshein 2018; FlashAttention, Dao 2022) over steps of 64 keys, at multiples of 64 of the
// absolute position. With m, l, o the running maximum, sum and output of a query, a step is
//
//   m' = max(m, max_j s_j);  c = exp(m - m');  p_j = exp(s_j - m');  l = fma(l, c, sum of p_j by a fixed tree)
//   o = o c, then o = fma(p_j, v_j, o) for j ascending
//
// Contract of the bits: a query's result depends on its q, on its sequence's keys and values and on its position only: not on which other
// queries or sequences are computed with it, on chunks of a prefill, on cached or shared blocks, on the block size, on threads or on the
// instruction set. With a pool of fp32, serving gives the very bits of training; with a pool of bf16, those of training with k and v
// rounded to bf16. A pool of int8 holds whole numbers with a scale for each token and kv head (quantize_row): a dot product with them is
// multiplied by the key's scale, a probability by the value's, so the result is that of training with k and v rounded so, but for the
// rounding of these products. A pool of int4 holds 4 bits a number, with a scale and a lowest number for each group of 32 (quantize_row_int4),
// of keys without what they have in common (KeyOffset) and mixed (mix_row): serving gives the bits of training with such k and v.
//
// Layouts: q [T, heads, head_dim], k [T, kv_heads, head_dim], v and out [T, ..., v_dim]; a token's heads are contiguous, row_stride (in
// elements, 0 = dense) is the distance between tokens. lse [T, heads] is dense: log sum exp of the scores (natural). Any head_dim and v_dim
// >= 1 (multiples of 16 are fast). Threads: OpenMP over (sequence, kv head, block of queries); the backward over (sequence, kv head).
#pragma once

#include <cstddef>
#include <cstdint>

#include "r1/kernels/cpu/rows.h"
#include "r1/kernels/cpu/window.h"

namespace r1::kernels {

// What all keys of a layer have in common, a bias that was rotated with them: a pool of int4 holds them without it, and it is added when they are read.
// Position p's is, of the pair (a, b) of a head's bias with its c and s, (a c - b s, b c + a s), each product and the sum rounded.
struct KeyOffset {
  const float* bias = nullptr;                 // [kv_heads, head_dim]; null: none
  const float *cos = nullptr, *sin = nullptr;  // [positions, head_dim / 2]; null: not rotated
  int64_t positions = 0;
  bool pairs = false;  // of neighbours; else of the numbers i and i + head_dim / 2
};

struct AttentionShape {
  int64_t heads, kv_heads, head_dim, v_dim;
  float scale;
  bool causal = true;
  int64_t window = 0;      // 0: none
  int64_t window_max = 0;  // above window: the window grows up to this (window.h)
  float soft_cap = 0;      // 0: none
  // Forward only: of the keys that a query may see by the above, the first kept_first of its sequence and the last kept_last up to itself.
  // kept_last 0: all. Blocks of a pool that hold none of these are not read.
  int64_t kept_first = 0, kept_last = 0;
  KeyOffset key_offset = {};  // of a pool of int4, whose keys come without it
  bool segments = false;      // window is the length of a segment; keys of earlier segments are constants to the backward

  // fp32 [heads, bias_span]; bias_span exceeds every distance that occurs (segments: 2 window - 1). Null: none.
  const float* bias = nullptr;
  int64_t bias_span = 0;

  __attribute__((always_inline)) int64_t window_at(int64_t position) const { return kernels::window_at(window, window_max, position); }
};

using ConstHeads = ConstRows;  // a row is a token
using Heads = Rows;

// ---- packed sequences: sequence i is the tokens cu_seqlens[i] .. cu_seqlens[i + 1] - 1
// cu_keys (null: cu_seqlens) says the same of k and v, where a sequence has more keys than queries: its queries are its last tokens.
struct AttentionForward {
  AttentionShape shape;
  ConstHeads q, k, v;
  Heads out;
  float* lse = nullptr;  // or none
  const int32_t* cu_seqlens;
  int64_t sequences;
  const int32_t* cu_keys = nullptr;
};
void attention_forward(const AttentionForward& a);

// dq, dk, dv are overwritten. The sums run in one fixed order: a query's over its keys, ascending, a key's over the queries that see it,
// ascending, and the heads of a group. With add_keys, dk and dv (fp32) are added to: a sequence's queries in chunks, one call after the
// other, give the bits of all at once.
struct AttentionBackward {
  AttentionShape shape;
  ConstHeads q, k, v, out;
  const float* lse;
  ConstHeads dout;
  Heads dq, dk, dv;
  const int32_t* cu_seqlens;
  int64_t sequences;
  const int32_t* cu_keys = nullptr;
  float* dbias = nullptr;  // [heads, bias_span], overwritten; or not wanted
  bool add_keys = false;
};
void attention_backward(const AttentionBackward& a);

// ---- the paged pool: blocks of block_size tokens (a multiple of 16), one layer. A block holds, for each kv head, its keys as tiles
// [block_size / 16][head_dim][16] and then its values [block_size][v_dim rounded up to 16]. Memory need not be cleared.
size_t attention_block_bytes(int64_t block_size, int64_t kv_heads, int64_t head_dim, int64_t v_dim, Float type);
// The same as int8: tiles and values one byte a number, and after them, for each kv head, fp32 scales of its keys [block_size] and of its
// values [block_size].
size_t attention_block_bytes_int8(int64_t block_size, int64_t kv_heads, int64_t head_dim, int64_t v_dim);

// to[i] = x[i] / scale to the nearest whole number (halves to even), scale = max |x| / 127; returns the scale. All zeros: scale 0. A row
// with a number that is not finite has a NaN for its scale: it must not be mended in silence.
float quantize_row(const float* x, int64_t count, int8_t* to);

// The same as int4: tiles [block_size / 16][(head_dim + 1) / 2][16] bytes, two neighbouring numbers of a key in each; values
// [block_size][groups][16] bytes, the numbers d and d + 16 of a group in each, the lower half first; bf16 scales and then lowest numbers of keys,
// [groups][block_size] each, and of values, [block_size][groups][2].
inline constexpr int64_t kInt4Group = 32;
size_t attention_block_bytes_int4(int64_t block_size, int64_t kv_heads, int64_t head_dim, int64_t v_dim);

// to[i] = (x[i] - low) / scale to the nearest of 0 .. 15 (halves to even); low = min x and scale = (max x - low) / 15 of its group, both rounded to
// bf16. It stands for fma(scale, to[i], low). scale, low: one a group. A group with a number that is not finite has NaNs for both.
void quantize_row_int4(const float* x, int64_t count, uint8_t* to, uint16_t* scale, uint16_t* low);
// x = H x for each run of mix_size(count) numbers, H being Hadamard's matrix of 1 and -1 (Sylvester's order), by steps of sums and differences. It
// spreads the few channels in which a key is large over all, which 4 bits need; H of it, divided by the size, is the row again.
void mix_row(float* x, int64_t count);
inline int64_t mix_size(int64_t count) {
  return count & -count;  // the largest power of two in it
}

enum class KvNumbers { kFloat, kInt8, kInt4 };

struct KvPool {
  void* data;  // block b starts at data + b * block_stride bytes
  Float type = Float::kF32;
  int64_t block_size;
  int64_t block_stride = 0;               // 0: attention_block_bytes; more when a block also holds other things (all layers, say)
  KvNumbers numbers = KvNumbers::kFloat;  // of others `type` says nothing
  bool scored = false;                    // a block ends with fp32 scores [kv_heads][block_size] (add_attention_scores)
};
// Tokens q_begin .. q_begin + q_rows - 1 of the packed rows are the last q_rows of the `keys` tokens of a sequence; blocks[i] holds its
// tokens i * block_size and up.
struct PagedSequence {
  int64_t q_begin, q_rows, keys;
  const int32_t* blocks;
};

// What a block of that pool takes; its data and block_stride do not matter.
size_t attention_pool_bytes(const AttentionShape& shape, const KvPool& pool);

// Writes the k and v rows of the sequences' new tokens into their blocks (rounding when the pool is no fp32). Their scores are 0.
void append_kv(const AttentionShape& shape, const KvPool& pool, ConstHeads k, ConstHeads v, const PagedSequence* sequences, int64_t count);

// All keys must have been appended.
struct AttentionPaged {
  AttentionShape shape;
  ConstHeads q;
  KvPool pool;
  Heads out;
  float* lse = nullptr;
  const PagedSequence* sequences;
  int64_t count;
};
void attention_forward_paged(const AttentionPaged& a);

// Adds to the score of every cached token the probabilities that the new rows have just given it: of each kv head, those of its rows and heads, in
// their order. a.lse: what the forward wrote. The pool is scored; plain causal attention (no window, segments, bias or kept_last).
// Bits: as the forward's, of rows added one after the other, however they come in chunks.
void add_attention_scores(const AttentionPaged& a);
// scores[0, slots) of a sequence's cached tokens, of one kv head.
void read_attention_scores(const AttentionShape& shape, const KvPool& pool, const int32_t* blocks, int64_t kv_head, int64_t slots,
                           float* scores);
// Of a kv head's cached tokens keeps those at kept[0, count), ascending, and moves them to the first `count` places, as they stand there.
void keep_slots(const AttentionShape& shape, const KvPool& pool, const int32_t* blocks, int64_t kv_head, const int64_t* kept,
                int64_t count);

}  // namespace r1::kernels
