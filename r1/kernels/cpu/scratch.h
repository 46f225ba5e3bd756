// Scratch memory of the calling thread: grows, is kept for the next call, and is freed with the thread. Contents are undefined.
// A buffer has a name, listed here once, and one user: kernels that call each other can't take each other's. Aligned to 64 bytes.
#pragma once

#include <cstddef>

namespace r1::kernels {

enum class Scratch {
  kGemmA,  // packed blocks of the two factors
  kGemmB,
  kGemmC,     // a block of the product in fp32, before it is rounded
  kGemmBias,  // a bias of bf16 as fp32
  kAttentionKeys,
  kAttentionValues,
  kAttentionUnit,       // a unit's queries and their running state
  kAttentionWide,       // a step's keys and values of a pool of int4, as floats
  kAttentionKeySide,    // of the backward: a block of keys, values and the sums of their gradients, and dq
  kAttentionQuerySide,  // and a block of queries
  kSparseActive,
  kSparseSort,
  kSparseChosen,
  kSparseHidden,
  kLshCodes,
  kLshFound,
  kLshTokens,
  kLshLatest,
  kLshEnds,
  kLshRows,
  kLshFloats,
  kCount,
};

void* scratch_bytes(Scratch buffer, size_t bytes);
inline float* scratch(Scratch buffer, size_t floats) {
  return static_cast<float*>(scratch_bytes(buffer, floats * sizeof(float)));
}

}  // namespace r1::kernels
