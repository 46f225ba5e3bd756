#include "r1/kernels/cpu/packed_integers.h"

#include "r1/kernels/cpu/packed_output.h"
#include "r1/kernels/cpu/tile.h"

namespace r1::kernels {
namespace {

#if defined(R1_SIMD_VNNI)
constexpr bool kVnni = true;
#else
constexpr bool kVnni = false;
#endif

// What quants of x are to 4 and to 8 bit codes (packed_integers.h).
template <int kBits>
constexpr int64_t kQuantBytes = kBits == 8 && !kVnni ? 2 : 1;

// A tile of R rounded rows.
struct Tile {
  const uint8_t* quants;
  const float* scales;  // [stretch][R]
  const int32_t* sums;  // [stretch][R]
  bool is_first;
};
R1_INLINE Tile tile_at(const IntegerLinear& a, const uint8_t* tiles, int64_t row, int64_t rows) {
  const uint8_t* quants = tiles + row * integer_row_bytes(a.w, kVnni);
  const float* scales = (const float*)(quants + rows * a.w.padded * integer_quant_bytes(a.w, kVnni));
  return {quants, scales, (const int32_t*)(scales + rows * (a.w.padded / a.w.stretch())), row == 0};
}

// Eight rows of w.
struct Group {
  const uint8_t* codes;
  const float* scales;   // [group of columns][8]
  const uint8_t* zeros;  // [group of columns][8]
};
R1_INLINE Group group_at(const IntegerLinear& a, int64_t group) {
  const int64_t scales = group * a.w.groups() * kRowsOfGroup;
  return {a.w.codes + group * a.w.code_bytes(), a.w.scales + scales, a.w.zeros + scales};
}

#if defined(R1_SIMD_AVX512) || defined(R1_SIMD_AVX2)

R1_INLINE __m256i load32(const uint8_t* p) {
  return _mm256_loadu_si256((const __m256i*)p);
}
R1_INLINE __m256i word8(const void* p) {
  int32_t word;
  __builtin_memcpy(&word, p, 4);
  return _mm256_set1_epi32(word);
}
R1_INLINE __m256i quad4(const void* p) {
  int64_t quad;
  __builtin_memcpy(&quad, p, 8);
  return _mm256_set1_epi64x(quad);
}
// Keeps a sum one chain: the compiler would turn it into a tree, which wants more registers than there are.
R1_INLINE void pin(__m256i& sum) {
  __asm__("" : "+x"(sum));
}

// Sums of code times quant over blocks of 32 columns, a row of w in each lane.
template <int kBits, int R>
struct Sums {
  // Without the 8 bit dot product, of 8 bit codes: rows 0 .. 3 of w in one, 4 .. 7 in the other, columns in pairs.
  static constexpr int kHalves = kBits == 8 && !kVnni ? 2 : 1;
  __m256i sum[R][kHalves];

  R1_INLINE void clear() {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
      for (int h = 0; h < kHalves; ++h) sum[r][h] = _mm256_setzero_si256();
  }

  R1_INLINE void block(const uint8_t* w, const uint8_t* x) {
    if constexpr (kBits == 8 && !kVnni) {
#pragma GCC unroll 8
      for (int s = 0; s < 8; ++s) {
        const __m256i low = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i*)(w + 32 * s)));
        const __m256i high = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i*)(w + 32 * s + 16)));
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          const __m256i quants = quad4(x + 8 * (R * s + r));
          sum[r][0] = _mm256_add_epi32(sum[r][0], _mm256_madd_epi16(low, quants));
          sum[r][1] = _mm256_add_epi32(sum[r][1], _mm256_madd_epi16(high, quants));
          pin(sum[r][0]), pin(sum[r][1]);
        }
      }
    } else if constexpr (kBits == 8) {
#pragma GCC unroll 8
      for (int s = 0; s < 8; ++s) step(load32(w + 32 * s), x + 4 * R * s, sum);
    } else {
      // Of 4 bits without that instruction: 2 * 15 * 128 a step, eight steps fit 16 bits.
      __m256i narrow[R][1];
      auto& to = kVnni ? sum : narrow;
      if constexpr (!kVnni)
        for (int r = 0; r < R; ++r) narrow[r][0] = _mm256_setzero_si256();
      const __m256i nibble = _mm256_set1_epi8(15);
#pragma GCC unroll 4
      for (int s = 0; s < 4; ++s) {
        const __m256i q = load32(w + 32 * s);
        step(_mm256_and_si256(q, nibble), x + 4 * R * s, to);
        step(_mm256_and_si256(_mm256_srli_epi16(q, 4), nibble), x + 4 * R * (s + 4), to);
      }
      if constexpr (!kVnni)
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) sum[r][0] = _mm256_add_epi32(sum[r][0], _mm256_madd_epi16(narrow[r][0], _mm256_set1_epi16(1)));
    }
  }

  R1_INLINE __m256i get(int r) const {
    if constexpr (kHalves == 1)
      return sum[r][0];
    else
      return _mm256_permute4x64_epi64(_mm256_hadd_epi32(sum[r][0], sum[r][kHalves - 1]), 0xD8);
  }

 private:
  R1_INLINE static void step(__m256i w, const uint8_t* x, __m256i (&to)[R][1]) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#if defined(R1_SIMD_VNNI)
      to[r][0] = _mm256_dpbusd_epi32(to[r][0], w, word8(x + 4 * r));
#else
      to[r][0] = _mm256_add_epi16(to[r][0], _mm256_maddubs_epi16(w, word8(x + 4 * r)));
#endif
      pin(to[r][0]);
    }
  }
};

template <int kBits, int R>
R1_INLINE void run_tile(const IntegerLinear& a, const Group& w, const Tile& x, float (&y)[R][kRowsOfGroup]) {
  constexpr int64_t kBlock = 32 * kBits;  // bytes of eight rows' codes
  const int64_t groups = a.w.groups(), stretches = a.w.group / a.w.stretch(), blocks = a.w.stretch() / kIntegerBlock;
  __m256 acc[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) acc[r] = _mm256_setzero_ps();
  const uint8_t *codes = w.codes, *quants = x.quants;
  int64_t stretch = 0;
  for (int64_t g = 0; g < groups; ++g) {
    const __m256 d = _mm256_loadu_ps(w.scales + g * kRowsOfGroup);
    const __m256i zero = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)(w.zeros + g * kRowsOfGroup)));
    for (int64_t i = 0; i < stretches; ++i, ++stretch) {
      Sums<kBits, R> sums;
      sums.clear();
      for (int64_t b = 0; b < blocks; ++b) {
        if (x.is_first) {  // the first tile waits for memory: what lies a little further on is asked for early
#pragma GCC unroll 4
          for (int64_t p = 0; p < kBlock; p += 64) __builtin_prefetch(codes + 2048 + p);
        }
        sums.block(codes, quants);
        codes += kBlock, quants += R * kIntegerBlock * kQuantBytes<kBits>;
      }
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const int64_t at = stretch * R + r;
        const __m256i sum = _mm256_sub_epi32(sums.get(r), _mm256_mullo_epi32(zero, word8(x.sums + at)));
        acc[r] = _mm256_fmadd_ps(_mm256_mul_ps(d, _mm256_set1_ps(x.scales[at])), _mm256_cvtepi32_ps(sum), acc[r]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) _mm256_storeu_ps(y[r], acc[r]);
}

#else

template <int kBits, int R>
inline void run_tile(const IntegerLinear& a, const Group& w, const Tile& x, float (&y)[R][kRowsOfGroup]) {
  const int64_t stretch = a.w.stretch();
  for (int r = 0; r < R; ++r)
    for (int64_t lane = 0; lane < kRowsOfGroup; ++lane) {
      float acc = 0;
      for (int64_t s = 0; s * stretch < a.w.padded; ++s) {
        const int64_t g = s * stretch / a.w.group;
        const int32_t zero = w.zeros[g * kRowsOfGroup + lane];
        int32_t sum = 0;
        for (int64_t k = s * stretch; k < (s + 1) * stretch; ++k) {
          int32_t code = w.codes[integer_byte(kBits, k, lane)];
          if constexpr (kBits == 4) code = integer_is_high(k) ? code >> 4 : code & 15;
          const int64_t at = (k / 4 * R + r) * 4 + k % 4;
          const int32_t quant = kBits == 8 ? ((const int16_t*)x.quants)[at] : ((const int8_t*)x.quants)[at];
          sum += (code - zero) * quant;
        }
        acc = fma1(w.scales[g * kRowsOfGroup + lane] * x.scales[s * R + r], float(sum), acc);
      }
      y[r][lane] = acc;
    }
}

#endif

// Of a stretch of a row to `quants`; returns its scale.
R1_INLINE float round_stretch(const IntegerRows& w, const ConstRows& x, int64_t k, int64_t columns, float row_scale, int8_t* quants) {
  if (w.rounding == InputRounding::kBlock) return quantize_block(x, 0, k, columns, quants);
  if (row_scale != row_scale) {
    for (int64_t i = 0; i < columns; ++i) quants[i] = 0;
    return row_scale;
  }
  const F16 scale = set1(row_scale), low = set1(-128), high = set1(127);
  for (int64_t i = 0; i < columns; i += kLanes) store_bytes(quants + i, max(min(round(read(x, 0, k + i, kLanes) / scale), high), low));
  return row_scale;
}

// A row as it is stored: sorted by group, filled up.
inline void lay_out(const IntegerLinear& a, int64_t row, float* to) {
  const IntegerRows& w = a.w;
  if (w.order) {
    const float* wide = (const float*)a.x.data + row * a.x.row_stride;
    const bf16* narrow = (const bf16*)a.x.data + row * a.x.row_stride;
    for (int64_t k = 0; k < w.columns; ++k)
      to[k] = a.x.type == Float::kF32 ? wide[w.order[k]] : bits_float(uint32_t(narrow[w.order[k]]) << 16);
  } else {
    for_vectors(w.columns, [&](int64_t k, int64_t n) { store_n(to + k, read(a.x, row, k, n), n); });
  }
  for (int64_t k = w.columns; k < w.padded; ++k) to[k] = 0;
}

inline void round_row(const IntegerLinear& a, int64_t row, int64_t r, int64_t rows, float* row_room, uint8_t* tile) {
  const IntegerRows& w = a.w;
  const int64_t stretch = w.stretch(), quant_bytes = integer_quant_bytes(w, kVnni);
  float* scales = (float*)(tile + rows * w.padded * quant_bytes);
  int32_t* sums = (int32_t*)(scales + rows * (w.padded / stretch));
  lay_out(a, row, row_room);
  const ConstRows x{row_room, Float::kF32, w.padded};
  float row_scale = 0;
  if (w.rounding != InputRounding::kBlock) {
    const float amax = amax_of(x, 0, 0, w.padded), own = amax / 127.5f;
    row_scale = amax != amax ? amax : w.rounding == InputRounding::kFixed ? w.input_scale : own < 1e-12f ? 1e-12f : own;
  }
  for (int64_t k = 0; k < w.padded; k += kIntegerBlock) {
    alignas(32) int8_t quants[kIntegerBlock];
    const float scale = round_stretch(w, x, k, kIntegerBlock, row_scale, quants);
    const int64_t at = k / stretch * rows + r;
    scales[at] = scale;
    sums[at] = (k % stretch ? sums[at] : 0) + sum_of_16(quants) + sum_of_16(quants + 16);
    for (int64_t i = 0; i < kIntegerBlock; i += 4) {
      const int64_t to = ((k + i) / 4 * rows + r) * 4;
      if (quant_bytes == 1) {
        __builtin_memcpy(tile + to, quants + i, 4);
      } else {
        for (int64_t c = 0; c < 4; ++c) ((int16_t*)tile)[to + c] = quants[i + c];
      }
    }
  }
}

template <int kBits>
inline void run_groups(const IntegerLinear& a, const uint8_t* tiles, int64_t begin, int64_t end) {
  for (int64_t group = begin; group < end; ++group) {
    const Group w = group_at(a, group);
    for (int64_t row = 0; row < a.rows; row += kTileRows) {
      const int64_t rows = min_of(kTileRows, a.rows - row);
      const Tile x = tile_at(a, tiles, row, rows);
      with_count<kTileRows>(rows, [&]<int R>() {
        float y[R][kRowsOfGroup];
        run_tile<kBits, R>(a, w, x, y);
        put(a, row, group, y);
      });
    }
  }
}

}  // namespace

template <>
void round_tile_simd<kIsa, kVnni>(const IntegerLinear& a, int64_t row, int64_t rows, float* row_room, uint8_t* tile) {
  for (int64_t r = 0; r < rows; ++r) round_row(a, row + r, r, rows, row_room, tile);
}

template <>
void integer_linear_simd<kIsa, kVnni>(const IntegerLinear& a, const uint8_t* tiles, int64_t begin, int64_t end) {
  a.w.bits == 4 ? run_groups<4>(a, tiles, begin, end) : run_groups<8>(a, tiles, begin, end);
}

}  // namespace r1::kernels
