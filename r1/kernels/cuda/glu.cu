#include "r1/kernels/cuda/glu.h"

#include <algorithm>

#include "r1/kernels/cuda/launch.cuh"
#include "r1/kernels/cuda/numbers.cuh"

namespace r1::kernels::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostVectors = int64_t{1} << 31;  // a launch: vectors are counted in 32 bits

// f(x) = x s(x), and its slope.
struct Value {
  float gate, slope;  // s(x), f'(x)
};

__device__ __forceinline__ float sigmoid(float x) {
  return __fdividef(1.0f, 1.0f + __expf(-x));
}

constexpr float kTanhScale = 1.5957691216f, kTanhCubic = 0.044715f;  // 2 sqrt(2 / pi)

template <Activation kActivation>
__device__ __forceinline__ float gate_of(float x) {
  if constexpr (kActivation == Activation::kSilu) return sigmoid(x);
  if constexpr (kActivation == Activation::kGeluTanh) return sigmoid(kTanhScale * fmaf(kTanhCubic * x, x * x, x));
  if constexpr (kActivation == Activation::kGeluExact) return fmaf(0.5f, erff(x * 0.70710678f), 0.5f);
}

template <Activation kActivation>
__device__ __forceinline__ Value value_of(float x) {
  const float s = gate_of<kActivation>(x);
  if constexpr (kActivation == Activation::kSilu) return {s, s * fmaf(x, 1.0f - s, 1.0f)};
  if constexpr (kActivation == Activation::kGeluTanh) {
    const float du = kTanhScale * fmaf(3 * kTanhCubic * x, x, 1.0f);
    return {s, fmaf(x * du, s * (1.0f - s), s)};
  }
  if constexpr (kActivation == Activation::kGeluExact) return {s, fmaf(x * 0.39894228f, __expf(-0.5f * x * x), s)};
}

// A matrix and the distance of its rows.
template <class T>
struct Matrix {
  T* data;
  int64_t stride;
  __device__ __forceinline__ T* at(unsigned row, unsigned column) const { return data + row * stride + column; }
};

template <class T>
struct Forward {
  Matrix<const T> gate, up;
  Matrix<T> y;
};
template <class T>
struct Backward {
  Matrix<const T> gate, up, dy;
  Matrix<T> dgate, dup;
};

// A thread has the vector of this number, rows being `width` vectors wide.
#define R1_OWN_VECTOR(row, column)                            \
  const unsigned index = blockIdx.x * kThreads + threadIdx.x; \
  wait_for_launch_before();                                   \
  if (index >= vectors) return;                               \
  const unsigned row = index / width, column = (index - row * width) * kVec

template <class T, int kVec, Activation kActivation, bool kGated>
__global__ void __launch_bounds__(kThreads) activate(const Forward<T> a, unsigned vectors, unsigned width) {
  R1_OWN_VECTOR(row, column);
  float gate[kVec], up[kVec], y[kVec];
  load(a.gate.at(row, column), gate);
  if constexpr (kGated) load(a.up.at(row, column), up);
#pragma unroll
  for (int i = 0; i < kVec; ++i) {
    y[i] = gate[i] * gate_of<kActivation>(gate[i]);
    if constexpr (kGated) y[i] *= up[i];
  }
  store(a.y.at(row, column), y);
}

template <class T, int kVec, Activation kActivation, bool kGated>
__global__ void __launch_bounds__(kThreads) activate_backward(const Backward<T> a, unsigned vectors, unsigned width) {
  R1_OWN_VECTOR(row, column);
  float gate[kVec], up[kVec], dy[kVec];
  load(a.gate.at(row, column), gate);
  if constexpr (kGated) load(a.up.at(row, column), up);
  load(a.dy.at(row, column), dy);
#pragma unroll
  for (int i = 0; i < kVec; ++i) {
    const Value f = value_of<kActivation>(gate[i]);
    if constexpr (kGated) {
      const float d = dy[i] * up[i];
      up[i] = dy[i] * gate[i] * f.gate;
      dy[i] = d;
    }
    gate[i] = dy[i] * f.slope;
  }
  store(a.dgate.at(row, column), gate);
  if constexpr (kGated) store(a.dup.at(row, column), up);
}
#undef R1_OWN_VECTOR

template <class F>
void with_activation(Activation activation, bool gated, F f) {
  const auto call = [&]<Activation kActivation>() {
    if (gated)
      f.template operator()<kActivation, true>();
    else
      f.template operator()<kActivation, false>();
  };
  switch (activation) {
    case Activation::kSilu:
      return call.template operator()<Activation::kSilu>();
    case Activation::kGeluExact:
      return call.template operator()<Activation::kGeluExact>();
    case Activation::kGeluTanh:
      return call.template operator()<Activation::kGeluTanh>();
  }
}

// Calls f(first row, rows, vectors, width) for slabs of rows that a launch can count. Dense rows are one long row.
template <class F>
void for_slabs(int64_t rows, int64_t dim, int vec, F f) {
  const int64_t width = (dim + vec - 1) / vec, most = std::max<int64_t>(1, kMostVectors / width);
  check(width <= kMostVectors, "[glu] expected rows of up to ", kMostVectors, " vectors, got ", width);
  for (int64_t first = 0; first < rows; first += most) {
    const int64_t count = std::min(most, rows - first);
    f(first, unsigned(count * width), unsigned(width));
  }
}

template <class T, class R>
auto typed(const R& rows, int64_t dim) {
  using P = std::conditional_t<std::is_same_v<R, ConstRows>, const T, T>;
  return Matrix<P>{static_cast<P*>(rows.data), rows.row_stride ? rows.row_stride : dim};
}
template <class T>
Matrix<T> from_row(Matrix<T> m, int64_t row) {
  if (m.data) m.data += row * m.stride;
  return m;
}

// Whether all can be read and written 16 bytes at a time.
template <class T, class... M>
bool all_aligned(int64_t dim, const M&... matrices) {
  return (takes_16_bytes<std::remove_const_t<T>>(matrices.data, dim, matrices.stride) && ...);
}

}  // namespace

void glu(const Glu& g, Stream stream) {
  if (g.rows == 0 || g.dim == 0) return;
  const OnDevice on(stream.device);
  with_type(g.gate.type, [&]<class T>(T*) {
    const Forward<T> a{typed<T>(g.gate, g.dim), typed<T>(g.up, g.dim), typed<T>(g.y, g.dim)};
    const bool aligned = all_aligned<T>(g.dim, a.gate, a.up, a.y);
    for_slabs(g.rows, g.dim, aligned ? kPer16Bytes<T> : 1, [&](int64_t row, unsigned vectors, unsigned width) {
      const Forward<T> part{from_row(a.gate, row), from_row(a.up, row), from_row(a.y, row)};
      with_activation(g.activation, g.up.data != nullptr, [&]<Activation kActivation, bool kGated>() {
        const auto kernel = aligned ? activate<T, kPer16Bytes<T>, kActivation, kGated> : activate<T, 1, kActivation, kGated>;
        launch(kernel, blocks_for(vectors, kThreads), kThreads, 0, stream, part, vectors, width);
      });
    });
  });
}

void glu_backward(const GluBackward& g, Stream stream) {
  if (g.rows == 0 || g.dim == 0) return;
  const OnDevice on(stream.device);
  with_type(g.gate.type, [&]<class T>(T*) {
    const Backward<T> a{typed<T>(g.gate, g.dim), typed<T>(g.up, g.dim), typed<T>(g.dy, g.dim), typed<T>(g.dgate, g.dim),
                        typed<T>(g.dup, g.dim)};
    const bool aligned = all_aligned<T>(g.dim, a.gate, a.up, a.dy, a.dgate, a.dup);
    for_slabs(g.rows, g.dim, aligned ? kPer16Bytes<T> : 1, [&](int64_t row, unsigned vectors, unsigned width) {
      const Backward<T> part{from_row(a.gate, row), from_row(a.up, row), from_row(a.dy, row), from_row(a.dgate, row), from_row(a.dup, row)};
      with_activation(g.activation, g.up.data != nullptr, [&]<Activation kActivation, bool kGated>() {
        const auto kernel =
            aligned ? activate_backward<T, kPer16Bytes<T>, kActivation, kGated> : activate_backward<T, 1, kActivation, kGated>;
        launch(kernel, blocks_for(vectors, kThreads), kThreads, 0, stream, part, vectors, width);
      });
    });
  });
}

}  // namespace r1::kernels::cuda
