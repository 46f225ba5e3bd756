// How the kernels see a matrix of floats: a pointer, how the floats are stored, the distance between rows in elements (0: dense).
// Arithmetic is always fp32.
#pragma once

#include <cstdint>

namespace r1::kernels {

enum class Float { kF32, kBf16 };

static inline int64_t size_of(Float type) {
  return type == Float::kF32 ? 4 : 2;
}

struct ConstRows {
  const void* data = nullptr;
  Float type = Float::kF32;
  int64_t row_stride = 0;
};
struct Rows {
  void* data = nullptr;
  Float type = Float::kF32;
  int64_t row_stride = 0;
  __attribute__((always_inline)) operator ConstRows() const { return {data, type, row_stride}; }
};

}  // namespace r1::kernels
