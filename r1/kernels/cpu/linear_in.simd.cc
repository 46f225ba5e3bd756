#include "r1/kernels/cpu/linear_in_simd.h"
#include "r1/kernels/cpu/rows_io.h"
#include "r1/kernels/cpu/tile.h"

namespace r1::kernels {
namespace {

constexpr int64_t kSum = 256;    // the block of a sum (gemm_f32.h), in inputs
constexpr int64_t kStrip = 512;  // outputs that are summed at a time: their sums stay in L1
constexpr int kInputs = 8;       // rows of w that are read side by side

struct Sums {
  float sum[kFewRows * kStrip], total[kFewRows * kStrip];  // [rows, kStrip]: of this block of inputs, and of those before
};

// N inputs from k on, onto the sums of one strip [i, i + width).
template <int R, int N, class T>
R1_INLINE void add_inputs(const FewRowsIn<T>& f, int64_t k, int64_t i, int64_t width, Sums& s) {
  const T *row[N], *ahead[N];
  for (int j = 0; j < N; ++j) {
    const int64_t later = min_of(k + j + kInputs, f.count - 1);
    row[j] = f.w + (f.inputs ? f.inputs[k + j] : k + j) * f.out + i;
    ahead[j] = f.w + (f.inputs ? f.inputs[later] : later) * f.out + i;
  }
  for (int64_t c = 0; c < width; c += kLanes) {
    F16 w[N];
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j) {
      w[j] = load_up_to(row[j] + c, width - c);
      __builtin_prefetch(ahead[j] + c);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      float* sum = s.sum + r * kStrip + c;
      F16 acc = load(sum);
#pragma GCC unroll 8
      for (int j = 0; j < N; ++j) acc = fma(set1(f.x[r * f.x_row + k + j]), w[j], acc);
      store(sum, acc);
    }
  }
}

// The block is complete: it joins the others.
R1_INLINE void finish_block(Sums& s, int64_t rows, bool first) {
  for (int64_t i = 0; i < rows * kStrip; i += kLanes) {
    const F16 sum = load(s.sum + i);
    store(s.total + i, first ? sum : load(s.total + i) + sum);
    store(s.sum + i, zero());
  }
}

template <int R, class T>
R1_INLINE void sum_strip(const FewRowsIn<T>& f, int64_t i, int64_t width) {
  Sums s;
  for (int64_t n = 0; n < R * kStrip; n += kLanes) store(s.sum + n, zero());
  const auto block_of = [&](int64_t k) { return (f.inputs ? f.inputs[k] : k) / kSum; };
  bool first = true;
  for (int64_t k = 0; k < f.count;) {
    const int64_t block = block_of(k);
    for (; k + kInputs <= f.count && block_of(k + kInputs - 1) == block; k += kInputs) add_inputs<R, kInputs>(f, k, i, width, s);
    for (; k < f.count && block_of(k) == block; ++k) add_inputs<R, 1>(f, k, i, width, s);
    finish_block(s, R, first);
    first = false;
  }
  if (first) finish_block(s, R, true);
  for (int r = 0; r < R; ++r)
    for (int64_t c = 0; c < width; c += kLanes) store_n(f.y + r * f.out + i + c, load(s.total + r * kStrip + c), width - c);
}

template <class T>
R1_INLINE void few_rows_in(const FewRowsIn<T>& f, int64_t begin, int64_t end) {
  with_count<kFewRows>(f.rows, [&]<int R>() {
    for (int64_t i = begin; i < end; i += kStrip) sum_strip<R>(f, i, min_of(kStrip, end - i));
  });
}

}  // namespace

template <>
void few_rows_in_simd<kIsa>(const FewRowsIn<float>& f, int64_t begin, int64_t end) {
  few_rows_in(f, begin, end);
}
template <>
void few_rows_in_simd<kIsa>(const FewRowsIn<uint16_t>& f, int64_t begin, int64_t end) {
  few_rows_in(f, begin, end);
}

}  // namespace r1::kernels
