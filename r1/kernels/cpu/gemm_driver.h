// The packed product behind gemm_f32 and gemm_bf16. Goto's scheme: a slab of b is packed into panels of kPanel columns (in L1 while it is
// used), a block of a into tiles of kTileRows rows (in L2), and a register tile runs over both. Each thread owns a rectangle of c and packs
// for itself, so there is no barrier and no shared buffer. Only for *.simd.cc.
#pragma once

#include "r1/kernels/cpu/gemm_f32.h"
#include "r1/kernels/cpu/scratch.h"
#include "r1/kernels/cpu/threads.h"
#include "r1/kernels/cpu/tile.h"

namespace r1::kernels {
namespace {

#if defined(R1_SIMD_AVX512)
constexpr int kTileRows = 14, kTileVecs = 2;  // 28 accumulators of 32 registers
#elif defined(R1_SIMD_AVX2)
constexpr int kTileRows = 6, kTileVecs = 1;  // 12 of 16
#else
constexpr int kTileRows = 4, kTileVecs = 1;
#endif
constexpr int64_t kPanel = kTileVecs * kLanes;
constexpr int64_t kSum = 256;  // the block of the sum, in floats or in pairs: part of the contract (gemm_f32.h, gemm_bf16.h)
template <class Op>
constexpr int64_t kSumTerms = Op::kSplitPairs ? 2 * kSum : kSum;
constexpr int64_t kBlockRows = 448;   // rows of a packed at once
constexpr int64_t kBlockCols = 1024;  // columns of c visited before the next block of the sum

// g, whose factors are fp32 (or pairs, where Op says so) and whose c is fp32, but for what is given in bf16: a and b are then widened as
// they are packed, with g's strides; the finished blocks of c are rounded on their way to narrow.
struct Product {
  Gemm g;
  const bf16 *wide_a = nullptr, *wide_b = nullptr;
  bf16* narrow = nullptr;
  int64_t narrow_row = 0;
};

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// Part i of n of [0, size), in multiples of grain.
inline Range part_of(int64_t size, int64_t grain, int64_t i, int64_t n) {
  const int64_t units = ceil_div(size, grain);
  return {min_of(size, units * i / n * grain), min_of(size, units * (i + 1) / n * grain)};
}

// Rows are dealt evenly over the fewest tiles: 15 rows are 8 + 7, not 14 + 1.
struct RowTiles {
  int64_t rows, count;
  explicit RowTiles(int64_t n) : rows(n), count(ceil_div(n, kTileRows)) {}
  int64_t begin(int64_t i) const { return rows * i / count; }
  int64_t size(int64_t i) const { return begin(i + 1) - begin(i); }
};

// dst[c * rows + r] = src[r * src_step + c], rows <= kTileRows. What is written beyond a column is overwritten by the next; dst has 16
// floats of room beyond the last.
#if defined(R1_SIMD_AVX2)
template <class T>
inline void transpose_tile(const T* src, int64_t src_step, int64_t rows, int64_t cols, float* dst) {
  static_assert(kTileRows <= 8);
  with_count<kTileRows>(rows, [&]<int R>() {
    __m256 block[8];
    for (auto& x : block) x = _mm256_setzero_ps();
    int64_t c = 0;
    for (; c + 8 <= cols; c += 8) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) block[r] = load8(src + r * src_step + c);
      transpose8(block);
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) _mm256_storeu_ps(dst + (c + i) * R, block[i]);
#pragma GCC unroll 8
      for (int r = R; r < 8; ++r) block[r] = _mm256_setzero_ps();
    }
    if (c == cols) return;
    for (int r = 0; r < R; ++r) block[r] = load8_n(src + r * src_step + c, cols - c);
    transpose8(block);
    for (int i = 0; i < cols - c; ++i) _mm256_storeu_ps(dst + (c + i) * R, block[i]);
  });
}
#else
template <class T>
inline void transpose_tile(const T* src, int64_t src_step, int64_t rows, int64_t cols, float* dst) {
  transpose_to(src, src_step, rows, cols, dst, rows);
}
#endif

// dst[k * n + r] = a[r, k]: dst has 16 floats of room beyond the end. Of the rows beyond the n there are `rows` - n in memory.
template <class T>
inline void pack_tile_a(const T* a, int64_t a_row, int64_t a_sum, int64_t n, int64_t rows, int64_t sum, float* dst) {
  if (a_sum == 1) return transpose_tile(a, a_row, n, sum, dst);
  if (rows >= kLanes) {  // what is written too much is overwritten by the next
    for (int64_t k = 0; k < sum; ++k) store(dst + k * n, load(a + k * a_sum));
  } else {
    for (int64_t k = 0; k < sum; ++k) store(dst + k * n, load_n(a + k * a_sum, n));
  }
}

// dst[k * kPanel + j] = b[k, j], zero for j >= cols.
template <class T>
inline void pack_panel_b(const T* b, int64_t b_sum, int64_t b_col, int64_t cols, int64_t sum, float* dst) {
  for (int v = 0; v < kTileVecs; ++v) {
    const int64_t n = max_of(0, min_of(kLanes, cols - v * kLanes));
    const T* src = b + v * kLanes * b_col;
    if (n > 0 && b_sum == 1) {
      transpose_to(src, b_col, n, sum, dst + v * kLanes, kPanel);
    } else if (n == kLanes) {
      for (int64_t k = 0; k < sum; ++k) store(dst + k * kPanel + v * kLanes, load(src + k * b_sum));
    } else {
      for (int64_t k = 0; k < sum; ++k) store(dst + k * kPanel + v * kLanes, n ? load_n(src + k * b_sum, n) : zero());
    }
  }
}

// Terms [k0, k0 + sum) of the rows of a, tile by tile, and of the panel of b at column n.
inline void pack_a(const Product& p, int64_t m0, const RowTiles& tiles, int64_t k0, int64_t sum, float* dst) {
  const Gemm& g = p.g;
  for (int64_t t = 0; t < tiles.count; ++t) {
    const int64_t m = m0 + tiles.begin(t), at = m * g.a_row + k0 * g.a_sum;
    float* to = dst + tiles.begin(t) * sum;
    p.wide_a ? pack_tile_a(p.wide_a + at, g.a_row, g.a_sum, tiles.size(t), g.rows - m, sum, to)
             : pack_tile_a((const Word*)g.a + at, g.a_row, g.a_sum, tiles.size(t), g.rows - m, sum, to);
  }
}
inline void pack_b(const Product& p, int64_t n, int64_t cols, int64_t k0, int64_t sum, float* dst) {
  const Gemm& g = p.g;
  const int64_t at = k0 * g.b_sum + n * g.b_col;
  p.wide_b ? pack_panel_b(p.wide_b + at, g.b_sum, g.b_col, cols, sum, dst)
           : pack_panel_b((const Word*)g.b + at, g.b_sum, g.b_col, cols, sum, dst);
}

struct Output {
  float* c;
  int64_t c_row, cols;  // cols: how many of the tile's columns exist
  const float* bias;    // of the tile's first column, or none
  bool add;             // add to c, else overwrite
};

template <class Op, int R, int NV>
void run_tile(const float* a, const float* b, int64_t sum, const Output& out) {
  F16 acc[R][NV];
  for (auto& row : acc)
    for (F16& x : row) x = zero();
  const float* bv[NV];
  for (int v = 0; v < NV; ++v) bv[v] = b + v * kLanes;
  if constexpr (Op::kSplitPairs)
    tile_fma_pairs<R, NV>(acc, a, R, bv, kPanel, sum);
  else
    tile_fma<R, NV, Op>(acc, a, 1, R, bv, kPanel, sum);
#pragma GCC unroll 2
  for (int v = 0; v < NV; ++v) {
    const int64_t n = out.cols - v * kLanes;
    if (n <= 0) break;
    const F16 bias = out.bias ? load_n(out.bias + v * kLanes, n) : zero();
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      float* c = out.c + r * out.c_row + v * kLanes;
      F16 x = acc[r][v];
      if (out.add) x = load_n(c, n) + x;
      if (out.bias) x = x + bias;
      store_n(c, x, n);
    }
  }
}

#if defined(R1_SIMD_AVX512)
constexpr int64_t kFewRows = 8;

// A few rows against b = w^T (a decode step): bound by reading w, so nothing is packed; 16 x 16 pieces of w are transposed in registers as
// they come in. x is a's rows; the order of the sums is run_tile's.
template <class Op, int R>
void run_few_rows(const Product& p, Range cols) {
  const Gemm& g = p.g;
  constexpr int64_t kAhead = 64;  // floats to prefetch ahead; at the end of the rows that is the next 16 rows
  for (int64_t n0 = cols.begin; n0 < cols.end; n0 += kLanes) {
    const int64_t n = min_of(kLanes, cols.end - n0);
    F16 total[R];
    for (int r = 0; r < R; ++r) total[r] = g.accumulate ? load_n(g.c + r * g.c_row + n0, n) : zero();
    for (int64_t k0 = 0; k0 < g.sum; k0 += kSum) {
      F16 acc[R];
      for (F16& x : acc) x = zero();
      const int64_t end = min_of(g.sum, k0 + kSum);
      for (int64_t k = k0; k < end; k += kLanes) {
        const Word* w = (const Word*)g.b + n0 * g.b_col + k;
        const Word* ahead = w + (k + kAhead < g.sum ? kAhead : kLanes * g.b_col + k + kAhead - g.sum - k);
        F16 block[16];
        if (n == kLanes && k + kLanes <= end) {
#pragma GCC unroll 16
          for (int i = 0; i < 16; ++i) {
            block[i] = load(w + i * g.b_col);
            __builtin_prefetch(ahead + i * g.b_col);
          }
        } else {
          for (int i = 0; i < 16; ++i) block[i] = i < n ? load_n(w + i * g.b_col, end - k) : zero();
        }
        transpose(block);
        const Word* a = (const Word*)g.a + k;
        if (k + kLanes <= end) {
#pragma GCC unroll 16
          for (int i = 0; i < 16; ++i)
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) acc[r] = Op::multiply_add(set1(a[r * g.a_row + i]), block[i], acc[r]);
        } else {
          for (int64_t i = 0; i < end - k; ++i)
            for (int r = 0; r < R; ++r) acc[r] = Op::multiply_add(set1(a[r * g.a_row + i]), block[i], acc[r]);
        }
      }
      for (int r = 0; r < R; ++r) total[r] = g.accumulate || k0 > 0 ? total[r] + acc[r] : acc[r];
    }
    for (int r = 0; r < R; ++r) {
      const F16 c = g.bias ? total[r] + load_n(g.bias + n0, n) : total[r];
      p.narrow ? store_n(p.narrow + r * p.narrow_row + n0, c, n) : store_n(g.c + r * g.c_row + n0, c, n);
    }
  }
}
#endif

inline void narrow_block(const float* c, int64_t c_row, bf16* to, int64_t to_row, int64_t rows, int64_t cols) {
  for (int64_t m = 0; m < rows; ++m)
    for (int64_t n = 0; n < cols; n += kLanes) store_n(to + m * to_row + n, load_n(c + m * c_row + n, cols - n), cols - n);
}

// c[rows, cols] for one thread.
template <class Op>
void run_rectangle(const Product& p, Range rows, Range cols) {
  const Gemm& g = p.g;
#if defined(R1_SIMD_AVX512)
  if (!p.wide_a && !p.wide_b && g.rows <= kFewRows && rows.size() == g.rows && g.a_sum == 1 && g.b_sum == 1)
    return with_count<kFewRows>(g.rows, [&]<int R>() { run_few_rows<Op, R>(p, cols); });
#endif
  // Few rows: a panel's tiles are used once, so a finished panel before the next one reads b row by row, as it lies in memory.
  const int64_t block_cols = rows.size() <= kTileRows ? kPanel : kBlockCols;
  float* packed_b = scratch(Scratch::kGemmB, kSumTerms<Op> * kPanel);
  float* packed_a = scratch(Scratch::kGemmA, kSumTerms<Op> * kBlockRows + kLanes);
  float* wide = p.narrow ? scratch(Scratch::kGemmC, min_of(kBlockRows, rows.size()) * block_cols) : nullptr;
  for (int64_t m0 = rows.begin; m0 < rows.end; m0 += kBlockRows) {
    const RowTiles tiles(min_of(kBlockRows, rows.end - m0));
    for (int64_t n0 = cols.begin; n0 < cols.end; n0 += block_cols) {
      const int64_t n1 = min_of(n0 + block_cols, cols.end), c_row = wide ? block_cols : g.c_row;
      float* c = wide ? wide : g.c + m0 * g.c_row + n0;
      for (int64_t k0 = 0; k0 < g.sum; k0 += kSumTerms<Op>) {
        const int64_t sum = min_of(kSumTerms<Op>, g.sum - k0);
        const bool last = k0 + sum == g.sum;
        pack_a(p, m0, tiles, k0, sum, packed_a);
        for (int64_t n = n0; n < n1; n += kPanel) {
          const int64_t width = min_of(kPanel, n1 - n);
          pack_b(p, n, width, k0, sum, packed_b);
          for (int64_t t = 0; t < tiles.count; ++t) {
            const Output out = {c + tiles.begin(t) * c_row + n - n0, c_row, width, last && g.bias ? g.bias + n : nullptr,
                                g.accumulate || k0 > 0};
            with_count<kTileRows>(tiles.size(t),
                                  [&]<int R>() { run_tile<Op, R, kTileVecs>(packed_a + tiles.begin(t) * sum, packed_b, sum, out); });
          }
        }
      }
      if (wide) narrow_block(wide, c_row, p.narrow + m0 * p.narrow_row + n0, p.narrow_row, tiles.rows, n1 - n0);
    }
  }
}

// The product on as many threads as it is worth, sum > 0.
template <class Op>
void run_product(const Product& p) {
  const Gemm& g = p.g;
  const int64_t panels = ceil_div(g.cols, kPanel), row_tiles = ceil_div(g.rows, kTileRows);
  int64_t threads = threads_for(double(g.rows + 4) * double(g.cols * g.sum));  // 4: b is read
  // Split the side with more tiles: it divides more evenly.
  const bool by_cols = panels >= row_tiles || panels >= 8 * threads;
  threads = max_of(1, min_of(threads, by_cols ? panels : row_tiles));
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t i = 0; i < threads; ++i) {
    const Range rows = by_cols ? Range{0, g.rows} : part_of(g.rows, kTileRows, i, threads);
    const Range cols = by_cols ? part_of(g.cols, kPanel, i, threads) : Range{0, g.cols};
    if (rows.size() > 0 && cols.size() > 0) run_rectangle<Op>(p, rows, cols);
  }
}

}  // namespace
}  // namespace r1::kernels
