#include "r1/kernels/cpu/sparse_mlp.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "r1/base/error.h"
#include "r1/kernels/cpu/bf16.h"
#include "r1/kernels/cpu/scratch.h"
#include "r1/kernels/cpu/sparse_mlp_simd.h"

namespace r1::kernels {
namespace {

constexpr int kScratchActive = 2, kScratchSort = 3, kScratchChosen = 4, kScratchHidden = 5;

// Calls take(i) for the `keep` largest |a[i]|, ascending in i; of equal ones the lower come first.
template <class Take>
void choose(const float* a, int64_t n, int64_t keep, Take take) {
  if (keep >= n) {
    for (int64_t i = 0; i < n; ++i) take(i);
    return;
  }
  if (keep <= 0) return;
  float* sorted = scratch(kScratchSort, size_t(n));
  // A NaN is beyond every bound: it is kept, and seen behind the sum.
  for (int64_t i = 0; i < n; ++i) sorted[i] = std::isnan(a[i]) ? INFINITY : std::fabs(a[i]);
  std::nth_element(sorted, sorted + keep - 1, sorted + n, std::greater<float>());
  const float bound = sorted[keep - 1];
  int64_t at_bound = keep - std::count_if(sorted, sorted + keep, [&](float v) { return v > bound; });
  for (int64_t i = 0; i < n; ++i) {
    const float size = std::isnan(a[i]) ? INFINITY : std::fabs(a[i]);
    if (size > bound || (size == bound && at_bound-- > 0)) take(i);
  }
}

}  // namespace

void sparse_mlp(const SparseMlp& s) {
  check(s.dim > 0 && s.inner > 0 && s.keep >= 0 && s.keep <= s.inner, "[sparse_mlp] expected keep in [0, ", s.inner, "], got ", s.keep);
  float* active = scratch(kScratchActive, size_t(s.inner));
  int32_t* chosen = static_cast<int32_t*>(scratch_bytes(kScratchChosen, size_t(s.inner) * 4));
  float* hidden = scratch(kScratchHidden, size_t(s.inner));
  with_isa([&](auto isa) { silu_simd<isa()>({s.gate, Float::kF32, s.inner}, 0, active, s.inner); });
  int64_t count = 0;
  choose(active, s.inner, s.keep, [&](int64_t i) {
    active[count] = active[i];  // i >= count: what is still to be looked at stays
    chosen[count++] = int32_t(i);
  });
  const int64_t threads = count * s.dim < 20000 ? 1 : omp_get_max_threads();
  const auto part = [&](int64_t size, int64_t i) { return std::min(size, (size + 15) / 16 * i / threads * 16); };
#pragma omp parallel for schedule(static) num_threads(int(threads)) if (threads > 1)
  for (int64_t i = 0; i < threads; ++i)
    with_isa([&](auto isa) { chosen_products_simd<isa()>(s.x, s.up, chosen, active, hidden, s.dim, part(count, i), part(count, i + 1)); });
#pragma omp parallel for schedule(static) num_threads(int(threads)) if (threads > 1)
  for (int64_t i = 0; i < threads; ++i)
    with_isa([&](auto isa) { chosen_sum_simd<isa()>(hidden, s.down, chosen, count, s.y, s.dim, part(s.dim, i), part(s.dim, i + 1)); });
}

void top_mask(const TopMask& given) {
  TopMask t = given;
  check(t.dim > 0 && t.keep >= 0 && t.keep <= t.dim, "[top_mask] expected keep in [0, ", t.dim, "], got ", t.keep);
  if (!t.gate.row_stride) t.gate.row_stride = t.dim;
  if (!t.mask.row_stride) t.mask.row_stride = t.dim;
  const int threads = t.rows * t.dim < 2000 ? 1 : omp_get_max_threads();
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t r = 0; r < t.rows; ++r) {
    float* active = scratch(kScratchActive, size_t(t.dim));
    with_isa([&](auto isa) { silu_simd<isa()>(t.gate, r, active, t.dim); });
    const auto set = [&](int64_t i, bool on) {
      const int64_t at = r * t.mask.row_stride + i;
      if (t.mask.type == Float::kF32)
        static_cast<float*>(t.mask.data)[at] = on ? 1.0f : 0.0f;
      else
        static_cast<uint16_t*>(t.mask.data)[at] = to_bf16(on ? 1.0f : 0.0f);
    };
    for (int64_t i = 0; i < t.dim; ++i) set(i, false);
    choose(active, t.dim, t.keep, [&](int64_t i) { set(i, true); });
  }
}

}  // namespace r1::kernels
