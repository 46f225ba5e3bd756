// What the forward and the backward of attention share: the geometry of a step of keys, reading rows as fp32, capped and masked scores.
// Only for *.simd.cc.
#pragma once

#include "r1/kernels/cpu/attention_simd.h"
#include "r1/kernels/cpu/tile.h"

namespace r1::kernels {
namespace {

#if defined(R1_SIMD_AVX512)
constexpr int kRows = 6, kVecs = 4;  // 24 accumulators of 32 registers
#elif defined(R1_SIMD_AVX2)
constexpr int kRows = 6, kVecs = 1;  // 12 of 16
#else
constexpr int kRows = 4, kVecs = 1;
#endif
constexpr int64_t kStep = 64;  // keys of a step of the online softmax: part of the contract (attention.h)
constexpr int64_t kStepTiles = kStep / kKeyTile;

// The keys [lo, hi) that a query at `position` of a sequence of `keys` tokens may see.
struct Span {
  int64_t lo, hi;
};
R1_INLINE Span visible(const AttentionShape& s, int64_t position, int64_t keys) {
  if (s.segments) return {max_of(0, position / s.window * s.window - (s.window - 1)), position + 1};
  return {s.window > 0 ? max_of(0, position + 1 - s.window_at(position)) : 0, s.causal ? position + 1 : keys};
}

// dst[0, padded) = one head's row as fp32, zero beyond dim.
R1_INLINE void read_row(const ConstHeads& rows, int64_t offset, int64_t dim, float* dst) {
  for (int64_t d = 0; d < dim; d += kLanes) {
    const int64_t n = min_of(kLanes, dim - d);
    store(dst + d,
          rows.type == Float::kF32 ? load_n((const float*)rows.data + offset + d, n) : load_n((const bf16*)rows.data + offset + d, n));
  }
}
R1_INLINE void write_row(const Heads& rows, int64_t offset, int64_t dim, const float* src) {
  for (int64_t d = 0; d < dim; d += kLanes) {
    const int64_t n = min_of(kLanes, dim - d);
    if (rows.type == Float::kF32)
      store_n((float*)rows.data + offset + d, load(src + d), n);
    else
      store_n((bf16*)rows.data + offset + d, load(src + d), n);
  }
}

// out[r * kStep + j] = sum_d a[r * a_row + d] tile[j][d], j over the step's tiles, for `rows` <= kRows rows.
template <class T>
R1_INLINE void dot_tiles(const float* a, int64_t a_row, int64_t rows, const T* const* tiles, int64_t tile_count, int64_t dim, float* out) {
  with_count<kRows>(rows, [&]<int R>() {
    for (int64_t t = 0; t < tile_count; t += kVecs)
      with_count<kVecs>(min_of(kVecs, tile_count - t), [&]<int NV>() {
        F16 acc[R][NV];
        for (auto& row : acc)
          for (F16& x : row) x = zero();
        const T* b[NV];
        for (int v = 0; v < NV; ++v) b[v] = tiles[t + v];
        tile_fma<R, NV>(acc, a, a_row, 1, b, kKeyTile, dim);
        for (int r = 0; r < R; ++r)
          for (int v = 0; v < NV; ++v) store(out + r * kStep + (t + v) * kLanes, acc[r][v]);
      });
  });
}

// c[r, :] += sum_j p[r * p_row + j * p_step] b[j * b_step + :] for j ascending; the columns are `vecs` vectors.
template <class T>
R1_INLINE void add_rows(float* c, int64_t c_row, const float* p, int64_t p_row, int64_t p_step, int64_t rows, const T* b, int64_t b_step,
                        int64_t count, int64_t vecs) {
  with_count<kRows>(rows, [&]<int R>() {
    for (int64_t v0 = 0; v0 < vecs; v0 += kVecs)
      with_count<kVecs>(min_of(kVecs, vecs - v0), [&]<int NV>() {
        F16 acc[R][NV];
        for (int r = 0; r < R; ++r)
          for (int v = 0; v < NV; ++v) acc[r][v] = load(c + r * c_row + (v0 + v) * kLanes);
        const T* bv[NV];
        for (int v = 0; v < NV; ++v) bv[v] = b + (v0 + v) * kLanes;
        tile_fma<R, NV>(acc, p, p_row, p_step, bv, b_step, count);
        for (int r = 0; r < R; ++r)
          for (int v = 0; v < NV; ++v) store(c + r * c_row + (v0 + v) * kLanes, acc[r][v]);
      });
  });
}

// Scaled and capped scores, with their biases (null: none).
R1_INLINE F16 scored(const AttentionShape& s, F16 dot, const float* bias) {
  F16 x = dot * set1(s.scale);
  if (s.soft_cap > 0) x = set1(s.soft_cap) * tanh(x / set1(s.soft_cap));
  return bias ? x + load(bias) : x;
}

// Lanes of tile t of a step that lie in [lo, hi), both relative to the step.
R1_INLINE Mask lanes_between(int64_t t, int64_t lo, int64_t hi) {
  return and_not(mask_first(hi - t * kLanes), mask_first(lo - t * kLanes));
}

}  // namespace
}  // namespace r1::kernels
