// How a matrix in ggml's blocks lies in memory for products: the bytes of the file, of eight rows side by side, so that a vector's lanes are
// rows and a sum over columns needs no sum over lanes. tensor/packed lays it out when it loads, kernels/cpu/packed_linear reads it.
//
// A block is a list of fields (fp16 scales, bytes with quants). A group of eight rows has a plane for each field, in the order of the list
// below; a plane has the field of each block of the row, one after the other; a field is cut in units (2 bytes of fp16, else 4), and the
// units of the eight rows alternate: unit 0 of row 0, ..., unit 0 of row 7, unit 1 of row 0, ... The last group is filled up with zeros.
// The word of fifth bits (Q5_0, Q5_1) is turned besides: bit 8 c + s has the fifth bit of element 4 s + c.
#pragma once

#include <cstddef>
#include <cstdint>

namespace r1 {

enum class GgmlType : uint32_t;

enum class BlockForm : uint8_t { kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ8_0, kQ4_K, kQ5_K, kQ6_K };
inline constexpr int kBlockForms = 8;

inline constexpr int64_t kRowsOfGroup = 8;

// The fields in the order of the planes; bytes in a block, 0: the form has none.
struct BlockFields {
  int64_t elements;                    // of a block
  int64_t quants, high, scales, d, m;  // bytes: (low) bits of the quants, further bits, 6 or 8 bit scales, fp16 scale, fp16 offset
  int64_t bytes() const { return quants + high + scales + d + m; }
};
inline constexpr BlockFields kBlockFields[kBlockForms] = {
    {32, 16, 0, 0, 2, 0}, {32, 16, 0, 0, 2, 2},    {32, 16, 4, 0, 2, 0},     {32, 16, 4, 0, 2, 2},
    {32, 32, 0, 0, 2, 0}, {256, 128, 0, 12, 2, 2}, {256, 128, 32, 12, 2, 2}, {256, 128, 64, 16, 2, 0},
};

// Whether there is a form for this type.
bool has_block_form(GgmlType type);
BlockForm block_form(GgmlType type);

// Bytes of a group of rows with so many columns, whole blocks; and of the matrix.
int64_t group_bytes(BlockForm form, int64_t columns);
int64_t interleaved_bytes(BlockForm form, int64_t rows, int64_t columns);

// Eight rows as the file has them (null: a row of zeros) to a group.
void interleave_rows(BlockForm form, int64_t columns, const std::byte* const (&rows)[kRowsOfGroup], std::byte* group);
// Row `row` of an interleaved matrix as the file has it.
void copy_interleaved_row(BlockForm form, int64_t columns, const std::byte* matrix, int64_t row, std::byte* out);

}  // namespace r1
