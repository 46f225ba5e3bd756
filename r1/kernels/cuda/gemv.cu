#include "r1/kernels/cuda/gemv.h"

#include <algorithm>

#include "r1/kernels/cuda/launch.cuh"
#include "r1/kernels/cuda/numbers.cuh"

namespace r1::kernels::cuda {

namespace {

constexpr int kWarps = 4;  // of a block

// A warp sums kOut outputs of all rows; `split` warps share their inputs. Lanes take 16 bytes each, so a warp reads 512 bytes of a weight's
// row at once, and kAhead such reads are under way before the first is used.
template <class T, class Y, int kRows, int kOut>
__global__ void __launch_bounds__(kWarps* kWarp) gemv_rows(Gemv a, int split) {
  constexpr int kPack = kPer16Bytes<T>, kAhead = kOut == 1 ? 4 : 2;
  using Bits = Pack<T, kPack>;
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int groups = kWarps / split, group = warp / split, part = warp % split;
  const int64_t first = (int64_t(blockIdx.x) * groups + group) * kOut;
  const T* weight = static_cast<const T*>(a.weight);
  const T* x = static_cast<const T*>(a.x);
  const int64_t step = int64_t(split) * kWarp * kPack;
  float sum[kOut][kRows] = {};
  // The weight comes from memory into the L2 cache while the launch before is still at work. Nothing is read here: it might be about to be
  // written.
  for (int o = 0; o < kOut && first + o < a.out; ++o)
    for (int64_t byte = (int64_t(part) * kWarp + lane) * 128; byte < a.in * int64_t(sizeof(T)); byte += int64_t(split) * kWarp * 128)
      prefetch_to_l2(reinterpret_cast<const char*>(weight + (first + o) * a.in) + byte);
  wait_for_launch_before();
  for (int64_t i = (int64_t(part) * kWarp + lane) * kPack; i < a.in; i += step * kAhead) {
    Bits w[kAhead][kOut];
#pragma unroll
    for (int u = 0; u < kAhead; ++u)
#pragma unroll
      for (int o = 0; o < kOut; ++o)
        if (i + u * step < a.in && first + o < a.out)
          w[u][o] = load_once(reinterpret_cast<const Bits*>(weight + (first + o) * a.in + i + u * step));
        else
          w[u][o] = Bits{};
#pragma unroll
    for (int u = 0; u < kAhead; ++u) {
      if (i + u * step >= a.in) break;
#pragma unroll
      for (int m = 0; m < kRows; ++m) {
        float xs[kPack];
        load<T, kPack>(x + m * a.x_stride + i + u * step, xs);
#pragma unroll
        for (int o = 0; o < kOut; ++o)
#pragma unroll
          for (int p = 0; p < kPack; ++p) sum[o][m] = fmaf(to_float(w[u][o].v[p]), xs[p], sum[o][m]);
      }
    }
  }
  __shared__ float parts[kWarps][kOut][kRows];
#pragma unroll
  for (int o = 0; o < kOut; ++o)
#pragma unroll
    for (int m = 0; m < kRows; ++m) {
      sum[o][m] = warp_sum(sum[o][m]);
      if (lane == 0) parts[warp][o][m] = sum[o][m];
    }
  __syncthreads();
  const int index = threadIdx.x;
  if (index >= groups * kOut * kRows) return;
  const int g = index / (kOut * kRows), o = index / kRows % kOut, m = index % kRows;
  const int64_t out = (int64_t(blockIdx.x) * groups + g) * kOut + o;
  if (out >= a.out) return;
  float total = 0;
  for (int p = 0; p < split; ++p) total += parts[g * split + p][o][m];
  if (a.bias) total += to_float(static_cast<const T*>(a.bias)[out]);
  static_cast<Y*>(a.y)[m * a.out + out] = from_float<Y>(total);
}

// Enough warps to keep the memory busy: as many as 12 of each of a large device's multiprocessors.
constexpr int64_t kBusyWarps = 132 * 12;

template <class T, class Y, int kRows>
void launch_gemv(const Gemv& a, Stream stream) {
  const auto launch_with = [&](auto kernel, int outs) {
    int split = 1;
    while (split < kWarps && (a.out + outs - 1) / outs * split < kBusyWarps && a.in > split * kWarp * kPer16Bytes<T>) split *= 2;
    launch(kernel, dim3(blocks_for(a.out, int64_t(outs) * (kWarps / split))), kWarps * kWarp, 0, stream, a, split);
  };
  if (a.out >= 4 * kBusyWarps)
    launch_with(gemv_rows<T, Y, kRows, 4>, 4);
  else if (a.out >= 2 * kBusyWarps)
    launch_with(gemv_rows<T, Y, kRows, 2>, 2);
  else
    launch_with(gemv_rows<T, Y, kRows, 1>, 1);
  check_cuda(cudaGetLastError(), "product of a few rows");
}

template <class T, class Y>
void launch_rows(const Gemv& a, Stream stream) {
  switch (a.rows) {
    case 1:
      return launch_gemv<T, Y, 1>(a, stream);
    case 2:
      return launch_gemv<T, Y, 2>(a, stream);
    case 3:
      return launch_gemv<T, Y, 3>(a, stream);
    default:
      return launch_gemv<T, Y, 4>(a, stream);
  }
}

}  // namespace

bool takes_gemv(const Gemv& a) {
  bool takes = a.rows >= 1 && a.rows <= kGemvRows && a.in > 0 && a.out > 0 && (a.y_type == a.type || a.y_type == Float::kF32);
  with_type(a.type, [&]<class T>(T*) { takes = takes && takes_16_bytes<T>(a.x, a.x_stride, a.in) && takes_16_bytes<T>(a.weight); });
  return takes;
}

void gemv(const Gemv& a, Stream stream) {
  check(takes_gemv(a), "[gemv] expected 1 to ", kGemvRows, " rows of a multiple of 16 bytes, got ", a.rows, " of ", a.in, " inputs");
  const OnDevice on(stream.device);
  with_type(a.type, [&]<class T>(T*) { a.y_type == a.type ? launch_rows<T, T>(a, stream) : launch_rows<T, float>(a, stream); });
}

}  // namespace r1::kernels::cuda
