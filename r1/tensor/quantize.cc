#include "r1/tensor/quantize.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "r1/tensor/ggml_blocks.h"

namespace r1::tensor {
namespace {

constexpr int kBlock = kGgmlBlock, kSuper = kGgmlSuper;

using Codes = std::array<int, kBlock>;  // of one block or group, from 0

// ---- codes into bytes

void put_nibbles(const Codes& codes, uint8_t* q) {
  for (int i = 0; i < 16; ++i) q[i] = uint8_t((codes[size_t(i)] & 15) | (codes[size_t(i + 16)] & 15) << 4);
}

void put_fifth_bits(const Codes& codes, uint8_t* high) {
  uint32_t bits = 0;
  for (int i = 0; i < kBlock; ++i) bits |= uint32_t(codes[size_t(i)] >> 4 & 1) << i;
  std::memcpy(high, &bits, sizeof(bits));
}

void put(const Codes& codes, BlockQ4_0& b) {
  put_nibbles(codes, b.q);
}
void put(const Codes& codes, BlockQ4_1& b) {
  put_nibbles(codes, b.q);
}
void put(const Codes& codes, BlockQ5_0& b) {
  put_nibbles(codes, b.q);
  put_fifth_bits(codes, b.high);
}
void put(const Codes& codes, BlockQ5_1& b) {
  put_nibbles(codes, b.q);
  put_fifth_bits(codes, b.high);
}

// ---- the reference's rounding

// numpy's cast and clip: what is above 255 never comes up, what is below 0 is truncated towards it.
int truncated(float value, int levels) {
  return std::clamp(int(value), 0, levels - 1);
}

template <class Block, int kHalf>
void reference_symmetric(const float* x, Block& b) {
  float extreme = 0, largest = -1;
  for (int i = 0; i < kBlock; ++i) {
    if (std::fabs(x[i]) > largest) largest = std::fabs(x[i]), extreme = x[i];
  }
  const float d = extreme / float(-kHalf), inverse = d == 0 ? 0 : 1 / d;
  Codes codes;
  for (int i = 0; i < kBlock; ++i) {
    const float scaled = x[i] * inverse;  // rounded before the sum: no fused multiply-add
    codes[size_t(i)] = truncated(scaled + (float(kHalf) + 0.5f), 2 * kHalf);
  }
  b.d.set(d);
  put(codes, b);
}

template <class Block, int kLevels>
void reference_affine(const float* x, Block& b) {
  const auto [least, most] = std::minmax_element(x, x + kBlock);
  const float d = (*most - *least) / float(kLevels - 1), inverse = d == 0 ? 0 : 1 / d;
  Codes codes;
  for (int i = 0; i < kBlock; ++i) {
    const float scaled = (x[i] - *least) * inverse;
    codes[size_t(i)] = truncated(scaled + 0.5f, kLevels);
  }
  b.d.set(d);
  b.m.set(*least);
  put(codes, b);
}

void reference_q8_0(const float* x, BlockQ8_0& b) {
  float largest = 0;
  for (int i = 0; i < kBlock; ++i) largest = std::max(largest, std::fabs(x[i]));
  const float d = largest / 127, inverse = d == 0 ? 0 : 1 / d;
  b.d.set(d);
  for (int i = 0; i < kBlock; ++i) {
    const float scaled = x[i] * inverse;
    b.q[i] = int8_t(std::round(scaled));
  }
}

// ---- the search

// To the nearest; infinity and NaN (of a scale of 0) to the range's ends.
int nearest(float value, int lo, int hi) {
  if (!(value > float(lo))) return lo;
  return value < float(hi) ? int(std::lrintf(value)) : hi;
}

// The scale s with the least sum of w (x - s q)^2, q the nearest of lo .. hi.
float search_scale(const float* x, const float* w, int n, int lo, int hi) {
  float extreme = 0;
  for (int i = 0; i < n; ++i)
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  if (extreme == 0) return 0;
  float best_scale = extreme / float(lo);
  double best_gain = -1;
  for (int step = -9; step <= 9; ++step) {
    const float inverse = (float(lo) + 0.1f * float(step)) / extreme;
    double xq = 0, qq = 0;
    for (int i = 0; i < n; ++i) {
      const int q = nearest(x[i] * inverse, lo, hi);
      xq += double(w[i]) * x[i] * q;
      qq += double(w[i]) * q * q;
    }
    if (qq > 0 && xq * xq > best_gain * qq) best_gain = xq * xq / qq, best_scale = float(xq / qq);
  }
  return best_scale;
}

struct Grid {
  float scale = 0, offset = 0;  // value = scale * q + offset
};

// The grid of `levels` points with the least sum of w (x - scale q - offset)^2. `below`: the offset is at most 0.
Grid search_grid(const float* x, const float* w, int n, int levels, bool below) {
  const auto [least, most] = std::minmax_element(x, x + n);
  const float lo = below ? std::min(*least, 0.f) : *least, width = *most - lo;
  if (!(width > 0)) return {0, lo};
  Grid best{width / float(levels - 1), lo};
  double best_error = INFINITY;
  const auto try_grid = [&](Grid g) {
    if (below && g.offset > 0) return;
    double error = 0;
    const float inverse = 1 / g.scale;
    for (int i = 0; i < n; ++i) {
      const double off = double(x[i]) - double(g.scale) * nearest((x[i] - g.offset) * inverse, 0, levels - 1) - double(g.offset);
      error += double(w[i]) * off * off;
    }
    if (error < best_error) best_error = error, best = g;
  };
  try_grid(best);
  for (int step = -10; step <= 10; ++step) {
    const float inverse = (float(levels - 1) + 0.1f * float(step)) / width;
    double sw = 0, sx = 0, sq = 0, sqq = 0, sxq = 0;
    for (int i = 0; i < n; ++i) {
      const int q = nearest((x[i] - lo) * inverse, 0, levels - 1);
      sw += w[i], sx += double(w[i]) * x[i], sq += double(w[i]) * q, sqq += double(w[i]) * q * q, sxq += double(w[i]) * x[i] * q;
    }
    const double determinant = sw * sqq - sq * sq;
    if (!(determinant > 0)) continue;
    Grid g{float((sw * sxq - sx * sq) / determinant), float((sqq * sx - sq * sxq) / determinant)};
    if (below && g.offset > 0) g = {float(sxq / sqq), 0};
    if (g.scale > 0) try_grid(g);
  }
  return best;
}

// What an error in each of n elements costs.
void weigh(const float* x, const float* importance, int n, float* w) {
  double squares = 0;
  for (int i = 0; i < n; ++i) squares += double(x[i]) * x[i];
  const float mean = float(squares / n);
  for (int i = 0; i < n; ++i) w[i] = importance ? importance[i] * std::sqrt(2 * mean + x[i] * x[i]) : std::sqrt(mean) + std::fabs(x[i]);
}

template <class Block, int kHalf>
void searched_symmetric(const float* x, const float* importance, Block& b) {
  float w[kBlock];
  weigh(x, importance, kBlock, w);
  const float d = b.d.set(search_scale(x, w, kBlock, -kHalf, kHalf - 1)), inverse = d == 0 ? 0 : 1 / d;
  Codes codes;
  for (int i = 0; i < kBlock; ++i) codes[size_t(i)] = nearest(x[i] * inverse, -kHalf, kHalf - 1) + kHalf;
  put(codes, b);
}

template <class Block, int kLevels>
void searched_affine(const float* x, const float* importance, Block& b) {
  float w[kBlock];
  weigh(x, importance, kBlock, w);
  const Grid g = search_grid(x, w, kBlock, kLevels, /*below=*/false);
  const float d = b.d.set(g.scale), m = b.m.set(g.offset), inverse = d == 0 ? 0 : 1 / d;
  Codes codes;
  for (int i = 0; i < kBlock; ++i) codes[size_t(i)] = nearest((x[i] - m) * inverse, 0, kLevels - 1);
  put(codes, b);
}

void searched_q8_0(const float* x, const float* importance, BlockQ8_0& b) {
  float w[kBlock];
  weigh(x, importance, kBlock, w);
  const float d = b.d.set(search_scale(x, w, kBlock, -127, 127)), inverse = d == 0 ? 0 : 1 / d;
  for (int i = 0; i < kBlock; ++i) b.q[i] = int8_t(nearest(x[i] * inverse, -127, 127));
}

// Six bits each, as dequantize.cc's scale_min reads them.
void put_scale_min(uint8_t (&s)[12], int i, int scale, int min) {
  if (i < 4) {
    s[i] = uint8_t((s[i] & 0xC0) | scale);
    s[i + 4] = uint8_t((s[i + 4] & 0xC0) | min);
  } else {
    s[i + 4] = uint8_t((scale & 15) | (min & 15) << 4);
    s[i - 4] = uint8_t((s[i - 4] & 63) | (scale >> 4) << 6);
    s[i] = uint8_t((s[i] & 63) | (min >> 4) << 6);
  }
}

void put_group(const Codes& codes, int group, BlockQ4_K& b) {
  uint8_t* q = b.q + 32 * (group / 2);
  for (int i = 0; i < 32; ++i) q[i] |= uint8_t(codes[size_t(i)] << 4 * (group % 2));
}
void put_group(const Codes& codes, int group, BlockQ5_K& b) {
  uint8_t* q = b.q + 32 * (group / 2);
  for (int i = 0; i < 32; ++i) {
    q[i] |= uint8_t((codes[size_t(i)] & 15) << 4 * (group % 2));
    b.high[i] |= uint8_t((codes[size_t(i)] >> 4) << group);
  }
}

// Eight groups of 32 on grids whose scales and minima are six bits of a common one: what a super-block of Q4_K or Q5_K says.
struct SuperGrid {
  float d = 0, dmin = 0;  // as the block holds them
  int scale[8] = {}, min[8] = {};
  Codes codes[8] = {};
  double error = INFINITY;

  // Codes and their weighted error, for the scales there are.
  void round(const float* x, const float* w, int levels) {
    error = 0;
    for (int g = 0; g < 8; ++g) {
      const float step = d * float(scale[g]), offset = dmin * float(min[g]);
      for (int i = 0; i < 32; ++i) {
        const int at = 32 * g + i, q = step > 0 ? nearest((x[at] + offset) / step, 0, levels - 1) : 0;
        const double off = double(x[at]) - (double(step) * q - double(offset));
        codes[g][size_t(i)] = q;
        error += double(w[at]) * off * off;
      }
    }
  }

  // The common d and dmin that suit these codes best.
  void fit(const float* x, const float* w, Fp16& half_d, Fp16& half_dmin) {
    double aa = 0, bb = 0, ab = 0, xa = 0, xb = 0;  // value = d * a - dmin * b
    for (int g = 0; g < 8; ++g) {
      const double m = min[g];
      for (int i = 0; i < 32; ++i) {
        const double a = double(scale[g]) * codes[g][size_t(i)], cost = w[32 * g + i], value = x[32 * g + i];
        aa += cost * a * a, bb += cost * m * m, ab += cost * a * m, xa += cost * value * a, xb += cost * value * m;
      }
    }
    const double determinant = aa * bb - ab * ab;
    if (determinant > 1e-9 * aa * bb) {
      d = half_d.set(float((xa * bb - xb * ab) / determinant));
      dmin = half_dmin.set(float((xa * ab - xb * aa) / determinant));
    } else if (aa > 0) {
      d = half_d.set(float((xa + dmin * ab) / aa));
    }
  }
};

// Q4_K and Q5_K: each group's own best grid, put on the common steps, which are then fitted to the codes for as long as that helps.
template <class Block, int kLevels>
void searched_k(const float* x, const float* importance, Block& b) {
  constexpr int kFits = 3;
  float w[kSuper];
  weigh(x, importance, kSuper, w);
  Grid grids[8];
  float largest_scale = 0, largest_min = 0;
  for (int g = 0; g < 8; ++g) {
    grids[g] = search_grid(x + 32 * g, w + 32 * g, 32, kLevels, /*below=*/true);
    largest_scale = std::max(largest_scale, grids[g].scale);
    largest_min = std::max(largest_min, -grids[g].offset);
  }
  std::memset(static_cast<void*>(&b), 0, sizeof(b));
  SuperGrid best;
  best.d = b.d.set(largest_scale / 63), best.dmin = b.dmin.set(largest_min / 63);
  for (int g = 0; g < 8; ++g) {
    best.scale[g] = best.d > 0 ? nearest(grids[g].scale / best.d, 0, 63) : 0;
    best.min[g] = best.dmin > 0 ? nearest(-grids[g].offset / best.dmin, 0, 63) : 0;
  }
  best.round(x, w, kLevels);
  for (int fit = 0; fit < kFits; ++fit) {
    SuperGrid next = best;
    Fp16 half_d = b.d, half_dmin = b.dmin;
    next.fit(x, w, half_d, half_dmin);
    if (!(next.d > 0 && next.dmin >= 0)) break;
    for (int g = 0; g < 8; ++g) {
      next.scale[g] = nearest(grids[g].scale / next.d, 0, 63);
      next.min[g] = next.dmin > 0 ? nearest(-grids[g].offset / next.dmin, 0, 63) : 0;
    }
    next.round(x, w, kLevels);
    if (!(next.error < best.error)) break;
    best = next, b.d = half_d, b.dmin = half_dmin;
  }
  for (int g = 0; g < 8; ++g) {
    put_scale_min(b.scales, g, best.scale[g], best.min[g]);
    put_group(best.codes[g], g, b);
  }
}

void searched_q6_k(const float* x, const float* importance, BlockQ6_K& b) {
  float w[kSuper], scales[16], extreme = 0;
  weigh(x, importance, kSuper, w);
  for (int g = 0; g < 16; ++g) {
    scales[g] = search_scale(x + 16 * g, w + 16 * g, 16, -32, 31);
    if (std::fabs(scales[g]) > std::fabs(extreme)) extreme = scales[g];
  }
  std::memset(static_cast<void*>(&b), 0, sizeof(b));
  const float d = b.d.set(extreme / -128);
  for (int g = 0; g < 16; ++g) {
    const int scale = d == 0 ? 0 : nearest(scales[g] / d, -128, 127);
    b.scales[g] = int8_t(scale);
    const float step = d * float(scale), inverse = step == 0 ? 0 : 1 / step;
    for (int i = 0; i < 16; ++i) {
      const int at = 16 * g + i, q = nearest(x[at] * inverse, -32, 31) + 32;
      const int half = at / 128, quarter = at % 128 / 32, byte = at % 32;
      b.low[64 * half + 32 * (quarter % 2) + byte] |= uint8_t((q & 15) << 4 * (quarter / 2));
      b.high[32 * half + byte] |= uint8_t((q >> 4) << 2 * quarter);
    }
  }
}

// ---- rows

template <class Block, int kElements, void (*kPlain)(const float*, Block&), void (*kSearched)(const float*, const float*, Block&)>
void quantize_row(const float* x, int64_t n, const float* importance, std::byte* blocks) {
  static_assert(alignof(Block) == 1);
  auto* block = reinterpret_cast<Block*>(blocks);
  for (int64_t at = 0; at < n; at += kElements, ++block) {
    if (importance) {
      kSearched(x + at, importance + at, *block);
    } else {
      kPlain(x + at, *block);
    }
  }
}

// A search that needs no importance.
template <class Block, void (*kSearched)(const float*, const float*, Block&)>
void alone(const float* x, Block& b) {
  kSearched(x, nullptr, b);
}

}  // namespace

QuantizeRow quantizer(GgmlType type) {
  switch (type) {
    case GgmlType::kQ4_0:
      return quantize_row<BlockQ4_0, kBlock, reference_symmetric<BlockQ4_0, 8>, searched_symmetric<BlockQ4_0, 8>>;
    case GgmlType::kQ4_1:
      return quantize_row<BlockQ4_1, kBlock, reference_affine<BlockQ4_1, 16>, searched_affine<BlockQ4_1, 16>>;
    case GgmlType::kQ5_0:
      return quantize_row<BlockQ5_0, kBlock, reference_symmetric<BlockQ5_0, 16>, searched_symmetric<BlockQ5_0, 16>>;
    case GgmlType::kQ5_1:
      return quantize_row<BlockQ5_1, kBlock, reference_affine<BlockQ5_1, 32>, searched_affine<BlockQ5_1, 32>>;
    case GgmlType::kQ8_0:
      return quantize_row<BlockQ8_0, kBlock, reference_q8_0, searched_q8_0>;
    case GgmlType::kQ4_K:
      return quantize_row<BlockQ4_K, kSuper, alone<BlockQ4_K, searched_k<BlockQ4_K, 16>>, searched_k<BlockQ4_K, 16>>;
    case GgmlType::kQ5_K:
      return quantize_row<BlockQ5_K, kSuper, alone<BlockQ5_K, searched_k<BlockQ5_K, 32>>, searched_k<BlockQ5_K, 32>>;
    case GgmlType::kQ6_K:
      return quantize_row<BlockQ6_K, kSuper, alone<BlockQ6_K, searched_q6_k>, searched_q6_k>;
    default:
      return nullptr;
  }
}

}  // namespace r1::tensor
