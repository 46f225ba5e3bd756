// The products of packed_linear with Armv8.2's dot product of 8 bit integers: two vectors of four lanes, a lane is a row of w. Included by
// packed_linear_tiles.h alone, after Planes and Tile. The same sums as on every other set: exact in integers, then one fused multiply-add a
// block in fp32.
#pragma once

#include <arm_neon.h>

namespace r1::kernels {
namespace {

// Of eight rows: four columns, or one number.
struct ByteLanes {
  uint8x16_t v[2];
};
struct IntLanes {
  int32x4_t v[2];
};
struct FloatLanes {
  float32x4_t v[2];
};

R1_INLINE ByteLanes load32(const uint8_t* p) {
  return {{vld1q_u8(p), vld1q_u8(p + 16)}};
}
R1_INLINE FloatLanes half8(const uint8_t* p) {
  const float16x8_t h = vreinterpretq_f16_u8(vld1q_u8(p));
  return {{vcvt_f32_f16(vget_low_f16(h)), vcvt_f32_f16(vget_high_f16(h))}};
}
R1_INLINE int32_t word_at(const void* p) {
  int32_t word;
  __builtin_memcpy(&word, p, 4);
  return word;
}

template <class F>
R1_INLINE ByteLanes each(ByteLanes a, F&& f) {
  return {{f(a.v[0]), f(a.v[1])}};
}
R1_INLINE ByteLanes low_nibbles(ByteLanes q) {
  return each(q, [](uint8x16_t b) { return vandq_u8(b, vdupq_n_u8(15)); });
}
R1_INLINE ByteLanes high_nibbles(ByteLanes q) {
  return each(q, [](uint8x16_t b) { return vshrq_n_u8(b, 4); });
}
R1_INLINE ByteLanes operator|(ByteLanes a, ByteLanes b) {
  return {{vorrq_u8(a.v[0], b.v[0]), vorrq_u8(a.v[1], b.v[1])}};
}
// Every byte moved up by kUp bits (down where that is negative), of which `mask` is kept.
template <int kUp>
R1_INLINE ByteLanes moved(ByteLanes a, uint8_t mask) {
  return each(a, [mask](uint8x16_t b) {
    if constexpr (kUp > 0) b = vshlq_n_u8(b, kUp);
    if constexpr (kUp < 0) b = vshrq_n_u8(b, -kUp);
    return vandq_u8(b, vdupq_n_u8(mask));
  });
}
// Bit `from` of every byte, as its fifth; bits 2 kFrom and 2 kFrom + 1, as its fifth and sixth.
template <int kFrom>
R1_INLINE ByteLanes fifth_bits(ByteLanes bits) {
  return moved<4 - kFrom>(bits, 16);
}
template <int kFrom>
R1_INLINE ByteLanes fifth_and_sixth_bits(ByteLanes bits) {
  return moved<4 - 2 * kFrom>(bits, 48);
}

// A sum of products of w (signed, or below 128) and signed x, four columns a step.
template <int R>
struct Dot {
  IntLanes sum[R];
  R1_INLINE void clear() {
    for (int r = 0; r < R; ++r) sum[r] = {{vdupq_n_s32(0), vdupq_n_s32(0)}};
  }
  R1_INLINE void step(ByteLanes w, const uint8_t* x) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const int8x16_t columns = vreinterpretq_s8_s32(vdupq_n_s32(word_at(x + 4 * r)));
      for (int h = 0; h < 2; ++h) sum[r].v[h] = vdotq_s32(sum[r].v[h], vreinterpretq_s8_u8(w.v[h]), columns);
    }
  }
};

// f.operator()<I>() for I = 0 .. N - 1.
template <int N, class F>
R1_INLINE void repeat(F&& f) {
  if constexpr (N > 0) {
    repeat<N - 1>(f);
    f.template operator()<N - 1>();
  }
}

// sum = the sum over block b of 32 columns of quant x.
template <BlockForm F, int R>
R1_INLINE void sum_block(const Planes& w, int64_t b, const uint8_t* x, Dot<R>& sum) {
  sum.clear();
  if constexpr (F == BlockForm::kQ8_0) {
#pragma GCC unroll 8
    for (int s = 0; s < 8; ++s) sum.step(load32(w.quants + (8 * b + s) * 32), x + 4 * R * s);
  } else {
    constexpr bool kFive = fields_of(F).high > 0;
    repeat<4>([&]<int S>() {
      const ByteLanes q = load32(w.quants + (4 * b + S) * 32);
      ByteLanes low = low_nibbles(q), up = high_nibbles(q);
      if constexpr (kFive) {
        const ByteLanes high = load32(w.high + b * 32);
        low = low | fifth_bits<S>(high), up = up | fifth_bits<S + 4>(high);
      }
      sum.step(low, x + 4 * R * S);
      sum.step(up, x + 4 * R * (S + 4));
    });
  }
}

// acc += (scale of w * scale of x) * sum
R1_INLINE void add_scaled(FloatLanes& acc, FloatLanes w, float x, IntLanes sum) {
  for (int h = 0; h < 2; ++h) acc.v[h] = vfmaq_f32(acc.v[h], vmulq_n_f32(w.v[h], x), vcvtq_f32_s32(sum.v[h]));
}

template <BlockForm F, int R>
R1_INLINE void run_blocks(const Planes& w, int64_t blocks, const Tile& x, FloatLanes (&acc)[R]) {
  constexpr bool kOffsets = fields_of(F).m > 0, kZero = F != BlockForm::kQ8_0 && !kOffsets;
  for (int64_t b = 0; b < blocks; ++b) {
    Dot<R> dot;
    sum_block<F, R>(w, b, x.quants + b * 32 * R, dot);
    const FloatLanes d = half8(w.d + b * 16), m = kOffsets ? half8(w.m + b * 16) : d;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const int32x4_t off = vdupq_n_s32(x.words[b * R + r]);
      IntLanes sum = dot.sum[r];
      if constexpr (kZero) sum = {{vsubq_s32(sum.v[0], off), vsubq_s32(sum.v[1], off)}};
      add_scaled(acc[r], d, x.scales[b * R + r], sum);
      if constexpr (kOffsets) add_scaled(acc[r], m, x.scales[b * R + r], {{off, off}});
    }
  }
}

// Byte kByte of each lane as a number.
template <bool kSigned, int kByte>
R1_INLINE IntLanes byte_of(ByteLanes bytes) {
  IntLanes out;
  for (int h = 0; h < 2; ++h) {
    const int32x4_t top = vshlq_n_s32(vreinterpretq_s32_u8(bytes.v[h]), 24 - 8 * kByte);
    out.v[h] = kSigned ? vshrq_n_s32(top, 24) : vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(top), 24));
  }
  return out;
}

// The small scales of a super-block: one for each 32 columns (Q4_K, Q5_K) or 16 (Q6_K), and what goes with the sums of x.
template <BlockForm F>
struct SmallScales {
  static constexpr int kCount = F == BlockForm::kQ6_K ? 16 : 8;
  IntLanes scale[kCount], offset[kCount];

  R1_INLINE explicit SmallScales(const uint8_t* p) {
    if constexpr (F == BlockForm::kQ6_K) {
      repeat<4>([&]<int I>() {
        const ByteLanes s = load32(p + 32 * I);
        repeat<4>([&]<int J>() { offset[4 * I + J] = scale[4 * I + J] = byte_of<true, J>(s); });
      });
    } else {
      const ByteLanes a = load32(p), b = load32(p + 32), c = load32(p + 64);
      const ByteLanes s[2] = {moved<0>(a, 63), low_nibbles(c) | moved<-2>(a, 48)};
      const ByteLanes m[2] = {moved<0>(b, 63), high_nibbles(c) | moved<-2>(b, 48)};
      repeat<2>([&]<int I>() {
        repeat<4>([&]<int J>() { scale[4 * I + J] = byte_of<false, J>(s[I]), offset[4 * I + J] = byte_of<false, J>(m[I]); });
      });
    }
  }
};

// Step s (four columns) of group G (32 columns) of a super-block.
template <BlockForm F, int G>
R1_INLINE ByteLanes quants_of(const uint8_t* quants, const uint8_t* high, int s) {
  if constexpr (F == BlockForm::kQ6_K) {
    constexpr int kHalf = G / 4, kQuarter = G % 4;
    const ByteLanes q = load32(quants + (16 * kHalf + 8 * (kQuarter % 2) + s) * 32);
    return (kQuarter < 2 ? low_nibbles(q) : high_nibbles(q)) | fifth_and_sixth_bits<kQuarter>(load32(high + (8 * kHalf + s) * 32));
  } else {
    const ByteLanes q = load32(quants + (8 * (G / 2) + s) * 32), nibbles = G % 2 ? high_nibbles(q) : low_nibbles(q);
    if constexpr (F == BlockForm::kQ4_K) return nibbles;
    return nibbles | fifth_bits<G>(load32(high + s * 32));
  }
}

template <BlockForm F, int R>
R1_INLINE void run_super_blocks(const Planes& w, int64_t blocks, const Tile& x, FloatLanes (&acc)[R]) {
  constexpr bool kSix = F == BlockForm::kQ6_K;
  constexpr int kSteps = kSix ? 4 : 8;  // that have one small scale
  for (int64_t b = 0; b < blocks; ++b) {
    const uint8_t *quants = w.quants + b * 1024, *high = w.high + b * kRowsOfGroup * fields_of(F).high, *xq = x.quants + b * 256 * R;
    const SmallScales<F> small(w.scales + b * kRowsOfGroup * fields_of(F).scales);
    IntLanes sum[R];
    for (int r = 0; r < R; ++r) sum[r] = {{vdupq_n_s32(0), vdupq_n_s32(0)}};
    repeat<8>([&]<int G>() {
      Dot<R> dot;
      for (int s = 0; s < 8; s += kSteps) {
        dot.clear();
#pragma GCC unroll 8
        for (int i = 0; i < kSteps; ++i) dot.step(quants_of<F, G>(quants, high, s + i), xq + 4 * R * (8 * G + s + i));
        const IntLanes scale = small.scale[kSix ? 2 * G + s / 4 : G];
        for (int r = 0; r < R; ++r)
          for (int h = 0; h < 2; ++h) sum[r].v[h] = vmlaq_s32(sum[r].v[h], dot.sum[r].v[h], scale.v[h]);
      }
    });
    const FloatLanes d = half8(w.d + b * 16), m = kSix ? d : half8(w.m + b * 16);
    constexpr int kPairs = SmallScales<F>::kCount / 2;
    for (int r = 0; r < R; ++r) {
      IntLanes off = {{vdupq_n_s32(0), vdupq_n_s32(0)}};
#pragma GCC unroll 8
      for (int p = 0; p < kPairs; ++p) {
        // Two sums of x in a word.
        const int32_t word = x.words[(b * kPairs + p) * R + r], first = int16_t(word), second = word >> 16;
        for (int h = 0; h < 2; ++h)
          off.v[h] = vmlaq_n_s32(vmlaq_n_s32(off.v[h], small.offset[2 * p].v[h], first), small.offset[2 * p + 1].v[h], second);
      }
      for (int h = 0; h < 2; ++h) {
        if constexpr (kSix) sum[r].v[h] = vsubq_s32(sum[r].v[h], vshlq_n_s32(off.v[h], 5));
        off.v[h] = vnegq_s32(off.v[h]);
      }
      add_scaled(acc[r], d, x.scales[b * R + r], sum[r]);
      if constexpr (!kSix) add_scaled(acc[r], m, x.scales[b * R + r], off);
    }
  }
}

template <BlockForm F, int R>
R1_INLINE void run_tile(const Planes& w, int64_t in, const Tile& x, float (&y)[kGroups][R][kRowsOfGroup]) {
  FloatLanes acc[R];
  for (int r = 0; r < R; ++r) acc[r] = {{vdupq_n_f32(0), vdupq_n_f32(0)}};
  if constexpr (is_super(F))
    run_super_blocks<F, R>(w, in / 256, x, acc);
  else
    run_blocks<F, R>(w, in / 32, x, acc);
  for (int r = 0; r < R; ++r)
    for (int h = 0; h < 2; ++h) vst1q_f32(y[0][r] + 4 * h, acc[r].v[h]);
}

}  // namespace
}  // namespace r1::kernels
