// The sliding window of attention: how many keys the query at a position sees. One rule for the kernels, the ops and their definitions.
#pragma once

#include <cstdint>

namespace r1::kernels {

// Keys that the query at `position` sees, itself included; 0: all. That is `tokens`, or, where the window grows (grows_to above tokens),
// a quarter of the position + 1 tokens so far (rounded down), no less than tokens and no more than grows_to. It depends on the query's own
// position, not on how long the sequence will be, so decoding sees what training saw; and the first key that is seen never moves back.
// Always inline: files of several instruction sets share no copy of it.
__attribute__((always_inline)) inline int64_t window_at(int64_t tokens, int64_t grows_to, int64_t position) {
  const int64_t quarter = (position + 1) / 4;
  if (tokens <= 0 || grows_to <= tokens || quarter <= tokens) return tokens;
  return quarter < grows_to ? quarter : grows_to;
}

}  // namespace r1::kernels
