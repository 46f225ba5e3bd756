// How a matrix of small integers with a scale and a zero point for each row and group of columns lies in memory for products: eight rows side
// by side, as ggml's blocks do (interleaved_rows.h). tensor/packed_integers lays it out when it loads, kernels/cpu/packed_integers reads it.
//
//   value[o, k] = scale[o, g] (code[o, k] - zero[o, g]),   g = k / group,   k the stored column
//
// Stored columns are the matrix's own, or, where groups were scattered (GPTQ's g_idx), sorted by group: stored column k is column order[k].
// Columns are filled up to a multiple of 32 with zeros in the input. Of eight rows (the last eight filled up with zeros), for each 32 columns:
//   8 bits  8 times 32 bytes: of columns 4 s .. 4 s + 3 the codes of row 0, then of row 1, ...
//   4 bits  4 times 32 bytes likewise: columns 4 s + c in the low halves of the bytes, columns 16 + 4 s + c in the high ones
// and for each group eight scales (fp32) and eight zero points (bytes), in planes of their own.
#pragma once

#include <cstdint>

#include "r1/base/interleaved_rows.h"

namespace r1 {

inline constexpr int64_t kIntegerBlock = 32;

// How the input of the product is rounded to 8 bits: each 32 columns of a row with a scale of their own, each row with its own, or all with
// a fixed one. The first is ours; the others are what a file of int8-dynamic or int8-static weights declares.
enum class InputRounding : uint8_t { kBlock, kRow, kFixed };

struct IntegerRows {
  int bits = 4;                     // 4 | 8
  int64_t columns = 0, padded = 0;  // of the input, and filled up
  int64_t group = 0;                // divides `padded`; a multiple of 32
  InputRounding rounding = InputRounding::kBlock;
  float input_scale = 0;  // kFixed
  const uint8_t* codes = nullptr;
  const float* scales = nullptr;   // [groups of rows][groups][8]
  const uint8_t* zeros = nullptr;  // likewise
  const int32_t* order = nullptr;  // [columns]; null: as they come

  constexpr int64_t groups() const { return padded / group; }
  // Columns that are summed as integers before they become floats.
  constexpr int64_t stretch() const { return rounding == InputRounding::kBlock ? kIntegerBlock : group; }
  // Bytes of eight rows' codes.
  constexpr int64_t code_bytes() const { return kRowsOfGroup * padded * bits / 8; }
};

// Sums of 8 bit products over more columns might not fit 32 bits.
inline constexpr int64_t kLongestStretch = 65536;

// Of stored column k of row r of eight: its byte, and for 4 bits whether it is the high half.
inline int64_t integer_byte(int bits, int64_t k, int64_t r) {
  const int64_t block = k / kIntegerBlock, i = k % kIntegerBlock, in_half = bits == 8 ? i : i % 16;
  return block * (bits == 8 ? 256 : 128) + in_half / 4 * 32 + r * 4 + in_half % 4;
}
inline bool integer_is_high(int64_t k) {
  return k % kIntegerBlock >= 16;
}

}  // namespace r1
