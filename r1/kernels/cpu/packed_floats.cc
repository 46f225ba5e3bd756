#include "r1/kernels/cpu/packed_floats.h"

#include <algorithm>

#include "r1/base/error.h"

namespace r1::kernels {

FloatLinear checked(FloatLinear a) {
  check(a.rows >= 0 && a.out >= 0 && a.first >= 0 && a.w.columns > 0, "[float_linear] expected sizes, got ", a.rows, " x ", a.w.columns,
        " x ", a.out);
  check(a.w.form != FloatForm::kE4m3 || (a.w.scales && !a.w.places), "[float_linear] expected 8 bits dense and with scales");
  if (!a.x.row_stride) a.x.row_stride = a.w.columns;
  if (!a.y.row_stride) a.y.row_stride = a.out;
  return a;
}

bool same_input(const FloatLinear& a, const FloatLinear& b) {
  return a.x.data == b.x.data && reads_in_place(a) == reads_in_place(b) && a.w.padded() == b.w.padded();
}

int64_t input_bytes(const FloatLinear& a) {
  return reads_in_place(a) ? 0 : (a.rows * a.w.padded() * 4 + 63) / 64 * 64;
}

void prepare(const FloatLinear& a, int64_t t, uint8_t* input) {
  const int64_t row = t * kTileRows;
  auto* to = reinterpret_cast<float*>(input) + row * a.w.padded();
  with_isa([&](auto isa) { widen_rows_simd<isa()>(a, row, std::min(kTileRows, a.rows - row), to); });
}

void multiply(const FloatLinear& a, const uint8_t* input, int64_t begin, int64_t end) {
  const bool in_place = reads_in_place(a);
  const auto* x = static_cast<const float*>(in_place ? a.x.data : static_cast<const void*>(input));
  with_isa([&](auto isa) { float_linear_simd<isa()>(a, x, in_place ? a.x.row_stride : a.w.padded(), begin, end); });
}

double work_of(const FloatLinear& a) {
  return double(a.rows) * double(a.out * a.w.columns) * (a.w.places ? 0.5 : 1);
}

}  // namespace r1::kernels
