// Where the tokens of packed sequences lie in a cache of blocks: token j of sequence s, at position p = first[s] + j - cu[s], lies in row
//
//   table[s, p / block_size] * block_size + p mod block_size
//
// of a cache seen as [blocks * block_size, ...]. Everything is on the device but the number of tokens, so nothing waits for it; ids in the
// table are not looked at beyond what the tokens need.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

// table int32 [S, M], contiguous; cu int32 [S+1]; first int32 [S], or undefined for zeros; `count` = cu[S]. Returns int64 [count]. On CUDA
// by a kernel of ours, elsewhere by the definition. No gradient.
Tensor token_places(const Tensor& table_SM, const Tensor& cu_S1, const Tensor& first_S, int64_t count, int32_t block_size);
Tensor token_places_ref(const Tensor& table_SM, const Tensor& cu_S1, const Tensor& first_S, int64_t count, int32_t block_size);

}  // namespace r1::ops
