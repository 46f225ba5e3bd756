// The context vector of a sequence so far: c_t = mean of x_0 .. x_t, kept token by token as
//   c_0 = x_0,   c_t = c_{t-1} + (x_t - c_{t-1}) / (t + 1)          (t: the position in its sequence)
//   x [T, D], c [T, D] fp32 (fp64 for fp64). Tokens of all sequences lie in one row (ops/attention.h).
//
// Two forms of one op: `running_mean` (training; every sequence starts at position 0; has a backward) and `paged_running_mean` (engine: the
// vector of every token is kept in a cache, the new tokens go on from the last one's; no backward). CPU: both run the recurrence above, so
// a token's vector has the same bits in either form, whatever the chunking, the batch and the blocks. CUDA: the definition, which sums
// differently.
#pragma once

#include "r1/ops/attention.h"
#include "r1/tensor/tensor.h"

namespace r1::ops {

Tensor running_mean(const Tensor& x_TD, const Sequences& sequences);
Tensor running_mean_ref(const Tensor& x_TD, const Sequences& sequences);

// `cache`: uint8 [blocks, paged_running_mean_bytes(...)]; a block is c [block_size, D] of its tokens, fp32.
Tensor paged_running_mean(const Tensor& x_TD, const Tensor& cache, const Sequences& sequences);
Tensor paged_running_mean_ref(const Tensor& x_TD, const Tensor& cache, const Sequences& sequences);
int64_t paged_running_mean_bytes(int64_t dim, int32_t block_size);

}  // namespace r1::ops
