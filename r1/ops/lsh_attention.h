// Attention by locality-sensitive hashing (Kitaev et al., "Reformer", 2020; sign projections: Charikar, 2002): a query looks only at keys
// that fall into its own bucket or a neighbouring one, in any of several independent hashings.
//
// The hash. Round r has `bits` fixed random directions; the signs of a vector's products with them, read as a Gray code, are its code of
// `bits` bits, so codes that differ by one differ in one direction only. With 2^l buckets a vector's bucket is the upper l bits of its
// code: more buckets split the old ones and move nothing. Queries and keys are hashed alike, after rotation, each with its own vector
// (queries and keys are separate projections as everywhere in nn/; Reformer shares them). Buckets b - 1 and b + 1 (modulo 2^l) are b's
// neighbours.
//
// The number of buckets follows the length, as it is for the query: at position p there are 2^l(p), the fewest that make `bucket` tokens a
// bucket in the mean: l(p) = min(bits, least l with bucket 2^l >= p + 1). The query at position p sees
//   - the last `window` tokens (at least itself), and of each round, among the tokens up to p, in order of position,
//   - the last 2 bucket tokens of its own bucket, and the last `bucket` ones of each neighbour (all others are out of reach: this is what
//     bounds the work where a bucket overflows),
// each key once. out = softmax over this union of (scale q . k), times v: the rounds' softmaxes merged by their log-sum-exp, where a key
// that several rounds find counts once (Reformer, equations 6 to 8). Up to `bucket` tokens the result is exact attention.
//
// Because buckets are counted at the query's position and not at the sequence's end, decoding sees what training saw: generation equals the
// full forward, and CPU fp32 gives the same bits whatever the chunking, the batch, the blocks and the threads. The codes are constants to
// the gradient. Work O(T rounds bucket), memory O(T).
//   q [T, N, H], k and v [T, K, H], codes int16 [T, N or K, rounds]; result [T, N, H].
#pragma once

#include "r1/ops/attention.h"

namespace r1::ops {

struct LshShape {
  int64_t rounds = 4;
  int64_t bits = 10;    // of a code, at most 15
  int64_t bucket = 64;  // tokens
  int64_t window = 1;
};
// The bits that buckets at the longest position need.
int64_t lsh_bits(int64_t positions, int64_t bucket);

// fp32 [rounds * bits, head_dim], standard normal, a function of the seed.
Tensor lsh_directions(int64_t head_dim, const LshShape& shape, uint64_t seed, at::Device device);
// x [T, N, H] of any float type -> int16 [T, N, rounds]; computed in fp32, row by row alike. No gradient.
Tensor lsh_codes(const Tensor& x_TNH, const Tensor& directions, int64_t rounds);

Tensor lsh_attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& q_codes_TNR, const Tensor& k_codes_TKR,
                     const Sequences& sequences, double scale, const LshShape& shape);
// The definition: the set of keys of every query, one by one, then a masked softmax. O(T^2).
Tensor lsh_attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& q_codes_TNR,
                         const Tensor& k_codes_TKR, const Sequences& sequences, double scale, const LshShape& shape);

// `cache`: uint8 [blocks, paged_lsh_bytes(..)]: a token's keys, values and codes side by side.
Tensor paged_lsh_attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& q_codes_TNR,
                           const Tensor& k_codes_TKR, const Tensor& cache, const Sequences& sequences, double scale, const LshShape& shape);
Tensor paged_lsh_attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& q_codes_TNR,
                               const Tensor& k_codes_TKR, const Tensor& cache, const Sequences& sequences, double scale,
                               const LshShape& shape);
int64_t paged_lsh_bytes(int64_t kv_heads, int64_t head_dim, int64_t rounds, int32_t block_size, at::ScalarType dtype);

}  // namespace r1::ops
