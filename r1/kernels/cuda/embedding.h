// The gradient of a table whose rows were looked up: each row's is the sum of what came back for it, in fp32 and in the order given, so that
// it is the same every time and rounded once. No atomics.
#pragma once

#include "r1/kernels/cpu/rows.h"
#include "r1/kernels/cuda/device.h"

namespace r1::kernels::cuda {

struct EmbeddingBackward {
  Float type = Float::kBf16;
  const void* dout = nullptr;      // [tokens, dim] dense
  const int64_t* ids = nullptr;    // [tokens], ascending
  const int64_t* order = nullptr;  // [tokens] rows of dout that belong to them
  void* dtable = nullptr;          // [rows, dim] dense; rows that no id names are left as they are
  int64_t tokens = 0, dim = 0;
};
void embedding_backward(const EmbeddingBackward& a, Stream stream);

}  // namespace r1::kernels::cuda
