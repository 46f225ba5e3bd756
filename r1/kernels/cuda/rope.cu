#include "r1/kernels/cuda/rope.h"

#include <algorithm>

#include "r1/kernels/cuda/launch.cuh"
#include "r1/kernels/cuda/numbers.cuh"

namespace r1::kernels::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kHeadsTogether = 1;

// Division by a number that a launch knows, of numbers below 2^31: a product and a shift (Granlund and Montgomery, 1994).
struct Divisor {
  unsigned by, factor, shift;
  explicit Divisor(unsigned n) : by(n), shift(0) {
    while ((uint64_t{1} << shift) < n) ++shift;
    factor = unsigned(((uint64_t{1} << 32) * ((uint64_t{1} << shift) - n)) / n + 1);
  }
  __device__ __forceinline__ unsigned quotient(unsigned x) const { return (__umulhi(x, factor) + x) >> shift; }
};

template <class T>
struct Typed {
  const T* x;
  T* y;
  int64_t token_stride, head_stride;
  int heads, half;
  const int32_t* positions;
  const float *cos, *sin;
  float sign;
};

template <int kVec>
__device__ __forceinline__ void load_floats(const float* from, float (&to)[kVec]) {
  constexpr int kPart = kVec < 4 ? kVec : 4;
#pragma unroll
  for (int i = 0; i < kVec; i += kPart) {
    const auto part = *reinterpret_cast<const Pack<float, kPart>*>(from + i);
#pragma unroll
    for (int j = 0; j < kPart; ++j) to[i + j] = part.v[j];
  }
}

// A thread turns kVec pairs of up to kHeads heads of a token, which share cos and sin: `index` counts vectors of pairs, then groups of
// heads, then tokens.
template <class T, int kVec, int kHeads, bool kHalves>
__global__ void __launch_bounds__(kThreads) turn(const Typed<T> a, unsigned count, Divisor vectors, Divisor groups) {
  wait_for_launch_before();
  const unsigned index = blockIdx.x * kThreads + threadIdx.x;
  if (index >= count) return;
  const unsigned rest = vectors.quotient(index), first = (index - rest * vectors.by) * kVec;
  const unsigned token = groups.quotient(rest);
  const int head = int(rest - token * groups.by) * kHeads;
  float cos[kVec], sin[kVec], u[kHeads][kVec], v[kHeads][kVec];
  const T* x = a.x + token * a.token_stride + head * a.head_stride;
  T* y = a.y + (int64_t(token) * a.heads + head) * 2 * a.half;
#pragma unroll
  for (int n = 0; n < kHeads; ++n) {
    if (head + n >= a.heads) break;
    if constexpr (kHalves) {
      load(x + n * a.head_stride + first, u[n]);
      load(x + n * a.head_stride + a.half + first, v[n]);
    } else if constexpr (kVec == 1) {
      u[n][0] = to_float(x[n * a.head_stride + 2 * first]);
      v[n][0] = to_float(x[n * a.head_stride + 2 * first + 1]);
    } else {  // the first and the second half of the pairs
      load(x + n * a.head_stride + 2 * first, u[n]);
      load(x + n * a.head_stride + 2 * first + kVec, v[n]);
    }
  }
  const int64_t row = int64_t(a.positions[token]) * a.half + first;
  load_floats(a.cos + row, cos);
  load_floats(a.sin + row, sin);
#pragma unroll
  for (int n = 0; n < kHeads; ++n) {
    if (head + n >= a.heads) break;
    if constexpr (kHalves || kVec == 1) {
#pragma unroll
      for (int i = 0; i < kVec; ++i) {
        const float s = a.sign * sin[i], p = u[n][i], q = v[n][i];
        u[n][i] = p * cos[i] - q * s;
        v[n][i] = q * cos[i] + p * s;
      }
    } else {
#pragma unroll
      for (int i = 0; i < kVec / 2; ++i) {
        const auto turn_pair = [&](float(&pairs)[kVec], int pair) {
          const float s = a.sign * sin[pair], p = pairs[2 * i], q = pairs[2 * i + 1];
          pairs[2 * i] = p * cos[pair] - q * s;
          pairs[2 * i + 1] = q * cos[pair] + p * s;
        };
        turn_pair(u[n], i);
        turn_pair(v[n], kVec / 2 + i);
      }
    }
    T* out = y + n * 2 * a.half;
    if constexpr (kHalves) {
      store(out + first, u[n]);
      store(out + a.half + first, v[n]);
    } else if constexpr (kVec == 1) {
      out[2 * first] = from_float<T>(u[n][0]);
      out[2 * first + 1] = from_float<T>(v[n][0]);
    } else {
      store(out + 2 * first, u[n]);
      store(out + 2 * first + kVec, v[n]);
    }
  }
}

template <class T, int kHeads>
void launch_turn(const RopeInto& r, Stream stream) {
  const int64_t half = r.head_dim / 2, groups = (r.heads + kHeads - 1) / kHeads;
  constexpr int kWide = kPer16Bytes<T>;
  const bool wide = half % kWide == 0 && takes_16_bytes<T>(r.x, r.token_stride, r.head_stride) && takes_16_bytes<T>(r.y) &&
                    takes_16_bytes<float>(r.cos) && takes_16_bytes<float>(r.sin);
  const int64_t vectors = wide ? half / kWide : half;
  const int64_t most = std::max<int64_t>(1, ((int64_t{1} << 31) - kThreads) / (vectors * groups));  // tokens a launch
  for (int64_t begin = 0; begin < r.tokens; begin += most) {
    const int64_t tokens = std::min(most, r.tokens - begin);
    const Typed<T> a{static_cast<const T*>(r.x) + begin * r.token_stride,
                     static_cast<T*>(r.y) + begin * r.heads * r.head_dim,
                     r.token_stride,
                     r.head_stride,
                     int(r.heads),
                     int(half),
                     r.positions + begin,
                     r.cos,
                     r.sin,
                     r.inverse ? -1.0f : 1.0f};
    const auto count = unsigned(tokens * vectors * groups);
    const bool halves = r.layout == RopeLayout::kHalves;
    const auto kernel = wide ? (halves ? turn<T, kWide, kHeads, true> : turn<T, kWide, kHeads, false>)
                             : (halves ? turn<T, 1, kHeads, true> : turn<T, 1, kHeads, false>);
    launch(kernel, blocks_for(count, kThreads), kThreads, 0, stream, a, count, Divisor(unsigned(vectors)), Divisor(unsigned(groups)));
  }
}

}  // namespace

void rope(const RopeInto& a, Stream stream) {
  if (a.tokens == 0 || a.heads == 0 || a.head_dim == 0) return;
  const OnDevice on(stream.device);
  with_type(a.type, [&]<class T>(T*) { launch_turn<T, kHeadsTogether>(a, stream); });
}

}  // namespace r1::kernels::cuda
