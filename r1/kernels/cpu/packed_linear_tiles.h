// The product of a group of w with tiles of quantized rows, for one instruction set, form by form: what packed_linear.simd.cc (blocks of 32 columns)
// and packed_super.simd.cc (of 256) are made of. Two files, because a compiler takes its time over each form.
#pragma once

#include "r1/kernels/cpu/packed_linear_simd.h"
#include "r1/kernels/cpu/packed_output.h"
#include "r1/kernels/cpu/tile.h"

namespace r1::kernels {
namespace {

#if defined(R1_SIMD_VNNI) || defined(R1_SIMD_NEON)
constexpr bool kVnni = true;
#else
constexpr bool kVnni = false;
#endif

// Groups of w that are computed at a time.
#if defined(R1_SIMD_AVX512)
constexpr int64_t kGroups = 2;
#else
constexpr int64_t kGroups = 1;
#endif

constexpr const BlockFields& fields_of(BlockForm form) {
  return kBlockFields[int(form)];
}
constexpr bool is_super(BlockForm form) {
  return fields_of(form).elements == 256;
}
// What is taken off every quant, as a power of two; 0: nothing, the form has offsets. Of Q8_0: what makes a quant unsigned.
constexpr int zero_shift(BlockForm form) {
  return form == BlockForm::kQ4_0 ? 3 : form == BlockForm::kQ5_0 ? 4 : form == BlockForm::kQ6_K ? 5 : form == BlockForm::kQ8_0 ? 7 : 0;
}

// A quantized tile of R rows (packed_linear_simd.h).
struct Tile {
  const uint8_t* quants;
  const float* scales;   // [block][R]
  const int32_t* words;  // [word][R]
  bool is_first;
};
R1_INLINE Tile tile_at(const uint8_t* tiles, BlockForm form, int64_t row, int64_t rows, int64_t in) {
  const uint8_t* quants = tiles + row * quantized_row_bytes(form, in);
  const float* scales = (const float*)(quants + rows * in);
  return {quants, scales, (const int32_t*)(scales + rows * (in / fields_of(form).elements)), row == 0};
}

// The planes of a group of w (base/interleaved_rows.h).
struct Planes {
  const uint8_t *quants, *high, *scales, *d, *m;
  int64_t next;  // bytes to the second group, where two are computed at a time
};
R1_INLINE Planes planes_of(const PackedLinear& a, int64_t group, bool two) {
  const BlockFields& f = fields_of(a.form);
  const int64_t unit = a.in / f.elements * kRowsOfGroup;
  Planes p;
  p.quants = (const uint8_t*)a.w + group * unit * f.bytes();
  p.high = p.quants + unit * f.quants;
  p.scales = p.high + unit * f.high;
  p.d = p.scales + unit * f.scales;
  p.m = p.d + unit * f.d;
  p.next = two ? unit * f.bytes() : 0;
  return p;
}

#if defined(R1_SIMD_AVX512) || defined(R1_SIMD_AVX2)

// -- Vectors: a lane is a row of w ----------------------------------------------------------------------------------------------------

// Of one group (8 lanes), with AVX-512 of two: what lies `next` bytes further on is the second one's (Planes::next).
#if defined(R1_SIMD_AVX512)
using IntVector = __m512i;
using FloatVector = __m512;
#define R1_V(name) _mm512_##name
#define R1_BITS(name) _mm512_##name##_si512
R1_INLINE IntVector load_bytes(const uint8_t* p, int64_t next) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const __m256i*)p)), _mm256_loadu_si256((const __m256i*)(p + next)),
                            1);
}
R1_INLINE FloatVector load_halves(const uint8_t* p, int64_t next) {
  return _mm512_cvtph_ps(_mm256_set_m128i(_mm_loadu_si128((const __m128i*)(p + next)), _mm_loadu_si128((const __m128i*)p)));
}
R1_INLINE IntVector every_16(__m128i bytes) {
  return _mm512_broadcast_i32x4(bytes);
}
// x with the sign of q; where q is 0 anything.
R1_INLINE IntVector with_sign(IntVector x, IntVector q) {
  return _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(q), _mm512_setzero_si512(), x);
}
#else
using IntVector = __m256i;
using FloatVector = __m256;
#define R1_V(name) _mm256_##name
#define R1_BITS(name) _mm256_##name##_si256
R1_INLINE IntVector load_bytes(const uint8_t* p, int64_t) {
  return _mm256_loadu_si256((const __m256i*)p);
}
R1_INLINE FloatVector load_halves(const uint8_t* p, int64_t) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p));
}
R1_INLINE IntVector every_16(__m128i bytes) {
  return _mm256_broadcastsi128_si256(bytes);
}
R1_INLINE IntVector with_sign(IntVector x, IntVector q) {
  return _mm256_sign_epi8(x, q);
}
#endif
R1_INLINE IntVector zero_ints() {
  return R1_BITS(setzero)();
}
R1_INLINE IntVector word_in_all(const void* p) {
  int32_t word;
  __builtin_memcpy(&word, p, 4);
  return R1_V(set1_epi32)(word);
}

// Keeps a sum one chain: the compiler would turn it into a tree, which wants more registers than there are.
R1_INLINE void pin(IntVector& sum) {
#if defined(R1_SIMD_AVX512)
  __asm__("" : "+v"(sum));
#else
  __asm__("" : "+x"(sum));
#endif
}

// A sum of products of unsigned w and signed x, four columns a step. Without VNNI in 16 bits, so only so many steps at a time that the
// largest products, 2 (2^bits - 1) 127 a step, fit.
template <int R>
struct Dot {
  IntVector sum[R];
  R1_INLINE void clear() {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sum[r] = zero_ints();
  }
  R1_INLINE void step(IntVector w, const uint8_t* x) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#if defined(R1_SIMD_VNNI)
      sum[r] = R1_V(dpbusd_epi32)(sum[r], w, word_in_all(x + 4 * r));
#else
      sum[r] = R1_V(add_epi16)(sum[r], R1_V(maddubs_epi16)(w, word_in_all(x + 4 * r)));
#endif
      pin(sum[r]);
    }
  }
  // The sum in 32 bits, times a small factor that each lane has in both halves.
  R1_INLINE IntVector times(int r, IntVector factor) const {
#if defined(R1_SIMD_VNNI)
    return R1_V(mullo_epi32)(sum[r], R1_V(srai_epi32)(factor, 16));
#else
    return R1_V(madd_epi16)(sum[r], factor);
#endif
  }
  R1_INLINE IntVector wide(int r) const {
#if defined(R1_SIMD_VNNI)
    return sum[r];
#else
    return R1_V(madd_epi16)(sum[r], R1_V(set1_epi16)(1));
#endif
  }
};

R1_INLINE IntVector low_nibbles(IntVector q) {
  return R1_BITS(and)(q, R1_V(set1_epi8)(15));
}
R1_INLINE IntVector high_nibbles(IntVector q) {
  return R1_BITS(and)(R1_V(srli_epi16)(q, 4), R1_V(set1_epi8)(15));
}
// Bit `from` of every byte, as its fifth.
template <int kFrom>
R1_INLINE IntVector fifth_bits(IntVector bits) {
  const IntVector at = kFrom < 4 ? R1_V(slli_epi16)(bits, 4 - kFrom) : R1_V(srli_epi16)(bits, kFrom - 4);
  return R1_BITS(and)(at, R1_V(set1_epi8)(16));
}
// Bits 2 kFrom and 2 kFrom + 1 of every byte, as its fifth and sixth.
template <int kFrom>
R1_INLINE IntVector fifth_and_sixth_bits(IntVector bits) {
  const IntVector at = kFrom < 2 ? R1_V(slli_epi16)(bits, 4 - 2 * kFrom) : R1_V(srli_epi16)(bits, 2 * kFrom - 4);
  return R1_BITS(and)(at, R1_V(set1_epi8)(48));
}

// f.operator()<I>() for I = 0 .. N - 1.
template <int N, class F>
R1_INLINE void repeat(F&& f) {
  if constexpr (N > 0) {
    repeat<N - 1>(f);
    f.template operator()<N - 1>();
  }
}

// The first tile waits for memory: what lies a little further on is asked for early. For the others it is in the cache.
template <int64_t kBytes>
R1_INLINE void fetch_ahead(const Tile& x, const uint8_t* p, int64_t next) {
  constexpr int64_t kAhead = 2048;
  if (!x.is_first) return;
#pragma GCC unroll 16
  for (int64_t i = 0; i < kBytes; i += 64) {
    __builtin_prefetch(p + kAhead + i);
    if (kGroups > 1) __builtin_prefetch(p + next + kAhead + i);
  }
}

// sum[r] = the sum over block b of 32 columns of quant x.
template <BlockForm F, int R>
R1_INLINE void sum_block(const Planes& w, int64_t b, const uint8_t* x, IntVector (&sum)[R]) {
  if constexpr (F == BlockForm::kQ8_0 && !kVnni) {
    // |w| x with the sign of w, as the instruction wants one factor unsigned; |x| <= 127, so two products fit 16 bits.
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sum[r] = zero_ints();
#pragma GCC unroll 8
    for (int s = 0; s < 8; ++s) {
      const IntVector q = load_bytes(w.quants + (8 * b + s) * 32, w.next), size = R1_V(abs_epi8)(q);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const IntVector pairs = R1_V(maddubs_epi16)(size, with_sign(word_in_all(x + 4 * (R * s + r)), q));
        sum[r] = R1_V(add_epi32)(sum[r], R1_V(madd_epi16)(pairs, R1_V(set1_epi16)(1)));
        pin(sum[r]);
      }
    }
  } else if constexpr (F == BlockForm::kQ8_0) {
    Dot<R> dot;
    dot.clear();
#pragma GCC unroll 8
    for (int s = 0; s < 8; ++s)
      dot.step(R1_BITS(xor)(load_bytes(w.quants + (8 * b + s) * 32, w.next), R1_V(set1_epi8)(-128)), x + 4 * R * s);
    for (int r = 0; r < R; ++r) sum[r] = dot.wide(r);
  } else {
    constexpr bool kFive = fields_of(F).high > 0;
    Dot<R> dot;
    dot.clear();
    const IntVector high = kFive ? load_bytes(w.high + b * 32, w.next) : zero_ints();
    repeat<4>([&]<int S>() {
      const IntVector q = load_bytes(w.quants + (4 * b + S) * 32, w.next);
      IntVector low = low_nibbles(q), up = high_nibbles(q);
      if constexpr (kFive) low = R1_BITS(or)(low, fifth_bits<S>(high)), up = R1_BITS(or)(up, fifth_bits<S + 4>(high));
      dot.step(low, x + 4 * R * S);
      dot.step(up, x + 4 * R * (S + 4));
      if constexpr (kFive && !kVnni && S == 1) {
        for (int r = 0; r < R; ++r) sum[r] = dot.wide(r);
        dot.clear();
      }
    });
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sum[r] = kFive && !kVnni ? R1_V(add_epi32)(sum[r], dot.wide(r)) : dot.wide(r);
  }
}

template <BlockForm F, int R>
R1_INLINE void run_blocks(const Planes& w, int64_t blocks, const Tile& x, FloatVector (&acc)[R]) {
  constexpr bool kOffsets = fields_of(F).m > 0, kZero = F == BlockForm::kQ8_0 ? kVnni : !kOffsets;
  for (int64_t b = 0; b < blocks; ++b) {
    fetch_ahead<8 * fields_of(F).quants>(x, w.quants + b * 8 * fields_of(F).quants, w.next);
    IntVector sum[R];
    sum_block<F, R>(w, b, x.quants + b * 32 * R, sum);
    const FloatVector d = load_halves(w.d + b * 16, w.next), m = kOffsets ? load_halves(w.m + b * 16, w.next) : d;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      if constexpr (kZero) sum[r] = R1_V(sub_epi32)(sum[r], word_in_all(x.words + b * R + r));
      const FloatVector scale = R1_V(set1_ps)(x.scales[b * R + r]);
      acc[r] = R1_V(fmadd_ps)(R1_V(mul_ps)(d, scale), R1_V(cvtepi32_ps)(sum[r]), acc[r]);
      if constexpr (kOffsets) acc[r] = R1_V(fmadd_ps)(R1_V(mul_ps)(m, scale), R1_V(cvtepi32_ps)(word_in_all(x.words + b * R + r)), acc[r]);
    }
  }
}

// -- Super-blocks ---------------------------------------------------------------------------------------------------------------------

// Byte kByte of each lane in both of its halves, or bytes kByte and kByte + 1 in the two: as they are, or with the sign.
template <bool kSigned, int kByte, int kNext>
R1_INLINE IntVector spread(IntVector bytes) {
  constexpr char a = char(kByte), b = char(kNext), o = char(0x80);
  const __m128i unsigned_order = _mm_setr_epi8(a, o, b, o, a + 4, o, b + 4, o, a + 8, o, b + 8, o, a + 12, o, b + 12, o);
  const __m128i signed_order = _mm_setr_epi8(o, a, o, b, o, a + 4, o, b + 4, o, a + 8, o, b + 8, o, a + 12, o, b + 12);
  if constexpr (kSigned) return R1_V(srai_epi16)(R1_V(shuffle_epi8)(bytes, every_16(signed_order)), 8);
  return R1_V(shuffle_epi8)(bytes, every_16(unsigned_order));
}

// The small scales of a super-block: one for each 32 columns (Q4_K, Q5_K) or 16 (Q6_K), and what goes with the sums of x, in pairs.
template <BlockForm F>
struct SmallScales {
  static constexpr int kCount = F == BlockForm::kQ6_K ? 16 : 8;
  IntVector scale[kCount], pair[kCount / 2];

  R1_INLINE SmallScales(const uint8_t* p, int64_t next) {
    if constexpr (F == BlockForm::kQ6_K) {
      repeat<4>([&]<int I>() {
        const IntVector s = load_bytes(p + 32 * I, next);
        repeat<4>([&]<int J>() { scale[4 * I + J] = spread<true, J, J>(s); });
        pair[2 * I] = spread<true, 0, 1>(s), pair[2 * I + 1] = spread<true, 2, 3>(s);
      });
    } else {
      const IntVector a = load_bytes(p, next), b = load_bytes(p + 32, next), c = load_bytes(p + 64, next);
      const IntVector six = R1_V(set1_epi8)(63), two = R1_V(set1_epi8)(48);
      const IntVector s[2] = {R1_BITS(and)(a, six), R1_BITS(or)(low_nibbles(c), R1_BITS(and)(R1_V(srli_epi16)(a, 2), two))};
      const IntVector m[2] = {R1_BITS(and)(b, six), R1_BITS(or)(high_nibbles(c), R1_BITS(and)(R1_V(srli_epi16)(b, 2), two))};
      repeat<2>([&]<int I>() {
        repeat<4>([&]<int J>() { scale[4 * I + J] = spread<false, J, J>(s[I]); });
        pair[2 * I] = spread<false, 0, 1>(m[I]), pair[2 * I + 1] = spread<false, 2, 3>(m[I]);
      });
    }
  }
};

// Step S (four columns) of group G (32 columns) of a super-block.
template <BlockForm F, int G>
R1_INLINE IntVector quants_of(const uint8_t* quants, const uint8_t* high, int64_t next, int s) {
  if constexpr (F == BlockForm::kQ6_K) {
    constexpr int kHalf = G / 4, kQuarter = G % 4;
    const IntVector q = load_bytes(quants + (16 * kHalf + 8 * (kQuarter % 2) + s) * 32, next);
    return R1_BITS(or)(kQuarter < 2 ? low_nibbles(q) : high_nibbles(q),
                       fifth_and_sixth_bits<kQuarter>(load_bytes(high + (8 * kHalf + s) * 32, next)));
  } else {
    const IntVector q = load_bytes(quants + (8 * (G / 2) + s) * 32, next), nibbles = G % 2 ? high_nibbles(q) : low_nibbles(q);
    if constexpr (F == BlockForm::kQ4_K) return nibbles;
    return R1_BITS(or)(nibbles, fifth_bits<G>(load_bytes(high + s * 32, next)));
  }
}

template <BlockForm F, int R>
R1_INLINE void run_super_blocks(const Planes& w, int64_t blocks, const Tile& x, FloatVector (&acc)[R]) {
  constexpr bool kSix = F == BlockForm::kQ6_K;
  // Steps whose products fit 16 bits together, and have one small scale.
  constexpr int kSteps = kVnni ? (kSix ? 4 : 8) : kSix ? 2 : F == BlockForm::kQ5_K ? 4 : 8;
  for (int64_t b = 0; b < blocks; ++b) {
    fetch_ahead<1024>(x, w.quants + b * 1024, w.next);
    const uint8_t *quants = w.quants + b * 1024, *high = w.high + b * kRowsOfGroup * fields_of(F).high, *xq = x.quants + b * 256 * R;
    const SmallScales<F> small(w.scales + b * kRowsOfGroup * fields_of(F).scales, w.next);
    IntVector sum[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sum[r] = zero_ints();
    repeat<8>([&]<int G>() {
      Dot<R> dot;
#pragma GCC unroll 8
      for (int s = 0; s < 8; s += kSteps) {
        dot.clear();
#pragma GCC unroll 8
        for (int i = 0; i < kSteps; ++i) dot.step(quants_of<F, G>(quants, high, w.next, s + i), xq + 4 * R * (8 * G + s + i));
        const IntVector scale = small.scale[kSix ? 2 * G + s / 4 : G];
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) sum[r] = R1_V(add_epi32)(sum[r], dot.times(r, scale));
      }
    });
    const FloatVector d = load_halves(w.d + b * 16, w.next), m = kSix ? d : load_halves(w.m + b * 16, w.next);
    constexpr int kPairs = SmallScales<F>::kCount / 2;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      IntVector off = zero_ints();
#pragma GCC unroll 8
      for (int p = 0; p < kPairs; ++p)
        off = R1_V(add_epi32)(off, R1_V(madd_epi16)(small.pair[p], word_in_all(x.words + (b * kPairs + p) * R + r)));
      const FloatVector scale = R1_V(set1_ps)(x.scales[b * R + r]);
      if constexpr (kSix) sum[r] = R1_V(sub_epi32)(sum[r], R1_V(slli_epi32)(off, 5));
      acc[r] = R1_V(fmadd_ps)(R1_V(mul_ps)(d, scale), R1_V(cvtepi32_ps)(sum[r]), acc[r]);
      if constexpr (!kSix) acc[r] = R1_V(fmadd_ps)(R1_V(mul_ps)(m, scale), R1_V(cvtepi32_ps)(R1_V(sub_epi32)(zero_ints(), off)), acc[r]);
    }
  }
}

template <BlockForm F, int R>
R1_INLINE void run_tile(const Planes& w, int64_t in, const Tile& x, float (&y)[kGroups][R][kRowsOfGroup]) {
  FloatVector acc[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) acc[r] = R1_V(setzero_ps)();
  if constexpr (is_super(F))
    run_super_blocks<F, R>(w, in / 256, x, acc);
  else
    run_blocks<F, R>(w, in / 32, x, acc);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#if defined(R1_SIMD_AVX512)
    _mm256_storeu_ps(y[0][r], _mm512_castps512_ps256(acc[r]));
    _mm256_storeu_ps(y[1][r], _mm512_extractf32x8_ps(acc[r], 1));
#else
    _mm256_storeu_ps(y[0][r], acc[r]);
#endif
  }
}

#elif defined(R1_SIMD_NEON)

}  // namespace
}  // namespace r1::kernels
#include "r1/kernels/cpu/packed_linear_neon.h"
namespace r1::kernels {
namespace {

#else

// -- The same a row at a time ---------------------------------------------------------------------------------------------------------

R1_INLINE float half1(const uint8_t* p) {
  const uint32_t bits = uint32_t(p[0] | p[1] << 8), rest = (bits & 0x7FFF) << 13;
  const float size = rest >= 0x0F800000 ? bits_float(rest + 0x70000000) : bits_float(rest) * 0x1p112f;  // infinity and NaN; others
  return bits & 0x8000 ? -size : size;
}

// Byte n of a field of block b, of row r of the group.
R1_INLINE int byte_at(const uint8_t* plane, int64_t field_bytes, int64_t b, int64_t n, int64_t r) {
  return plane[(b * field_bytes / 4 + n / 4) * 32 + r * 4 + n % 4];
}

struct Sums {
  int32_t codes = 0, offsets = 0;  // of code_k a_k and offset_k a_k
};

template <BlockForm F>
R1_INLINE int quant_at(const Planes& w, int64_t b, int64_t r, int64_t k) {
  constexpr BlockFields f = fields_of(F);
  if constexpr (F == BlockForm::kQ8_0) return int8_t(byte_at(w.quants, f.quants, b, k, r));
  if constexpr (!is_super(F)) {
    const int byte = byte_at(w.quants, f.quants, b, k % 16, r), nibble = k < 16 ? byte & 15 : byte >> 4;
    if constexpr (f.high > 0) return nibble | ((byte_at(w.high, f.high, b, k % 4, r) >> (k / 4)) & 1) << 4;
    return nibble;
  }
  const int64_t g = k / 32, i = k % 32;
  if constexpr (F == BlockForm::kQ6_K) {
    const int64_t half = g / 4, quarter = g % 4;
    const int low = byte_at(w.quants, f.quants, b, 64 * half + 32 * (quarter % 2) + i, r);
    return ((low >> (4 * (quarter / 2))) & 15) | ((byte_at(w.high, f.high, b, 32 * half + i, r) >> (2 * quarter)) & 3) << 4;
  }
  const int nibble = (byte_at(w.quants, f.quants, b, 32 * (g / 2) + i, r) >> (4 * (g % 2))) & 15;
  if constexpr (f.high > 0) return nibble | ((byte_at(w.high, f.high, b, i, r) >> g) & 1) << 4;
  return nibble;
}

// Scale and minimum of group g of 32 columns (Q4_K, Q5_K), scale of 16 columns (Q6_K).
struct Small {
  int scale, min;
};
template <BlockForm F>
R1_INLINE Small small_at(const Planes& w, int64_t b, int64_t r, int64_t g) {
  const auto byte = [&](int64_t n) { return byte_at(w.scales, fields_of(F).scales, b, n, r); };
  if constexpr (F == BlockForm::kQ6_K) return {int8_t(byte(g)), 0};
  if (g < 4) return {byte(g) & 63, byte(g + 4) & 63};
  return {(byte(g + 4) & 15) | (byte(g - 4) >> 6) << 4, (byte(g + 4) >> 4) | (byte(g) >> 6) << 4};
}

template <BlockForm F, int R>
R1_INLINE Sums sum_block(const Planes& w, int64_t b, int64_t lane, const uint8_t* x, int r) {
  constexpr int64_t kElements = fields_of(F).elements, kStretch = F == BlockForm::kQ6_K ? 16 : 32;
  constexpr int kZero = F == BlockForm::kQ8_0 || fields_of(F).m > 0 ? 0 : 1 << zero_shift(F);
  Sums sums;
  for (int64_t g = 0; g < kElements / kStretch; ++g) {
    int32_t codes = 0, all = 0;
    for (int64_t k = g * kStretch; k < (g + 1) * kStretch; ++k) {
      const int32_t a = int8_t(x[(k / 4 * R + r) * 4 + k % 4]);
      codes += (quant_at<F>(w, b, lane, k) - kZero) * a;
      all += a;
    }
    const Small small = is_super(F) ? small_at<F>(w, b, lane, g) : Small{1, -1};
    sums.codes += small.scale * codes;
    sums.offsets -= small.min * all;
  }
  return sums;
}

template <BlockForm F, int R>
inline void run_tile(const Planes& w, int64_t in, const Tile& x, float (&y)[kGroups][R][kRowsOfGroup]) {
  constexpr int64_t kElements = fields_of(F).elements;
  for (int r = 0; r < R; ++r)
    for (int64_t lane = 0; lane < kRowsOfGroup; ++lane) {
      float acc = 0;
      for (int64_t b = 0; b < in / kElements; ++b) {
        const Sums sums = sum_block<F, R>(w, b, lane, x.quants + b * kElements * R, r);
        const float scale = x.scales[b * R + r];
        acc = fma1(half1(w.d + b * 16 + lane * 2) * scale, float(sums.codes), acc);
        if constexpr (fields_of(F).m > 0) acc = fma1(half1(w.m + b * 16 + lane * 2) * scale, float(sums.offsets), acc);
      }
      y[0][r][lane] = acc;
    }
}

#endif

// -- Both -----------------------------------------------------------------------------------------------------------------------------

template <BlockForm F>
inline void run_groups(const PackedLinear& a, const uint8_t* tiles, int64_t begin, int64_t end) {
  for (int64_t group = begin; group < end; group += kGroups) {
    const bool two = kGroups > 1 && group + 1 < end;  // of the last odd one both halves compute the same
    const Planes w = planes_of(a, group, two);
    for (int64_t row = 0; row < a.rows; row += kTileRows) {
      const int64_t rows = min_of(kTileRows, a.rows - row);
      const Tile x = tile_at(tiles, F, row, rows, a.in);
      with_count<kTileRows>(rows, [&]<int R>() {
        float y[kGroups][R][kRowsOfGroup];
        run_tile<F, R>(w, a.in, x, y);
        put(a, row, group, y[0]);
        if (two) put(a, row, group + 1, y[kGroups - 1]);
      });
    }
  }
}

}  // namespace
}  // namespace r1::kernels
