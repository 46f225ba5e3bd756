#include "r1/kernels/cpu/sparse_mlp.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <type_traits>

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

// One call's work, shared by the threads: of each token its chosen neurons with what they are so far.
template <class T>
struct FewTokens {
  const SparseMlp& s;
  int32_t* chosen;         // [rows, keep], ascending
  float *active, *hidden;  // [rows, keep]

  void choose_neurons(int64_t r) const {
    float* all = scratch(kScratchActive, size_t(s.inner));
    with_isa([&](auto isa) { silu_simd<isa()>({s.gate.data, s.gate.type, s.inner}, r, all, s.inner); });
    int64_t count = r * s.keep;
    choose(all, s.inner, s.keep, [&](int64_t i) {
      active[count] = all[i];
      chosen[count++] = int32_t(i);
    });
  }
  void products(int64_t r, int64_t begin, int64_t end) const {
    const int64_t at = r * s.keep;
    const ChosenProducts<T> c{data<T>(s.x) + r * s.dim, data<T>(s.up), chosen + at, active + at, hidden + at, s.dim};
    if constexpr (std::is_same_v<T, float>) {
      with_isa([&](auto isa) { chosen_products_simd<isa()>(c, begin, end); });
    } else {
#if defined(__x86_64__)
      if (active_isa() == Isa::kAvx512 && has_bf16_dot()) return chosen_products_bf16_simd<Isa::kAvx512, true>(c, begin, end);
#endif
      with_isa([&](auto isa) { chosen_products_bf16_simd<isa(), false>(c, begin, end); });
    }
  }
  void sums(int64_t r, int64_t begin, int64_t end) const {
    const int64_t at = r * s.keep;
    const ChosenSum<T> c{hidden + at, data<T>(s.down), chosen + at, s.keep, static_cast<T*>(s.y.data) + r * s.dim, s.dim};
    with_isa([&](auto isa) { chosen_sum_simd<isa()>(c, begin, end); });
  }

 private:
  template <class U>
  static const U* data(const ConstRows& rows) {
    return static_cast<const U*>(rows.data);
  }
};

// work(r, begin, end) for the rows, each in as many parts of [0, size) as it takes to keep the threads busy.
template <class Work>
void in_parts(int64_t rows, int64_t size, int64_t threads, Work work) {
  const int64_t parts = rows % threads == 0 ? 1 : threads;
  const auto bound = [&](int64_t i) { return std::min(size, (size + 15) / 16 * i / parts * 16); };
#pragma omp parallel for schedule(static) num_threads(int(threads)) if (threads > 1)
  for (int64_t i = 0; i < rows * parts; ++i) work(i / parts, bound(i % parts), bound(i % parts + 1));
}

template <class T>
void run_few(const SparseMlp& s) {
  const size_t count = size_t(s.rows * s.keep);
  float* buffer = scratch(kScratchHidden, 2 * count);
  const FewTokens<T> few{s, static_cast<int32_t*>(scratch_bytes(kScratchChosen, count * 4)), buffer, buffer + count};
  const int64_t threads = s.rows * s.keep * s.dim < 20000 ? 1 : omp_get_max_threads();
#pragma omp parallel for schedule(static) num_threads(int(threads)) if (threads > 1 && s.rows > 1)
  for (int64_t r = 0; r < s.rows; ++r) few.choose_neurons(r);
  in_parts(s.rows, s.keep, threads, [&](int64_t r, int64_t begin, int64_t end) { few.products(r, begin, end); });
  in_parts(s.rows, s.dim, threads, [&](int64_t r, int64_t begin, int64_t end) { few.sums(r, begin, end); });
}

}  // namespace

void sparse_mlp(const SparseMlp& s) {
  check(s.rows >= 0 && s.dim > 0 && s.inner > 0 && s.keep >= 0 && s.keep <= s.inner, "[sparse_mlp] expected sizes and keep in [0, ",
        s.inner, "], got ", s.rows, " x ", s.dim, " and ", s.keep);
  check(s.x.type == s.gate.type && s.x.type == s.up.type && s.x.type == s.down.type && s.x.type == s.y.type,
        "[sparse_mlp] expected one type of floats");
  if (s.x.type == Float::kF32) return run_few<float>(s);
  check(s.dim % 2 == 0 && (reinterpret_cast<uintptr_t>(s.x.data) | reinterpret_cast<uintptr_t>(s.up.data)) % 4 == 0,
        "[sparse_mlp] expected bf16 of even width, aligned to 4 bytes, got width ", s.dim);
  run_few<uint16_t>(s);
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
