// Causal attention to the keys that fall into a query's hash bucket or a neighbouring one, over packed sequences (training) and over a
// paged cache (serving), by one and the same inner routine; and its backward pass. ops/lsh_attention.h defines codes and buckets; in short,
// for the query at position p:
//
//   level(p) = the least l with bucket * 2^l >= p + 1, at most bits: there are 2^l buckets, a code's is its upper l bits
//   keys of p, each once, in this order: p, p - 1, .., p - window + 1; then for each round the latest 2 bucket tokens <= p of its own
//   bucket b, the latest `bucket` ones of b - 1, and those of b + 1 (modulo 2^l, as far as these are different buckets) out = softmax over
//   them
//
// The keys of a query depend on codes at positions <= p only, so a forward in any chunks, batches or blocks gives the same bits, on any
// instruction set and number of threads. Work: a query costs at most window + 4 rounds bucket keys, plus a look at as many numbers of
// tokens; the buckets are filled again when p reaches the next level, which costs twice the tokens in all.
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
