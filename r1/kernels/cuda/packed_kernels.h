// What packed_linear.cu asks of the files that instantiate its kernel, a file for each kind of codes.
#pragma once

#include <span>

#include "r1/kernels/cuda/packed_linear.h"

namespace r1::kernels::cuda {

// A PackedProduct as the kernel wants it.
struct PackedArguments {
  const void *x, *codes, *scales, *bias;
  void* y;
  int64_t x_stride;
  int rows, outputs, columns, row_tiles, column_tiles, groups;
  uint32_t group_inverse;  // tile * group_inverse >> 31 is the group of a tile of columns
  bool fp32;               // y
  int split;
};
constexpr int kMostSplit = 8;

using PackedKernel = void (*)(PackedArguments a);

// Rows of x, warps of four and row tiles of each that a block takes; of the kernel for few rows less than no warps.
struct PackedTile {
  int tokens, groups, row_tiles;
};

struct PackedEntry {
  PackedTile tile;
  PackedKernel kernel;
  int threads, rows, shared_bytes;
};

struct PackedKernels {
  std::span<const PackedEntry> products;  // smallest first; empty: not there
  PackedKernel unpack = nullptr;          // to bf16
};

// `subs`: scales for each 64 columns of a row, 1, 2 or 4.
PackedKernels packed_int4(PackedShift shift, int subs);
PackedKernels packed_int8(PackedShift shift, int subs);
PackedKernels packed_e4m3(PackedShift shift, int subs);

}  // namespace r1::kernels::cuda
