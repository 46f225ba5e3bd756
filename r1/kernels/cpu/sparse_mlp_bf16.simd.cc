#include "r1/kernels/cpu/chosen_products.h"
#include "r1/kernels/cpu/linear_in.h"
#include "r1/kernels/cpu/pairs.h"

namespace r1::kernels {
namespace {

struct Rounded {
  R1_INLINE F16 operator()(F16 x) const {
    bf16 narrow[16];
    store(narrow, x);
    return load(narrow);
  }
};

}  // namespace

template <>
void chosen_products_bf16_simd<kIsa, kDot>(const ChosenProducts<uint16_t>& c, int64_t begin, int64_t end) {
  with_count<kFewRows>(c.rows, [&]<int R>() { chosen_products<Pairs, R>(c, c.dim / 2, begin, end, Rounded()); });
}

}  // namespace r1::kernels
