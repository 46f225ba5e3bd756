// Causal attention to the keys that fall into a query's hash bucket or a neighbouring one, over packed sequences (training) and over a
// paged cache (serving), by one and the same inner routine; and its backward pass. ops/lsh_attention.h defines codes and buckets; in short,
// for the query at position p:
//
//   level(p) = the least l with bucket * 2^l >= p + 1, at most bits: there are 2^l buckets, a code's is its upper l bits
//   out = softmax over the keys of p, each once, in this order: p - window + 1, .., p; then for each round the latest `bucket` ones <= p of
//   bucket b - 1, the latest 2 bucket ones of its own bucket b and the latest `bucket` ones of b + 1 (modulo 2^l, as far as these are
//   different buckets), each bucket's by position
//
// The softmax goes on from round to round: with m, l, o a query's running maximum, sum and output, a round (at first, the window) is
//
//   m' = max(m, max_j s_j);  c = exp(m - m');  p_j = exp(s_j - m');  l = l c, o = o c, then l += p_j, o = fma(p_j, v_j, o) for each key j
//
// The keys of a query depend on codes at positions <= p only, so a forward in any chunks, batches or blocks gives the same bits, on any
// instruction set and number of threads. Work: a query costs at most window + 4 rounds bucket keys. The queries of a level that share a
// bucket go through its keys together (lsh_tiles.h), so that a key is fetched from afar a few times a round; the buckets are filled again
// at each level, which costs twice the tokens in all. Few queries, as in decoding, are gone through one by one, each with a walk back over
// the codes (lsh_lone.h).
// One sequence has at most 2^24 tokens.
//
// Layouts: q [T, heads, head_dim], k [T, kv_heads, head_dim], v and out [T, .., v_dim], dense; codes int16 [T, heads or kv_heads, rounds].
// OpenMP over (sequence, kv head).
#pragma once

#include <cstddef>
#include <cstdint>

#include "r1/kernels/cpu/attention.h"

namespace r1::kernels {

struct LshShape {
  int64_t heads, kv_heads, head_dim, v_dim;
  float scale;
  int64_t rounds, bits, bucket, window;  // bits of a code, <= 15; window >= 1
};

// The signs of `bits` products, read as a Gray code, for each of `count` codes.
void lsh_codes(const float* products, int64_t count, int64_t bits, int16_t* codes);

struct LshForward {
  LshShape shape;
  ConstRows q, k, v;
  const int16_t *q_codes, *k_codes;
  Rows out;
  float* lse = nullptr;  // [T, heads], or none
  const int32_t* cu_seqlens;
  int64_t sequences;
};
void lsh_attention_forward(const LshForward& a);

// dq, dk, dv are overwritten; the sums run over queries in order.
struct LshBackward {
  LshShape shape;
  ConstRows q, k, v, out;
  const int16_t *q_codes, *k_codes;
  const float* lse;
  ConstRows dout;
  Rows dq, dk, dv;
  const int32_t* cu_seqlens;
  int64_t sequences;
};
void lsh_attention_backward(const LshBackward& a);

// ---- paged: a block holds block_size tokens, each k [kv_heads, head_dim], v [kv_heads, v_dim], codes [kv_heads, rounds].
int64_t lsh_token_bytes(const LshShape& shape, Float type);

struct LshPaged {
  LshShape shape;
  ConstRows q, k, v;  // of the new tokens; k, v and k_codes are written into the blocks first
  const int16_t *q_codes, *k_codes;
  KvPool pool;
  Rows out;
  const PagedSequence* sequences;
  int64_t count;
};
void lsh_attention_paged(const LshPaged& a);

}  // namespace r1::kernels
