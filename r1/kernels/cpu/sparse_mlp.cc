#include "r1/kernels/cpu/sparse_mlp.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <type_traits>

#include "r1/base/error.h"
#include "r1/kernels/cpu/bf16.h"
#include "r1/kernels/cpu/linear_in_simd.h"
#include "r1/kernels/cpu/parts.h"
#include "r1/kernels/cpu/scratch.h"
#include "r1/kernels/cpu/sparse_mlp_simd.h"
#include "r1/kernels/cpu/threads.h"

namespace r1::kernels {
namespace {

// Calls take(i) for the `keep` largest |a[i]|, ascending in i; of equal ones the lower come first.
template <class Take>
void choose(const float* a, int64_t n, int64_t keep, Take take) {
  if (keep >= n) {
    for (int64_t i = 0; i < n; ++i) take(i);
    return;
  }
  if (keep <= 0) return;
  float* sorted = scratch(Scratch::kSparseSort, size_t(n));
  // A NaN is beyond every bound: it is kept, and seen after the sum.
  for (int64_t i = 0; i < n; ++i) sorted[i] = std::isnan(a[i]) ? INFINITY : std::fabs(a[i]);
  std::nth_element(sorted, sorted + keep - 1, sorted + n, std::greater<float>());
  const float bound = sorted[keep - 1];
  int64_t at_bound = keep - std::count_if(sorted, sorted + keep, [&](float v) { return v > bound; });
  for (int64_t i = 0; i < n; ++i) {
    const float size = std::isnan(a[i]) ? INFINITY : std::fabs(a[i]);
    if (size > bound || (size == bound && at_bound-- > 0)) take(i);
  }
}

// Up to kFewRows tokens. What they chose between them is one list, so that each weight is read once for all.
template <class T>
class FewTokens {
 public:
  explicit FewTokens(const SparseMlp& s) : s_(s), threads_(threads_for(double(s.rows * s.keep) * double(s.dim))) {
    active_ = scratch(Scratch::kSparseActive, size_t(s.rows * s.inner));
    hidden_ = scratch(Scratch::kSparseHidden, size_t(s.rows * s.inner));
    chosen_ = static_cast<int32_t*>(scratch_bytes(Scratch::kSparseChosen, size_t(s.inner) * 4));
  }
  void run() {
#pragma omp parallel for schedule(static) num_threads(int(threads_)) if (threads_ > 1 && s_.rows > 1)
    for (int64_t r = 0; r < s_.rows; ++r) activate(r);
    unite();
    in_parts(count_, threads_, [&](int64_t begin, int64_t end) {
      products({cast(s_.x), cast(s_.up), chosen_, active_, hidden_, s_.rows, s_.inner, s_.dim}, begin, end);
    });
    const FewRowsIn<T> down{hidden_, s_.inner, s_.rows, chosen_, count_, cast(s_.down), static_cast<T*>(s_.y.data), s_.dim};
    in_parts(s_.dim, threads_, [&](int64_t begin, int64_t end) { with_isa([&](auto isa) { few_rows_in_simd<isa()>(down, begin, end); }); });
  }

 private:
  static const T* cast(const ConstRows& rows) {
    return static_cast<const T*>(rows.data);
  }

  // The token's activations, 0 for what it did not choose.
  void activate(int64_t r) const {
    float* mine = active_ + r * s_.inner;
    with_isa([&](auto isa) { silu_simd<isa()>({s_.gate.data, s_.gate.type, s_.inner}, r, mine, s_.inner); });
    int64_t next = 0;
    choose(mine, s_.inner, s_.keep, [&](int64_t i) {  // what is still to be looked at stays
      std::fill(mine + next, mine + i, 0.0f);
      next = i + 1;
    });
    std::fill(mine + next, mine + s_.inner, 0.0f);
  }
  // The list of all that some token chose; activations move up to their place in it.
  void unite() {
    for (int64_t i = 0; i < s_.inner; ++i) {
      bool on = false;
      for (int64_t r = 0; r < s_.rows; ++r) on |= active_[r * s_.inner + i] != 0;
      if (!on) continue;
      for (int64_t r = 0; r < s_.rows; ++r) active_[r * s_.inner + count_] = active_[r * s_.inner + i];
      chosen_[count_++] = int32_t(i);
    }
  }
  static void products(const ChosenProducts<T>& c, int64_t begin, int64_t end) {
    if constexpr (std::is_same_v<T, float>) {
      with_isa([&](auto isa) { chosen_products_simd<isa()>(c, begin, end); });
    } else {
#if defined(__x86_64__)
      if (uses_bf16_dot()) return chosen_products_bf16_simd<Isa::kAvx512, true>(c, begin, end);
#endif
      with_isa([&](auto isa) { chosen_products_bf16_simd<isa(), false>(c, begin, end); });
    }
  }

  const SparseMlp& s_;
  int64_t threads_;
  float *active_, *hidden_;  // [rows, inner], of which the first count_ of each row are in use in the end
  int32_t* chosen_;
  int64_t count_ = 0;
};

// Rows [first, first + count).
ConstRows part(const ConstRows& rows, int64_t first, int64_t width) {
  return {static_cast<const char*>(rows.data) + first * width * size_of(rows.type), rows.type, rows.row_stride};
}

template <class T>
void run_all(const SparseMlp& s) {
  for (int64_t first = 0; first < s.rows; first += kFewRows) {
    SparseMlp few = s;
    few.rows = std::min(kFewRows, s.rows - first);
    few.x = part(s.x, first, s.dim);
    few.gate = part(s.gate, first, s.inner);
    few.y.data = static_cast<T*>(s.y.data) + first * s.dim;
    FewTokens<T>(few).run();
  }
}

}  // namespace

void sparse_mlp(const SparseMlp& s) {
  check(s.rows >= 0 && s.dim > 0 && s.inner > 0 && s.keep >= 0 && s.keep <= s.inner, "[sparse_mlp] expected sizes and keep in [0, ",
        s.inner, "], got ", s.rows, " x ", s.dim, " and ", s.keep);
  check(s.x.type == s.gate.type && s.x.type == s.up.type && s.x.type == s.down.type && s.x.type == s.y.type,
        "[sparse_mlp] expected one type of floats");
  if (s.x.type == Float::kF32) return run_all<float>(s);
  check(s.dim % 2 == 0 && (reinterpret_cast<uintptr_t>(s.x.data) | reinterpret_cast<uintptr_t>(s.up.data)) % 4 == 0,
        "[sparse_mlp] expected bf16 of even width, aligned to 4 bytes, got width ", s.dim);
  run_all<uint16_t>(s);
}

void top_mask(const TopMask& given) {
  TopMask t = given;
  check(t.dim > 0 && t.keep >= 0 && t.keep <= t.dim, "[top_mask] expected keep in [0, ", t.dim, "], got ", t.keep);
  if (!t.gate.row_stride) t.gate.row_stride = t.dim;
  if (!t.mask.row_stride) t.mask.row_stride = t.dim;
  const int threads = threads_for(double(t.rows * t.dim) * 20);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t r = 0; r < t.rows; ++r) {
    float* active = scratch(Scratch::kSparseActive, size_t(t.dim));
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
