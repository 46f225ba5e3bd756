// Quantized matrices of all files in one form, before they go to a GPU (ops/device_matrix): codes of 4 or 8 bits, and for each row and group of
// columns a scale and what its codes are shifted by.
//   value[o, i] = scale[o, g] * (code - zero[o, g])  or  scale[o, g] * code + offset[o, g],  g the group of column i
// The values are those that unpacking gives, but for an offset's product and sum, which here are not rounded in between (Q4_K, Q5_K, Q4_1, Q5_1).
#pragma once

#include "r1/base/gguf_file.h"
#include "r1/tensor/fp8_block.h"
#include "r1/tensor/gguf.h"
#include "r1/tensor/integers.h"

namespace r1::tensor {

struct GroupedCodes {
  enum class Kind { kInt4, kInt8, kE4m3 } kind = Kind::kInt4;
  // uint8 [O, I]: of 4 bits 0 .. 15, less 8 where there is neither zero nor offset; of 8 bits two's complement, or e4m3's bits.
  Tensor code_OI;
  int64_t group = 0;    // columns; the last may be cut short
  Tensor scale_OG;      // fp32
  Tensor zero_OG;       // fp32 whole numbers, or undefined
  Tensor offset_OG;     // fp32, or undefined
  Tensor order_I = {};  // int64, or undefined: column i here is column order[i] of the matrix
  std::string format;   // for people

  int64_t rows() const { return code_OI.size(0); }
  int64_t columns() const { return code_OI.size(1); }
};

// Groups that are not in order are put in order, and columns with them (act-order); undefined code_OI if they are not of one size.
GroupedCodes grouped_codes(const IntegerMatrix& m);
GroupedCodes grouped_codes(const Fp8Blocks& blocks);
// For types that are.
bool is_quantized(GgmlType type);
GroupedCodes grouped_codes(const GgufFile& file, const GgufTensor& tensor, const RowOrder& row_of = {});
// What they mean: fp32 [O, I] in the matrix's own order of columns.
Tensor dense(const GroupedCodes& m);

}  // namespace r1::tensor
