// Products of bf16 rows with a weight of small integers (or e4m3 floats) that stays packed: y[m, o] = sum_i x[m, i] w[o, i] + bias[o], with
//   w[o, i] = scale[o, g] * (code[o, i] - zero[o, g])   or   scale[o, g] * code[o, i] + offset[o, g],   g the group of column i.
// Codes are widened to bf16, which is exact, and multiplied by the tensor cores.
// - Up to kFewRows rows of x products are summed in fp32 over 64 columns or a group, whichever is less; these sums are scaled and added up in fp32.
//   No weight is rounded: before y's own rounding
//     |error| <= 2^-20 (columns / 16 + 16) sum_i |x_i| |scale| (|code| + |zero| + |offset / scale|).
// - More rows: weights are scaled and rounded to bf16 before they are multiplied, as unpacked ones are; 2^-8 sum_i |x_i| (|w| + |offset|) more.
// The same bits every time for the same rows, sizes and place in x; another number of rows may cut the sums elsewhere.
//
// How a matrix lies on the device (PackedLayout, which the host packs by; packed_layout_test holds it): 64 rows by 64 columns are a tile. A
// warp of four has 16 of its rows, a lane those 32 codes that a tensor core wants of it, in one load of 16 bytes (two for 8 bits).
#pragma once

#include <cstdint>

#include "r1/kernels/cpu/rows.h"
#include "r1/kernels/cuda/device.h"

// What the host packs by and the kernels read by are one function.
#ifdef __CUDACC__
#define R1_HOST_DEVICE __host__ __device__
#else
#define R1_HOST_DEVICE
#endif

namespace r1::kernels::cuda {

enum class PackedCodes : uint8_t { kInt4, kInt8, kE4m3 };
enum class PackedShift : uint8_t { kNone, kZero, kOffset };

constexpr int64_t kTileRows = 64, kTileColumns = 64;
constexpr int64_t kFewRows = 16;

// Sizes and places. Rows and columns are filled up to whole tiles, with scales of zero.
struct PackedLayout {
  PackedCodes codes = PackedCodes::kInt4;
  PackedShift shift = PackedShift::kNone;
  int64_t rows = 0, columns = 0;
  int64_t group = 0;  // columns of one scale: 16, 32 or a multiple of 64; a row's last may be cut short

  R1_HOST_DEVICE int code_bits() const { return codes == PackedCodes::kInt4 ? 4 : 8; }
  // Scales are fp16 for 4 bits and for groups below 64, else fp32. Beside each stands its zero or offset, where there is one.
  R1_HOST_DEVICE bool half_scales() const { return codes == PackedCodes::kInt4 || group < 64; }
  R1_HOST_DEVICE int64_t scale_numbers() const { return shift == PackedShift::kNone ? 1 : 2; }
  R1_HOST_DEVICE int64_t row_tiles() const { return (rows + kTileRows - 1) / kTileRows; }
  R1_HOST_DEVICE int64_t column_tiles() const { return (columns + kTileColumns - 1) / kTileColumns; }
  R1_HOST_DEVICE int64_t groups() const { return (column_tiles() * kTileColumns + group - 1) / group; }
  R1_HOST_DEVICE int64_t code_bytes() const { return row_tiles() * column_tiles() * kTileRows * kTileColumns * code_bits() / 8; }
  R1_HOST_DEVICE int64_t scale_count() const { return row_tiles() * kTileRows * groups() * scale_numbers(); }

  // Where a code lies, in bits: within its tile the warp of its 16 rows, the 16 bytes of its lane, the step of 16 columns.
  R1_HOST_DEVICE int64_t code_bit(int64_t row, int64_t column) const {
    const int64_t tile = row / kTileRows * column_tiles() + column / kTileColumns;
    const int64_t warp = row % 64 / 16, lane = row % 8 * 4 + column % 8 / 2, step = column % 64 / 16;
    const int64_t part = row % 16 / 8 + column % 16 / 8 * 2;  // which register of the four
    const int64_t second = column % 2;                        // half of it
    if (codes == PackedCodes::kInt4) return ((tile * 4 + warp) * 32 + lane) * 128 + step * 32 + second * 16 + part * 4;
    const int64_t word = step % 2 * 2 + part / 2;
    return (((tile * 4 + warp) * 2 + step / 2) * 32 + lane) * 128 + word * 32 + second * 16 + part % 2 * 8;
  }
  // Of a row's scale for a group, in numbers; its zero or offset is the next one.
  R1_HOST_DEVICE int64_t scale_place(int64_t row, int64_t at_group) const {
    const int64_t warp = row % 64 / 16, in_warp = row % 8 * 2 + row % 16 / 8;
    return (((row / kTileRows * groups() + at_group) * 4 + warp) * 16 + in_warp) * scale_numbers();
  }
};

struct PackedProduct {
  const void* x = nullptr;  // bf16 [rows, layout.columns]
  int64_t x_stride = 0;     // between rows, in elements; a multiple of 8, as is the address in 16 bytes
  PackedLayout layout;      // of the outputs asked for: its rows are they
  const void* codes = nullptr;
  const void* scales = nullptr;  // fp16 or fp32
  const void* bias = nullptr;    // bf16 [layout.rows] or null
  void* y = nullptr;             // bf16 or fp32 [rows, layout.rows], dense
  Float y_type = Float::kBf16;
  int64_t rows = 0;
};

bool takes_packed_product(const PackedProduct& a);
void packed_product(const PackedProduct& a, Stream stream);

// Values to bf16: out[r, i] = w[ids ? ids[r] : r, i], r < count; out dense [count, layout.columns]. Rounded once, from fp32.
struct PackedRows {
  PackedLayout layout;
  const void* codes = nullptr;
  const void* scales = nullptr;
  const int64_t* ids = nullptr;
  int64_t first = 0, count = 0;
  void* out = nullptr;
  Float out_type = Float::kBf16;
};
void packed_rows(const PackedRows& a, Stream stream);

}  // namespace r1::kernels::cuda
