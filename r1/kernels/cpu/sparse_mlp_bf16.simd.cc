#include "r1/kernels/cpu/chosen_products.h"
#include "r1/kernels/cpu/pairs.h"
#include "r1/kernels/cpu/sparse_mlp_simd.h"

namespace r1::kernels {
namespace {

R1_INLINE F16 rounded(F16 x) {
  bf16 narrow[16];
  store(narrow, x);
  return load(narrow);
}

}  // namespace

template <>
void chosen_products_bf16_simd<kIsa, kDot>(const ChosenProducts<uint16_t>& c, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i += kLanes) {
    const int64_t n = min_of(kLanes, end - i);
    const F16 up = rounded(chosen_products<Pairs>((const Word*)c.x, (const Word*)c.up, c.chosen + i, n, c.dim / 2));
    store_n(c.hidden + i, rounded(load_n(c.active + i, n) * up), n);
  }
}

}  // namespace r1::kernels
