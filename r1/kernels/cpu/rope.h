// Rotary position embedding (Su et al. 2021) on [tokens, heads, head_dim], in place.
// Pair i of a head is (x[i], x[i + r/2]) (kHalves, as Hugging Face and Neox lay it out) or (x[2i], x[2i+1]) (kPairs, as in the paper), r =
// rotary_dim; dimensions from r on are left alone. With c = cos[position, i], s = sin[position, i]:  a' = a c - b s,  b' = b c + a s  (one
// product rounded, then an fma). inverse = true turns back: it is the backward pass. A token's bits depend on the token and its position
// only.
#pragma once

#include "r1/kernels/cpu/rows.h"

namespace r1::kernels {

enum class RopeLayout { kHalves, kPairs };

struct Rope {
  Rows x;  // row = token, its heads contiguous
  int64_t tokens, heads, head_dim, rotary_dim;
  const int32_t* positions;  // [tokens]
  const float *cos, *sin;    // [max_position, rotary_dim / 2]
  int64_t max_position;      // rows of the tables
  RopeLayout layout = RopeLayout::kHalves;
  bool inverse = false;
};
void rope(const Rope& a);

}  // namespace r1::kernels
