#include "r1/kernels/cuda/norm.h"

#include <algorithm>

#include "r1/kernels/cuda/launch.cuh"
#include "r1/kernels/cuda/numbers.cuh"

namespace r1::kernels::cuda {

namespace {

// Threads of a block whose groups have kGroup threads a row.
template <int kGroup>
constexpr int kBlock = kGroup <= kWarp ? 128 : kGroup;
constexpr int kSlowBlock = 256;

// Sum over a group: part of a warp, or the block.
template <int kGroup>
__device__ __forceinline__ float group_sum(float x, float* scratch) {
  if constexpr (kGroup <= kWarp) {
#pragma unroll
    for (int offset = kGroup / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(kAllLanes, x, offset);
    return x;
  } else {
    return block_sum(x, scratch);
  }
}

template <class T>
struct Typed {
  const T *x, *delta, *weight, *bias;
  T *sum, *y;
  float *mean, *rstd;
  int64_t rows, x_stride;
  int dim;
  float eps, offset;
};

template <class T>
struct TypedBackward {
  const T *x, *weight, *dy, *dsum;
  const float *mean, *rstd;
  T* dx;
  float *dweight, *dbias;  // [blocks, dim] or none
  int64_t rows, x_stride;
  int dim;
  float offset;
};

template <class T>
using Vector = Pack<T, kPer16Bytes<T>>;

template <class T>
__device__ __forceinline__ Vector<T> vector_at(const T* from) {
  return *reinterpret_cast<const Vector<T>*>(from);
}
template <class T>
__device__ __forceinline__ Vector<T> no_vector() {
  Vector<T> v;
#pragma unroll
  for (int i = 0; i < kPer16Bytes<T>; ++i) v.v[i] = from_float<T>(0.0f);
  return v;
}

// Hides from the compiler what a vector holds, so that it unpacks it again where it is needed next instead of keeping the floats: twice the
// registers, half the warps.
template <class T>
__device__ __forceinline__ void stay_packed(Vector<T>& v) {
  auto& words = reinterpret_cast<uint4&>(v);
  asm volatile("" : "+r"(words.x), "+r"(words.y), "+r"(words.z), "+r"(words.w));
}

// The kPacks vectors of a row that a thread of its group owns: f(number of the vector, its first column).
template <int kGroup, int kPacks, int kVec, class F>
__device__ __forceinline__ void for_packs(int lane, int dim, F f) {
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int column = (p * kGroup + lane) * kVec;
    if (column < dim) f(p, column);
  }
}

template <class T, int kGroup, int kPacks, bool kCentred>
__global__ void __launch_bounds__(kBlock<kGroup>) norm_rows(const Typed<T> a) {
  wait_for_launch_before();
  constexpr int kVec = kPer16Bytes<T>, kGroups = kBlock<kGroup> / kGroup;
  __shared__ float scratch[kWarp];
  const int lane = threadIdx.x % kGroup;
  const int64_t row = int64_t(blockIdx.x) * kGroups + threadIdx.x / kGroup;
  const int dim = row < a.rows ? a.dim : 0;  // a group beyond the last row only takes part in sums
  Vector<T> x[kPacks], weight[kPacks], bias[kCentred ? kPacks : 1];
#pragma unroll
  for (int p = 0; p < kPacks; ++p) x[p] = no_vector<T>();
  for_packs<kGroup, kPacks, kVec>(lane, dim, [&](int p, int c) { x[p] = vector_at(a.x + row * a.x_stride + c); });
  if (a.delta) {
    Vector<T> delta[kPacks];
    for_packs<kGroup, kPacks, kVec>(lane, dim, [&](int p, int c) { delta[p] = vector_at(a.delta + row * a.dim + c); });
    for_packs<kGroup, kPacks, kVec>(lane, dim, [&](int p, int c) {
#pragma unroll
      for (int i = 0; i < kVec; ++i) x[p].v[i] = from_float<T>(to_float(x[p].v[i]) + to_float(delta[p].v[i]));
      *reinterpret_cast<Vector<T>*>(a.sum + row * a.dim + c) = x[p];
    });
  }
  for_packs<kGroup, kPacks, kVec>(lane, dim, [&](int p, int c) {
    weight[p] = vector_at(a.weight + c);
    if constexpr (kCentred) bias[p] = vector_at(a.bias + c);
  });
  float mean = 0;
  if constexpr (kCentred) {
    float total = 0;
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
#pragma unroll
      for (int i = 0; i < kVec; ++i) total += to_float(x[p].v[i]);
    }
    mean = group_sum<kGroup>(total, scratch) / float(a.dim);
#pragma unroll
    for (int p = 0; p < kPacks; ++p) stay_packed<T>(x[p]);
  }
  float squares = 0;
  for_packs<kGroup, kPacks, kVec>(lane, dim, [&](int p, int) {
#pragma unroll
    for (int i = 0; i < kVec; ++i) {
      const float v = to_float(x[p].v[i]) - mean;
      squares += v * v;
    }
  });
  const float rstd = 1.0f / sqrtf(group_sum<kGroup>(squares, scratch) / float(a.dim) + a.eps);
#pragma unroll
  for (int p = 0; p < kPacks; ++p) stay_packed<T>(x[p]);
  for_packs<kGroup, kPacks, kVec>(lane, dim, [&](int p, int c) {
    float y[kVec];
#pragma unroll
    for (int i = 0; i < kVec; ++i) {
      y[i] = (to_float(x[p].v[i]) - mean) * rstd * (to_float(weight[p].v[i]) + a.offset);
      if constexpr (kCentred) y[i] += to_float(bias[p].v[i]);
    }
    store(a.y + row * a.dim + c, y);
  });
  if (lane == 0 && row < a.rows) {
    if (a.rstd) a.rstd[row] = rstd;
    if (kCentred && a.mean) a.mean[row] = mean;
  }
}

// Adds up what the groups of a block hold for each column, and writes it as the block's row of `partial`.
template <int kGroup, int kPacks, int kVec>
__device__ __forceinline__ void store_sums(const float (&sums)[kPacks][kVec], float* partial, int dim) {
  constexpr int kGroups = kBlock<kGroup> / kGroup, kWidth = kGroup * kPacks * kVec;
  const int lane = threadIdx.x % kGroup;
  float* out = partial + int64_t(blockIdx.x) * dim;
  if constexpr (kGroups == 1) {
    for_packs<kGroup, kPacks, kVec>(lane, dim, [&](int p, int c) {
#pragma unroll
      for (int i = 0; i < kVec; ++i) out[c + i] = sums[p][i];
    });
  } else {
    __shared__ float all[kGroups][kWidth];
    __syncthreads();
    for_packs<kGroup, kPacks, kVec>(lane, dim, [&](int p, int c) {
#pragma unroll
      for (int i = 0; i < kVec; ++i) all[threadIdx.x / kGroup][c + i] = sums[p][i];
    });
    __syncthreads();
    for (int c = threadIdx.x; c < dim; c += kBlock<kGroup>) {
      float total = 0;
#pragma unroll
      for (int g = 0; g < kGroups; ++g) total += all[g][c];
      out[c] = total;
    }
  }
}

template <class T, int kGroup, int kPacks, bool kCentred>
__global__ void __launch_bounds__(kBlock<kGroup>) norm_rows_backward(const TypedBackward<T> a) {
  wait_for_launch_before();
  constexpr int kVec = kPer16Bytes<T>, kGroups = kBlock<kGroup> / kGroup;
  __shared__ float scratch[kWarp];
  const int lane = threadIdx.x % kGroup;
  Vector<T> weight[kPacks];
  float dweight[kPacks][kVec], dbias[kCentred ? kPacks : 1][kVec];
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    weight[p] = no_vector<T>();
#pragma unroll
    for (int i = 0; i < kVec; ++i) {
      dweight[p][i] = 0;
      if constexpr (kCentred) dbias[p][i] = 0;
    }
  }
  for_packs<kGroup, kPacks, kVec>(lane, a.dim, [&](int p, int c) { weight[p] = vector_at(a.weight + c); });
  for (int64_t first = int64_t(blockIdx.x) * kGroups; first < a.rows; first += int64_t(gridDim.x) * kGroups) {
    const int64_t row = first + threadIdx.x / kGroup;
    const int dim = row < a.rows ? a.dim : 0;
    Vector<T> x[kPacks], dy[kPacks], dsum[kPacks];
    for_packs<kGroup, kPacks, kVec>(lane, dim, [&](int p, int c) {
      x[p] = vector_at(a.x + row * a.x_stride + c);
      dy[p] = vector_at(a.dy + row * a.dim + c);
    });
    if (a.dsum) for_packs<kGroup, kPacks, kVec>(lane, dim, [&](int p, int c) { dsum[p] = vector_at(a.dsum + row * a.dim + c); });
    const float rstd = dim ? a.rstd[row] : 0.0f, mean = kCentred && dim ? a.mean[row] : 0.0f;
    float dot = 0, total = 0;
    for_packs<kGroup, kPacks, kVec>(lane, dim, [&](int p, int) {
#pragma unroll
      for (int i = 0; i < kVec; ++i) {
        const float d = to_float(dy[p].v[i]), xhat = (to_float(x[p].v[i]) - mean) * rstd, g = d * (to_float(weight[p].v[i]) + a.offset);
        dot += g * xhat;
        dweight[p][i] += d * xhat;
        if constexpr (kCentred) {
          total += g;
          dbias[p][i] += d;
        }
      }
    });
    dot = group_sum<kGroup>(dot, scratch) / float(a.dim);
    if constexpr (kCentred) total = group_sum<kGroup>(total, scratch) / float(a.dim);
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      stay_packed<T>(x[p]);
      stay_packed<T>(dy[p]);
      stay_packed<T>(weight[p]);
    }
    for_packs<kGroup, kPacks, kVec>(lane, dim, [&](int p, int c) {
      float dx[kVec];
#pragma unroll
      for (int i = 0; i < kVec; ++i) {
        const float xhat = (to_float(x[p].v[i]) - mean) * rstd, g = to_float(dy[p].v[i]) * (to_float(weight[p].v[i]) + a.offset);
        dx[i] = rstd * (g - xhat * dot - total);
        if (a.dsum) dx[i] += to_float(dsum[p].v[i]);
      }
      store(a.dx + row * a.dim + c, dx);
    });
  }
  if (a.dweight) store_sums<kGroup, kPacks, kVec>(dweight, a.dweight, a.dim);
  if constexpr (kCentred) {
    if (a.dbias) store_sums<kGroup, kPacks, kVec>(dbias, a.dbias, a.dim);
  }
}

// ---- any width: a block a row, which it reads as often as it needs it

template <class T, bool kCentred>
__global__ void __launch_bounds__(kSlowBlock) norm_long_rows(const Typed<T> a) {
  wait_for_launch_before();
  __shared__ float scratch[kWarp];
  const int64_t row = blockIdx.x;
  const T* x = a.x + row * a.x_stride;
  if (a.delta) {
    for (int c = threadIdx.x; c < a.dim; c += kSlowBlock)
      a.sum[row * a.dim + c] = from_float<T>(to_float(x[c]) + to_float(a.delta[row * a.dim + c]));
    x = a.sum + row * a.dim;  // each thread reads what it wrote
  }
  float mean = 0;
  if constexpr (kCentred) {
    float total = 0;
    for (int c = threadIdx.x; c < a.dim; c += kSlowBlock) total += to_float(x[c]);
    mean = block_sum(total, scratch) / float(a.dim);
  }
  float squares = 0;
  for (int c = threadIdx.x; c < a.dim; c += kSlowBlock) {
    const float v = to_float(x[c]) - mean;
    squares += v * v;
  }
  const float rstd = 1.0f / sqrtf(block_sum(squares, scratch) / float(a.dim) + a.eps);
  for (int c = threadIdx.x; c < a.dim; c += kSlowBlock) {
    float y = (to_float(x[c]) - mean) * rstd * (to_float(a.weight[c]) + a.offset);
    if constexpr (kCentred) y += to_float(a.bias[c]);
    a.y[row * a.dim + c] = from_float<T>(y);
  }
  if (threadIdx.x == 0) {
    if (a.rstd) a.rstd[row] = rstd;
    if (kCentred && a.mean) a.mean[row] = mean;
  }
}

template <class T, bool kCentred>
__global__ void __launch_bounds__(kSlowBlock) norm_long_rows_backward(const TypedBackward<T> a) {
  __shared__ float scratch[kWarp];
  const int64_t row = blockIdx.x;
  const T *x = a.x + row * a.x_stride, *dy = a.dy + row * a.dim;
  const float rstd = a.rstd[row], mean = kCentred ? a.mean[row] : 0.0f;
  float dot = 0, total = 0;
  for (int c = threadIdx.x; c < a.dim; c += kSlowBlock) {
    const float g = to_float(dy[c]) * (to_float(a.weight[c]) + a.offset);
    dot += g * (to_float(x[c]) - mean) * rstd;
    total += g;
  }
  dot = block_sum(dot, scratch) / float(a.dim);
  total = kCentred ? block_sum(total, scratch) / float(a.dim) : 0.0f;
  for (int c = threadIdx.x; c < a.dim; c += kSlowBlock) {
    const float g = to_float(dy[c]) * (to_float(a.weight[c]) + a.offset);
    float dx = rstd * (g - (to_float(x[c]) - mean) * rstd * dot - total);
    if (a.dsum) dx += to_float(a.dsum[row * a.dim + c]);
    a.dx[row * a.dim + c] = from_float<T>(dx);
  }
}

// ---- sums over rows

// A slice of rows a block (y), a column a thread: partial[slice][c]. xhat is (x - mean) rstd where x is given, else 1.
template <class T, bool kCentred>
__global__ void __launch_bounds__(kSlowBlock) sum_slices(const TypedBackward<T> a) {
  const int c = int(blockIdx.x) * kSlowBlock + threadIdx.x;
  if (c >= a.dim) return;
  const int64_t slice = (a.rows + gridDim.y - 1) / gridDim.y;
  const int64_t begin = blockIdx.y * slice, end = begin + slice < a.rows ? begin + slice : a.rows;
  float dweight = 0, dbias = 0;
  for (int64_t row = begin; row < end; ++row) {
    const float d = to_float(a.dy[row * a.dim + c]);
    dbias += d;
    if (a.dweight) dweight += d * (to_float(a.x[row * a.x_stride + c]) - (kCentred ? a.mean[row] : 0.0f)) * a.rstd[row];
  }
  if (a.dweight) a.dweight[int64_t(blockIdx.y) * a.dim + c] = dweight;
  if (kCentred && a.dbias) a.dbias[int64_t(blockIdx.y) * a.dim + c] = dbias;
}

// The same of x itself, vectors at a time: the block's threads stand in lines across the columns, and each line takes every so many rows.
template <class T, int kVec>
__global__ void __launch_bounds__(kSlowBlock) sum_columns(const T* x, float* partial, int64_t rows, int64_t stride, int dim) {
  constexpr int kLines = kSlowBlock / kWarp;
  const int lane = threadIdx.x % kWarp, line = threadIdx.x / kWarp, c = (int(blockIdx.x) * kWarp + lane) * kVec;
  __shared__ float all[kLines][kWarp * kVec];
  float sums[kVec];
#pragma unroll
  for (int i = 0; i < kVec; ++i) sums[i] = 0;
  if (c < dim) {
#pragma unroll 4
    for (int64_t row = int64_t(blockIdx.y) * kLines + line; row < rows; row += int64_t(gridDim.y) * kLines) {
      float v[kVec];
      load(x + row * stride + c, v);
#pragma unroll
      for (int i = 0; i < kVec; ++i) sums[i] += v[i];
    }
  }
#pragma unroll
  for (int i = 0; i < kVec; ++i) all[line][lane * kVec + i] = sums[i];
  __syncthreads();
  for (int i = threadIdx.x; i < kWarp * kVec; i += kSlowBlock) {
    const int column = int(blockIdx.x) * kWarp * kVec + i;
    if (column >= dim) break;
    float total = 0;
#pragma unroll
    for (int l = 0; l < kLines; ++l) total += all[l][i];
    partial[int64_t(blockIdx.y) * dim + column] = total;
  }
}

constexpr int kTotalLines = 32;

// out[c] = sum over b of partial[b][c]; the second set of sums is y = 1's.
template <class T>
__global__ void __launch_bounds__(kWarp* kTotalLines)
    total_columns(const float* first, T* first_out, const float* second, T* second_out, int blocks, int dim) {
  wait_for_launch_before();
  const float* partial = blockIdx.y == 0 ? first : second;
  T* out = blockIdx.y == 0 ? first_out : second_out;
  if (!out) return;
  __shared__ float all[kTotalLines][kWarp + 1];
  const int lane = threadIdx.x % kWarp, line = threadIdx.x / kWarp, c = int(blockIdx.x) * kWarp + lane;
  float total = 0;
  if (c < dim) {
#pragma unroll 8
    for (int b = line; b < blocks; b += kTotalLines) total += partial[int64_t(b) * dim + c];
  }
  all[line][lane] = total;
  __syncthreads();
  total = warp_sum(all[lane][line]);  // column `line`, its 32 lines
  const int column = int(blockIdx.x) * kWarp + line;
  if (lane == 0 && column < dim) out[column] = from_float<T>(total);
}

int processors(int device) {
  int count = 0;
  check_cuda(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device), "number of multiprocessors");
  return count;
}

// Rows of partial sums at most, whatever kernel makes them.
int64_t most_partials(Stream stream) {
  return int64_t(processors(stream.device)) * 16;
}

// Calls f with group and packs as constants, for rows of so many vectors; false: too many for registers. The backward has more to keep of
// each vector.
template <bool kBackward, bool kCentred, class F>
bool with_group(int64_t vectors, F f) {
  const auto call = [&]<int kGroup, int kPacks>() {
    f.template operator()<kGroup, kPacks>();
    return true;
  };
  if (vectors <= 8) return call.template operator()<4, 2>();
  if (vectors <= 16) return call.template operator()<8, 2>();
  if (vectors <= 32) return call.template operator()<16, 2>();
  if (vectors <= 64) return call.template operator()<32, 2>();
  if constexpr (kBackward) {
    if (vectors <= 128) return call.template operator() < kCentred ? 64 : 32, kCentred ? 2 : 4 > ();
    if (vectors <= 192) return call.template operator() < kCentred ? 96 : 64, kCentred ? 2 : 3 > ();
    if (vectors <= 256) return call.template operator()<128, 2>();
    if (vectors <= 512) return call.template operator()<256, 2>();
    if (vectors <= 1024) return call.template operator()<512, 2>();
  } else {
    if (vectors <= 96) return call.template operator()<32, 3>();
    if (vectors <= 128) return call.template operator()<32, 4>();
    if (vectors <= 192) return call.template operator()<64, 3>();
    if (vectors <= 256) return call.template operator()<64, 4>();
    if (vectors <= 512) return call.template operator()<128, 4>();
    if (vectors <= 1024) return call.template operator()<256, 4>();
  }
  return vectors <= 2048 && call.template operator()<512, 4>();
}

template <class T, bool kCentred>
void launch_norm(const Norm& n, Stream stream) {
  const Typed<T> a{static_cast<const T*>(n.x),
                   static_cast<const T*>(n.delta),
                   static_cast<const T*>(n.weight),
                   static_cast<const T*>(n.bias),
                   static_cast<T*>(n.sum),
                   static_cast<T*>(n.y),
                   n.mean,
                   n.rstd,
                   n.rows,
                   n.x_stride ? n.x_stride : n.dim,
                   int(n.dim),
                   n.eps,
                   n.offset};
  const bool aligned = takes_16_bytes<T>(a.x, a.dim, a.x_stride) && takes_16_bytes<T>(a.delta) && takes_16_bytes<T>(a.weight) &&
                       takes_16_bytes<T>(a.bias) && takes_16_bytes<T>(a.sum) && takes_16_bytes<T>(a.y);
  const auto launch_group = [&]<int kGroup, int kPacks>() {
    launch(norm_rows<T, kGroup, kPacks, kCentred>, blocks_for(n.rows, kBlock<kGroup> / kGroup), kBlock<kGroup>, 0, stream, a);
  };
  if (!aligned || !with_group<false, kCentred>(n.dim / kPer16Bytes<T>, launch_group))
    norm_long_rows<T, kCentred><<<unsigned(n.rows), kSlowBlock, 0, handle_of(stream)>>>(a);
  check_cuda(cudaGetLastError(), "norm of rows");
}

template <class T>
void launch_totals(const float* first, void* first_out, const float* second, void* second_out, int64_t blocks, int64_t dim, Stream stream) {
  const dim3 grid(blocks_for(dim, kWarp), second_out ? 2 : 1);
  launch(total_columns<T>, grid, kWarp * kTotalLines, 0, stream, first, static_cast<T*>(first_out), second, static_cast<T*>(second_out),
         int(blocks), int(dim));
}

template <class T, bool kCentred>
void launch_backward(const NormBackward& n, Stream stream) {
  const int64_t most = most_partials(stream);
  TypedBackward<T> a{static_cast<const T*>(n.x),
                     static_cast<const T*>(n.weight),
                     static_cast<const T*>(n.dy),
                     static_cast<const T*>(n.dsum),
                     n.mean,
                     n.rstd,
                     static_cast<T*>(n.dx),
                     n.dweight ? n.partial : nullptr,
                     n.dbias ? n.partial + most * n.dim : nullptr,
                     n.rows,
                     n.x_stride ? n.x_stride : n.dim,
                     int(n.dim),
                     n.offset};
  const bool aligned = takes_16_bytes<T>(a.x, a.dim, a.x_stride) && takes_16_bytes<T>(a.weight) && takes_16_bytes<T>(a.dy) &&
                       takes_16_bytes<T>(a.dsum) && takes_16_bytes<T>(a.dx);
  int64_t blocks = 0;  // rows of partial sums
  const auto launch_group = [&]<int kGroup, int kPacks>() {
    const auto kernel = norm_rows_backward<T, kGroup, kPacks, kCentred>;
    int at_once = 0;  // blocks of a multiprocessor: all are at work together and each has as many rows
    check_cuda(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&at_once, kernel, kBlock<kGroup>, 0), "room for blocks");
    blocks =
        std::min({int64_t(blocks_for(n.rows, kBlock<kGroup> / kGroup)), most, int64_t(processors(stream.device)) * std::max(1, at_once)});
    launch(kernel, unsigned(blocks), kBlock<kGroup>, 0, stream, a);
  };
  if (!aligned || !with_group<true, kCentred>(n.dim / kPer16Bytes<T>, launch_group)) {
    if (a.dweight || a.dbias) {  // first: dx may lie over dy
      blocks = std::min<int64_t>(n.rows, most);
      sum_slices<T, kCentred><<<dim3(blocks_for(n.dim, kSlowBlock), unsigned(blocks)), kSlowBlock, 0, handle_of(stream)>>>(a);
      check_cuda(cudaGetLastError(), "sums of a norm's gradients");
    }
    norm_long_rows_backward<T, kCentred><<<unsigned(n.rows), kSlowBlock, 0, handle_of(stream)>>>(a);
  }
  check_cuda(cudaGetLastError(), "backward of a norm");
  if (a.dweight || a.dbias) launch_totals<T>(a.dweight, n.dweight, a.dbias, n.dbias, blocks, n.dim, stream);
}

template <class T>
void launch_column_sums(const ColumnSums& s, Stream stream) {
  const auto* x = static_cast<const T*>(s.x);
  const int64_t stride = s.x_stride ? s.x_stride : s.dim;
  constexpr int kVec = kPer16Bytes<T>, kLines = kSlowBlock / kWarp;
  const bool aligned = takes_16_bytes<T>(x, s.dim, stride);
  const unsigned across = blocks_for(s.dim, kWarp * (aligned ? kVec : 1));
  // About eight blocks a multiprocessor.
  const int64_t slices =
      std::clamp<int64_t>(int64_t(processors(stream.device)) * 8 / across, 1,
                          std::min<int64_t>(most_partials(stream), std::max<int64_t>(1, (s.rows + kLines - 1) / kLines)));
  const dim3 grid(across, unsigned(slices));
  if (aligned)
    sum_columns<T, kVec><<<grid, kSlowBlock, 0, handle_of(stream)>>>(x, s.partial, s.rows, stride, int(s.dim));
  else
    sum_columns<T, 1><<<grid, kSlowBlock, 0, handle_of(stream)>>>(x, s.partial, s.rows, stride, int(s.dim));
  check_cuda(cudaGetLastError(), "sums of columns");
  launch_totals<T>(s.partial, s.out, nullptr, nullptr, slices, s.dim, stream);
}

}  // namespace

void norm(const Norm& a, Stream stream) {
  if (a.rows == 0 || a.dim == 0) return;
  const OnDevice on(stream.device);
  with_type(a.type, [&]<class T>(T*) {
    if (a.kind == NormKind::kRms)
      launch_norm<T, false>(a, stream);
    else
      launch_norm<T, true>(a, stream);
  });
}

int64_t norm_partials(int64_t, int64_t dim, Stream stream) {
  return 2 * most_partials(stream) * dim;
}

void norm_backward(const NormBackward& a, Stream stream) {
  if (a.dim == 0) return;
  const OnDevice on(stream.device);
  with_type(a.type, [&]<class T>(T*) {
    if (a.rows == 0) {
      launch_totals<T>(a.partial, a.dweight, a.partial, a.dbias, 0, a.dim, stream);
    } else if (a.kind == NormKind::kRms) {
      launch_backward<T, false>(a, stream);
    } else {
      launch_backward<T, true>(a, stream);
    }
  });
}

void column_sums(const ColumnSums& a, Stream stream) {
  if (a.dim == 0) return;
  const OnDevice on(stream.device);
  with_type(a.type, [&]<class T>(T*) { launch_column_sums<T>(a, stream); });
}

}  // namespace r1::kernels::cuda
