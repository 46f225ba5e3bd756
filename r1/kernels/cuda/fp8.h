// 8 bit floats for matrix products: a whole tensor has one scale, taken from its largest absolute value on the device.
#pragma once

#include <cstdint>

#include "r1/kernels/cpu/rows.h"
#include "r1/kernels/cuda/device.h"

namespace r1::kernels::cuda {

enum class Fp8 { kE4m3, kE5m2 };  // largest values 448 and 57,344

// x [rows, columns], dense, fp32 or bf16, to 8 bits, rounded to nearest and cut off at the largest value: numbers of the result times *scale
// are about x's. `by_rows` [rows, columns] and `by_columns` [columns, rows] are both written in one pass where they are not null. rows and
// columns are multiples of 16, addresses of 16 bytes. NaN and infinity stay NaN, or become one. *scale: fp32, on the device; so is *largest,
// which is scratch.
struct Fp8Cast {
  ConstRows x;
  int64_t rows, columns;
  Fp8 type;
  void *by_rows = nullptr, *by_columns = nullptr;
  float *largest, *scale;
};
void cast_fp8(const Fp8Cast& a, Stream stream);

}  // namespace r1::kernels::cuda
