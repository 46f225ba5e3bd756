#include "r1/kernels/cuda/softmax.h"

#include <cooperative_groups.h>

#include "r1/kernels/cuda/launch.cuh"
#include "r1/kernels/cuda/numbers.cuh"

namespace r1::kernels::cuda {

namespace {

constexpr int kThreads = 512;
constexpr int kPickThreads = 256;  // of a block that has a row for itself: many of them, so that one reads where another adds up
constexpr int kVec = 4;            // floats of a 16-byte load
constexpr int kLoads = 4;          // loads a thread has under way
constexpr int kCluster = 8;        // blocks that share a row, where it is read twice
constexpr float kLog2e = 1.4426950408889634f, kLowest = -3.0e38f;

// e^x by the unit for powers of two: 1 for 0, 0 for what is far below it. Relative error 2^-22 + 2^-24 |x|.
__device__ __forceinline__ float power(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x * kLog2e));
  return y;
}

// sum of e^(z - most) and, for the entropy, of e^(z - most) z, over the numbers met so far.
struct Running {
  float most = kLowest, sum = 0, weighted = 0;
};
__device__ __forceinline__ Running merged(const Running& a, const Running& b) {
  const float most = fmaxf(a.most, b.most), fa = power(a.most - most), fb = power(b.most - most);
  return {most, a.sum * fa + b.sum * fb, a.weighted * fa + b.weighted * fb};
}

template <bool kEntropy, int kCount>
__device__ __forceinline__ void add(Running& r, const float (&z)[kCount]) {
  float most = r.most;
#pragma unroll
  for (int i = 0; i < kCount; ++i) most = fmaxf(most, z[i]);
  const float scale = power(r.most - most);
  r.most = most;
  r.sum *= scale;
  if constexpr (kEntropy) r.weighted *= scale;
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const float e = power(z[i] - most);
    r.sum += e;
    if constexpr (kEntropy) r.weighted += e > 0 ? e * z[i] : 0.0f;  // z may be -inf
  }
}

// Numbers [begin, end) of a row, of which `thread` of `threads` takes its part; `scale` is inv_temperature. begin is a multiple of kVec; the
// row may start anywhere where kAligned is false.
template <bool kAligned, bool kEntropy>
__device__ __forceinline__ Running read_row(const float* row, int64_t begin, int64_t end, float scale, int thread, int threads) {
  Running r;
  int64_t i = begin;
  if constexpr (kAligned) {
    const int64_t step = int64_t(threads) * kVec;
    for (; i + kLoads * step <= end; i += kLoads * step) {
      float z[kLoads * kVec];
#pragma unroll
      for (int l = 0; l < kLoads; ++l) {
        float v[kVec];
        load(row + i + l * step + thread * kVec, v);
#pragma unroll
        for (int j = 0; j < kVec; ++j) z[l * kVec + j] = v[j] * scale;
      }
      add<kEntropy>(r, z);
    }
    for (; i + kVec * thread + kVec <= end; i += step) {
      float z[kVec];
      load(row + i + thread * kVec, z);
#pragma unroll
      for (int j = 0; j < kVec; ++j) z[j] *= scale;
      add<kEntropy>(r, z);
    }
    i = end - (end - begin) % kVec;  // what fills no vector
  } else {
    constexpr int kMany = kLoads * kVec;
    for (; i + kMany * threads <= end; i += kMany * threads) {
      float z[kMany];
#pragma unroll
      for (int l = 0; l < kMany; ++l) z[l] = row[i + l * threads + thread] * scale;
      add<kEntropy>(r, z);
    }
  }
  for (i += thread; i < end; i += threads) {
    const float z[1] = {row[i] * scale};
    add<kEntropy>(r, z);
  }
  return r;
}

// Over the block; every thread gets it.
template <int kBlock>
__device__ __forceinline__ Running over_block(Running r) {
  __shared__ Running scratch[kWarp];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const auto over_warp = [](Running x) {
#pragma unroll
    for (int offset = kWarp / 2; offset > 0; offset /= 2)
      x = merged(x, {__shfl_xor_sync(kAllLanes, x.most, offset), __shfl_xor_sync(kAllLanes, x.sum, offset),
                     __shfl_xor_sync(kAllLanes, x.weighted, offset)});
    return x;
  };
  r = over_warp(r);
  if (lane == 0) scratch[warp] = r;
  __syncthreads();
  r = over_warp(lane < kBlock / kWarp ? scratch[lane] : Running{});
  __syncthreads();
  return r;
}

__device__ __forceinline__ float lse_of(const Running& r) {
  return r.most + logf(r.sum);
}

template <bool kAligned, bool kEntropy>
__global__ void __launch_bounds__(kPickThreads) log_prob_rows(const LogProb a) {
  const int64_t row = blockIdx.x;
  const float* logits = a.logits + row * a.row_stride;
  const Running r =
      over_block<kPickThreads>(read_row<kAligned, kEntropy>(logits, 0, a.vocab, a.inv_temperature, threadIdx.x, kPickThreads));
  if (threadIdx.x != 0) return;
  const float lse = lse_of(r);
  if (a.lse) a.lse[row] = lse;
  if (a.logprob) {
    const int64_t target = a.targets[row];
    a.logprob[row] = target < 0 ? 0.0f : target < a.vocab ? logits[target] * a.inv_temperature - lse : NAN;
  }
  if (kEntropy && a.entropy) a.entropy[row] = lse - r.weighted / r.sum;
}

// What a row's numbers become.
struct Slope {
  float scale, lse, d;  // inv_temperature, lse, dlogprob inv_temperature
  int64_t target;
  __device__ __forceinline__ float operator()(float logit, int64_t i) const {
    return d * ((i == target ? 1.0f : 0.0f) - power(fmaf(logit, scale, -lse)));
  }
};

// Numbers [begin, end) of a row; T's vectors are as many numbers as a load of logits.
template <class T, bool kAligned>
__device__ __forceinline__ void write_gradient(const float* row, T* out, int64_t begin, int64_t end, const Slope& slope, int thread,
                                               int threads) {
  int64_t i = begin;
  if constexpr (kAligned) {
    const int64_t step = int64_t(threads) * kVec;
    for (; i + kLoads * step <= end; i += kLoads * step) {
      float v[kLoads][kVec];
#pragma unroll
      for (int l = 0; l < kLoads; ++l) load(row + i + l * step + thread * kVec, v[l]);
#pragma unroll
      for (int l = 0; l < kLoads; ++l) {
        const int64_t at = i + l * step + thread * kVec;
#pragma unroll
        for (int j = 0; j < kVec; ++j) v[l][j] = slope(v[l][j], at + j);
        store(out + at, v[l]);
      }
    }
    for (; i + kVec * thread + kVec <= end; i += step) {
      const int64_t at = i + thread * kVec;
      float v[kVec];
      load(row + at, v);
#pragma unroll
      for (int j = 0; j < kVec; ++j) v[j] = slope(v[j], at + j);
      store(out + at, v);
    }
    i = end - (end - begin) % kVec;
  }
#pragma unroll 4
  for (i += thread; i < end; i += threads) out[i] = from_float<T>(slope(row[i], i));
}

template <class T>
__device__ __forceinline__ void write_zeros(T* out, int64_t begin, int64_t end, int thread, int threads) {
  for (int64_t i = begin + thread; i < end; i += threads) out[i] = from_float<T>(0.0f);
}

// Numbers of a row that a block has: the y-th such part.
constexpr int64_t kPart = int64_t{kThreads} * kVec * kLoads * 2;

template <class T, bool kAligned>
__global__ void __launch_bounds__(kThreads) gradient_rows(const LogProbGradient a) {
  const int64_t row = blockIdx.x, begin = blockIdx.y * kPart, end = begin + kPart < a.vocab ? begin + kPart : a.vocab;
  T* out = static_cast<T*>(a.gradient.data) + row * a.gradient.row_stride;
  const int64_t target = a.targets[row];
  if (target < 0) return write_zeros(out, begin, end, threadIdx.x, kThreads);
  const Slope slope{a.inv_temperature, a.lse[row], a.dlogprob[row] * a.inv_temperature, target};
  write_gradient<T, kAligned>(a.logits + row * a.row_stride, out, begin, end, slope, threadIdx.x, kThreads);
}

// What the blocks of a cluster found, put together in the order of their ranks; `mine` is shared memory.
__device__ __forceinline__ Running over_cluster(const cooperative_groups::cluster_group& cluster, const Running& block, Running* mine) {
  if (threadIdx.x == 0) *mine = block;
  cluster.sync();
  Running r;
#pragma unroll
  for (int b = 0; b < kCluster; ++b) r = merged(r, *cluster.map_shared_rank(mine, b));
  return r;
}

// Rows of up to kCluster * kThreads * kVec * kHeld numbers stay in registers between the two passes.
template <class T, int kHeld>
__global__ void __cluster_dims__(kCluster, 1, 1) __launch_bounds__(kThreads, 2) log_prob_gradient_held(const LogProbAndGradient a) {
  __shared__ Running mine;
  const auto cluster = cooperative_groups::this_cluster();
  const int64_t row = blockIdx.x / kCluster;
  const int vocab = int(a.vocab), part = (vocab + kCluster * kVec - 1) / (kCluster * kVec) * kVec;
  const int begin = int(cluster.block_rank()) * part, end = min(begin + part, vocab), first = begin + int(threadIdx.x) * kVec;
  const float* logits = a.logits + row * a.row_stride;
  T* out = static_cast<T*>(a.gradient.data) + row * a.gradient.row_stride;
  const int64_t target = a.targets[row];
  if (target < 0) {  // the whole cluster sees the same
    if (begin == 0 && threadIdx.x == 0) a.logprob[row] = 0;
    return write_zeros(out, begin, end, threadIdx.x, kThreads);
  }
  float z[kHeld][kVec];
#pragma unroll
  for (int l = 0; l < kHeld; ++l) {
    const int at = first + l * kThreads * kVec;
    if (at + kVec <= end) {
      load(logits + at, z[l]);
    } else {
#pragma unroll
      for (int j = 0; j < kVec; ++j) z[l][j] = at + j < end ? logits[at + j] : -INFINITY;
    }
  }
  Running r;
#pragma unroll
  for (int l = 0; l < kHeld; ++l) {
#pragma unroll
    for (int j = 0; j < kVec; ++j) {
      z[l][j] *= a.inv_temperature;
      r.most = fmaxf(r.most, z[l][j]);
    }
  }
#pragma unroll
  for (int l = 0; l < kHeld; ++l) {
#pragma unroll
    for (int j = 0; j < kVec; ++j) r.sum += power(z[l][j] - r.most);
  }
  r = over_cluster(cluster, over_block<kThreads>(r), &mine);
  const float lse = lse_of(r);
  if (begin == 0 && threadIdx.x == 0) a.logprob[row] = target < vocab ? logits[target] * a.inv_temperature - lse : NAN;
  cluster.sync();  // all have read: a block may end, and what it writes may lie over the logits
  const Slope slope{1.0f, lse, a.dlogprob[row] * a.inv_temperature, target};
#pragma unroll
  for (int l = 0; l < kHeld; ++l) {
    const int at = first + l * kThreads * kVec;
#pragma unroll
    for (int j = 0; j < kVec; ++j) z[l][j] = slope(z[l][j], at + j);
    if (at + kVec <= end) {
      store(out + at, z[l]);
    } else {
#pragma unroll
      for (int j = 0; j < kVec; ++j) {
        if (at + j < end) out[at + j] = from_float<T>(z[l][j]);
      }
    }
  }
}

template <class T, bool kAligned>
__global__ void __cluster_dims__(kCluster, 1, 1) __launch_bounds__(kThreads) log_prob_gradient_rows(const LogProbAndGradient a) {
  __shared__ Running mine;
  const auto cluster = cooperative_groups::this_cluster();
  const int64_t row = blockIdx.x / kCluster;
  const int rank = int(cluster.block_rank());
  const int64_t part = (a.vocab + kCluster * kVec - 1) / (kCluster * kVec) * kVec;  // of each block
  const int64_t begin = rank * part < a.vocab ? rank * part : a.vocab, end = begin + part < a.vocab ? begin + part : a.vocab;
  const float* logits = a.logits + row * a.row_stride;
  T* out = static_cast<T*>(a.gradient.data) + row * a.gradient.row_stride;
  const int64_t target = a.targets[row];
  if (target < 0) {  // the whole cluster sees the same
    if (rank == 0 && threadIdx.x == 0) a.logprob[row] = 0;
    return write_zeros(out, begin, end, threadIdx.x, kThreads);
  }
  const Running r = over_cluster(
      cluster, over_block<kThreads>(read_row<kAligned, false>(logits, begin, end, a.inv_temperature, threadIdx.x, kThreads)), &mine);
  const float lse = lse_of(r);
  if (rank == 0 && threadIdx.x == 0) a.logprob[row] = target < a.vocab ? logits[target] * a.inv_temperature - lse : NAN;
  cluster.sync();  // all have read: a block may end, and what it writes may lie over the logits
  const Slope slope{a.inv_temperature, lse, a.dlogprob[row] * a.inv_temperature, target};
  write_gradient<T, kAligned>(logits, out, begin, end, slope, threadIdx.x, kThreads);
}

// Whether rows of logits and gradient can be read and written kVec numbers at a time.
template <class T>
bool aligned(const float* logits, int64_t stride, const void* gradient, int64_t gradient_stride) {
  return takes_16_bytes<float>(logits, stride) && reinterpret_cast<uintptr_t>(gradient) % (kVec * sizeof(T)) == 0 &&
         gradient_stride % kVec == 0;
}

}  // namespace

void log_prob(const LogProb& given, Stream stream) {
  if (given.rows == 0) return;
  const OnDevice on(stream.device);
  LogProb a = given;
  if (a.row_stride == 0) a.row_stride = a.vocab;
  const bool wide = takes_16_bytes<float>(a.logits, a.row_stride);
  const auto kernel = wide ? (a.entropy ? log_prob_rows<true, true> : log_prob_rows<true, false>)
                           : (a.entropy ? log_prob_rows<false, true> : log_prob_rows<false, false>);
  kernel<<<unsigned(a.rows), kPickThreads, 0, handle_of(stream)>>>(a);
  check_cuda(cudaGetLastError(), "log-probabilities");
}

void log_prob_gradient(const LogProbGradient& given, Stream stream) {
  if (given.rows == 0 || given.vocab == 0) return;
  const OnDevice on(stream.device);
  LogProbGradient a = given;
  if (a.row_stride == 0) a.row_stride = a.vocab;
  if (a.gradient.row_stride == 0) a.gradient.row_stride = a.vocab;
  const dim3 grid(unsigned(a.rows), blocks_for(a.vocab, kPart));
  with_type(a.gradient.type, [&]<class T>(T*) {
    const bool wide = aligned<T>(a.logits, a.row_stride, a.gradient.data, a.gradient.row_stride);
    (wide ? gradient_rows<T, true> : gradient_rows<T, false>)<<<grid, kThreads, 0, handle_of(stream)>>>(a);
  });
  check_cuda(cudaGetLastError(), "gradient of log-probabilities");
}

void log_prob_and_gradient(const LogProbAndGradient& given, Stream stream) {
  if (given.rows == 0) return;
  const OnDevice on(stream.device);
  LogProbAndGradient a = given;
  if (a.row_stride == 0) a.row_stride = a.vocab;
  if (a.gradient.row_stride == 0) a.gradient.row_stride = a.vocab;
  with_type(a.gradient.type, [&]<class T>(T*) {
    const bool wide = aligned<T>(a.logits, a.row_stride, a.gradient.data, a.gradient.row_stride);
    constexpr int64_t kOfOne = int64_t{kCluster} * kThreads * kVec;  // numbers, a vector a thread
    if (wide && a.vocab <= 10 * kOfOne) {
      const auto kernel = a.vocab <= kOfOne       ? log_prob_gradient_held<T, 1>
                          : a.vocab <= 4 * kOfOne ? log_prob_gradient_held<T, 4>
                          : a.vocab <= 8 * kOfOne ? log_prob_gradient_held<T, 8>
                                                  : log_prob_gradient_held<T, 10>;
      kernel<<<unsigned(a.rows * kCluster), kThreads, 0, handle_of(stream)>>>(a);
      return;
    }
    (wide ? log_prob_gradient_rows<T, true>
          : log_prob_gradient_rows<T, false>)<<<unsigned(a.rows * kCluster), kThreads, 0, handle_of(stream)>>>(a);
  });
  check_cuda(cudaGetLastError(), "log-probabilities and their gradient");
}

}  // namespace r1::kernels::cuda
