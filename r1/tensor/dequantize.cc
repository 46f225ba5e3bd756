#include "r1/tensor/dequantize.h"

#include <cstring>

#include "r1/tensor/ggml_blocks.h"

namespace r1::tensor {
namespace {

constexpr int kBlock = kGgmlBlock, kSuper = kGgmlSuper;

// Low nibbles are the first half of a block, high nibbles the second.
void expand(const BlockQ4_0& b, float* out) {
  const float d = b.d.value();
  for (int i = 0; i < 16; ++i) {
    out[i] = d * float(int(b.q[i] & 15) - 8);
    out[i + 16] = d * float(int(b.q[i] >> 4) - 8);
  }
}

void expand(const BlockQ4_1& b, float* out) {
  const float d = b.d.value(), m = b.m.value();
  for (int i = 0; i < 16; ++i) {
    out[i] = d * float(b.q[i] & 15) + m;
    out[i + 16] = d * float(b.q[i] >> 4) + m;
  }
}

// The fifth bits stand in one 32-bit word, bit i for element i.
uint32_t fifth_bits(const uint8_t (&high)[4]) {
  uint32_t bits;
  std::memcpy(&bits, high, sizeof(bits));
  return bits;
}

void expand(const BlockQ5_0& b, float* out) {
  const float d = b.d.value();
  const uint32_t high = fifth_bits(b.high);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * float(int((b.q[i] & 15) | ((high >> i) & 1) << 4) - 16);
    out[i + 16] = d * float(int((b.q[i] >> 4) | ((high >> (i + 16)) & 1) << 4) - 16);
  }
}

void expand(const BlockQ5_1& b, float* out) {
  const float d = b.d.value(), m = b.m.value();
  const uint32_t high = fifth_bits(b.high);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * float(int((b.q[i] & 15) | ((high >> i) & 1) << 4)) + m;
    out[i + 16] = d * float(int((b.q[i] >> 4) | ((high >> (i + 16)) & 1) << 4)) + m;
  }
}

void expand(const BlockQ8_0& b, float* out) {
  const float d = b.d.value();
  for (int i = 0; i < kBlock; ++i) out[i] = d * float(b.q[i]);
}

// Eight 6-bit scales and eight 6-bit minima in 12 bytes: the first four of each lie in the low 6 bits of bytes 0-3 and 4-7; the last four
// have their low nibbles in bytes 8-11 and their two high bits on top of bytes 0-7.
struct ScaleMin {
  int scale, min;
};
ScaleMin scale_min(const uint8_t (&s)[12], int i) {
  if (i < 4) return {s[i] & 63, s[i + 4] & 63};
  return {(s[i + 4] & 15) | (s[i - 4] >> 6) << 4, (s[i + 4] >> 4) | (s[i] >> 6) << 4};
}

// Each 32 bytes of q hold two groups of 32: low nibbles, then high ones.
void expand(const BlockQ4_K& b, float* out) {
  const float d = b.d.value(), dmin = b.dmin.value();
  for (int group = 0; group < 8; ++group, out += 32) {
    const auto [scale, min] = scale_min(b.scales, group);
    const float step = d * float(scale), offset = dmin * float(min);
    const uint8_t* q = b.q + 32 * (group / 2);
    const int shift = 4 * (group % 2);
    for (int i = 0; i < 32; ++i) out[i] = step * float((q[i] >> shift) & 15) - offset;
  }
}

// As Q4_K; bit `group` of high[i] is the fifth bit.
void expand(const BlockQ5_K& b, float* out) {
  const float d = b.d.value(), dmin = b.dmin.value();
  for (int group = 0; group < 8; ++group, out += 32) {
    const auto [scale, min] = scale_min(b.scales, group);
    const float step = d * float(scale), offset = dmin * float(min);
    const uint8_t* q = b.q + 32 * (group / 2);
    const int shift = 4 * (group % 2);
    for (int i = 0; i < 32; ++i) out[i] = step * float(((q[i] >> shift) & 15) | ((b.high[i] >> group) & 1) << 4) - offset;
  }
}

// Two halves of 128; in each, 64 bytes of low nibbles (two groups of 32, then their high nibbles) and 32 bytes with two high bits for each
// of four groups. A scale for every 16 elements.
void expand(const BlockQ6_K& b, float* out) {
  const float d = b.d.value();
  for (int group = 0; group < 8; ++group, out += 32) {
    const int half = group / 4, quarter = group % 4;
    const uint8_t* low = b.low + 64 * half + 32 * (quarter % 2);
    const uint8_t* high = b.high + 32 * half;
    const int low_shift = 4 * (quarter / 2), high_shift = 2 * quarter;
    const float step[2] = {d * float(b.scales[2 * group]), d * float(b.scales[2 * group + 1])};
    for (int i = 0; i < 32; ++i) {
      const int q = int(((low[i] >> low_shift) & 15) | ((high[i] >> high_shift) & 3) << 4) - 32;
      out[i] = step[i / 16] * float(q);
    }
  }
}

template <class Block, int kElements>
void expand_row(const std::byte* blocks, int64_t n, float* out) {
  static_assert(alignof(Block) == 1);
  const auto* block = reinterpret_cast<const Block*>(blocks);
  for (const float* end = out + n; out < end; out += kElements) expand(*block++, out);
}

}  // namespace

DequantizeRow dequantizer(GgmlType type) {
  switch (type) {
    case GgmlType::kQ4_0:
      return expand_row<BlockQ4_0, kBlock>;
    case GgmlType::kQ4_1:
      return expand_row<BlockQ4_1, kBlock>;
    case GgmlType::kQ5_0:
      return expand_row<BlockQ5_0, kBlock>;
    case GgmlType::kQ5_1:
      return expand_row<BlockQ5_1, kBlock>;
    case GgmlType::kQ8_0:
      return expand_row<BlockQ8_0, kBlock>;
    case GgmlType::kQ4_K:
      return expand_row<BlockQ4_K, kSuper>;
    case GgmlType::kQ5_K:
      return expand_row<BlockQ5_K, kSuper>;
    case GgmlType::kQ6_K:
      return expand_row<BlockQ6_K, kSuper>;
    default:
      return nullptr;
  }
}

}  // namespace r1::tensor
