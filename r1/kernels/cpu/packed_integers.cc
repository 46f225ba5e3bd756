#include "r1/kernels/cpu/packed_integers.h"

#include <algorithm>
#include <vector>

#include "r1/base/error.h"

namespace r1::kernels {
namespace {

bool rounds_alike(const IntegerRows& a, const IntegerRows& b) {
  return a.columns == b.columns && a.rounding == b.rounding && a.input_scale == b.input_scale && a.stretch() == b.stretch() &&
         (a.bits == b.bits || uses_vnni());
}

bool same_order(const IntegerRows& a, const IntegerRows& b) {
  if (a.order == b.order) return true;
  return a.order && b.order && std::equal(a.order, a.order + a.columns, b.order);
}

}  // namespace

IntegerLinear checked(IntegerLinear a) {
  const IntegerRows& w = a.w;
  check(a.rows >= 0 && a.out >= 0 && a.first >= 0 && w.columns > 0, "[integer_linear] expected sizes, got ", a.rows, " x ", w.columns,
        " x ", a.out);
  check((w.bits == 4 || w.bits == 8) && w.padded >= w.columns && w.padded < w.columns + kIntegerBlock && w.padded % kIntegerBlock == 0 &&
            w.group > 0 && w.group % kIntegerBlock == 0 && w.padded % w.group == 0 && w.stretch() <= kLongestStretch,
        "[integer_linear] expected 4 or 8 bits and groups of whole 32 columns, got ", w.bits, " bits, ", w.columns,
        " columns in groups of ", w.group);
  if (!a.x.row_stride) a.x.row_stride = w.columns;
  if (!a.y.row_stride) a.y.row_stride = a.out;
  return a;
}

bool same_input(const IntegerLinear& a, const IntegerLinear& b) {
  return a.x.data == b.x.data && rounds_alike(a.w, b.w) && same_order(a.w, b.w);
}

int64_t input_bytes(const IntegerLinear& a) {
  return (a.rows * integer_row_bytes(a.w, uses_vnni()) + 63) / 64 * 64;
}

void prepare(const IntegerLinear& a, int64_t t, uint8_t* input) {
  thread_local std::vector<float> row_room;
  if (int64_t(row_room.size()) < a.w.padded) row_room.resize(size_t(a.w.padded));
  const int64_t row = t * kTileRows;
  with_packed_isa([&](auto isa, auto vnni) {
    round_tile_simd<isa(), vnni()>(a, row, std::min(kTileRows, a.rows - row), row_room.data(),
                                   input + row * integer_row_bytes(a.w, vnni()));
  });
}

void multiply(const IntegerLinear& a, const uint8_t* input, int64_t begin, int64_t end) {
  with_packed_isa([&](auto isa, auto vnni) { integer_linear_simd<isa(), vnni()>(a, input, begin, end); });
}

double work_of(const IntegerLinear& a) {
  return double(a.rows + 4) * double(a.out * a.w.padded) / 8;
}

}  // namespace r1::kernels
