#include "r1/engine/row_math.h"

#include <algorithm>
#include <cmath>
#include <cstring>

// One loop body for each instruction set, chosen when the program starts. Products are never contracted into fused ones, so all sets give
// the same bits.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define R1_ROW_LOOP __attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3", "fp-contract=off", "no-trapping-math")))
#else
#define R1_ROW_LOOP
#endif

namespace r1::engine {

namespace {

constexpr int kLanes = 16;
constexpr int64_t kPiece = 256;

// exp for x <= 0 to about 1 ulp of float: 2^k times a polynomial of the rest (Cephes expf). What underflows is 0.
inline __attribute__((always_inline)) float exp_negative(float x) {
  const float clipped = x > -87.0f ? x : -87.0f;
  const float k = float(int(clipped * 1.44269504088896341f - 0.5f));
  const float r = (clipped - k * 0.693359375f) - k * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const float scaled = p * __builtin_bit_cast(float, (int(k) + 127) << 23);
  return x > -87.0f ? scaled : 0.0f;
}

R1_ROW_LOOP void max_lanes(const float* z, int64_t n, float* lanes, bool* nan) {
  int bad = 0;
  for (int64_t i = 0; i + kLanes <= n; i += kLanes)
    for (int j = 0; j < kLanes; ++j) {
      lanes[j] = z[i + j] > lanes[j] ? z[i + j] : lanes[j];
      bad |= z[i + j] != z[i + j];
    }
  *nan = bad != 0;
}

R1_ROW_LOOP void weigh(const float* z, int64_t n, float max, float inverse, float* weights) {
  for (int64_t i = 0; i < n; ++i) weights[i] = exp_negative((z[i] - max) * inverse);
}

// Sums in one fixed order: sixteen lanes, then the lanes.
R1_ROW_LOOP float sum_piece(const float* w, int64_t n) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int j = 0; j < kLanes; ++j) lanes[j] += w[i + j];
  float sum = 0;
  for (; i < n; ++i) sum += w[i];
  for (int j = 0; j < kLanes; ++j) sum += lanes[j];
  return sum;
}

double sum_pieces(const float* w, int64_t n) {
  double total = 0;
  for (int64_t i = 0; i < n; i += kPiece) total += sum_piece(w + i, std::min(kPiece, n - i));
  return total;
}

}  // namespace

float row_max(const float* z, int64_t n) {
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, -INFINITY);
  bool nan = false;
  max_lanes(z, n, lanes, &nan);
  float max = *std::max_element(lanes, lanes + kLanes);
  for (int64_t i = n / kLanes * kLanes; i < n; ++i) {
    max = std::max(max, z[i]);
    nan |= std::isnan(z[i]);
  }
  return nan ? NAN : max;
}

int64_t row_argmax(const float* z, int64_t n) {
  const float max = row_max(z, n);
  return std::find(z, z + n, max) - z;
}

int64_t draw_row(const float* z, int64_t n, float max, float temperature, double u, float* weights) {
  weigh(z, n, max, 1.0f / temperature, weights);
  const double target = u * sum_pieces(weights, n);
  double before = 0;
  int64_t last = 0;
  for (int64_t i = 0; i < n; i += kPiece) {
    const int64_t m = std::min(kPiece, n - i);
    const double piece = sum_piece(weights + i, m);
    if (before + piece > target) {
      double sum = before;
      for (int64_t j = i; j < i + m; ++j) {
        if (weights[j] > 0) last = j;
        if ((sum += weights[j]) > target && weights[j] > 0) return j;
      }
    }
    before += piece;
  }
  // Rounding left the target above the sum: the last token that has any weight.
  while (last + 1 < n && std::any_of(weights + last + 1, weights + n, [](float w) { return w > 0; })) {
    last = std::find_if(weights + last + 1, weights + n, [](float w) { return w > 0; }) - weights;
  }
  return last;
}

}  // namespace r1::engine
