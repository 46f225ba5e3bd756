#include "r1/kernels/cpu/chosen_products.h"
#include "r1/kernels/cpu/linear_in.h"
#include "r1/kernels/cpu/rows_io.h"

namespace r1::kernels {
namespace {

struct AsItIs {
  R1_INLINE F16 operator()(F16 x) const { return x; }
};

}  // namespace

template <>
void silu_simd<kIsa>(const ConstRows& x, int64_t row, float* y, int64_t n) {
  for_vectors(n, [&](int64_t i, int64_t count) {
    const F16 v = read(x, row, i, count);
    store_n(y + i, v * sigmoid(v), count);
  });
}

template <>
void chosen_products_simd<kIsa>(const ChosenProducts<float>& c, int64_t begin, int64_t end) {
  with_count<kFewRows>(c.rows, [&]<int R>() { chosen_products<Floats, R>(c, c.dim, begin, end, AsItIs()); });
}

}  // namespace r1::kernels
