#include "r1/kernels/cuda/gemv.h"

#include "r1/kernels/cuda/launch.cuh"
#include "r1/kernels/cuda/numbers.cuh"

namespace r1::kernels::cuda {

namespace {

constexpr int kWarps = 4;  // of a block

// A warp sums kOut outputs of all rows; `split` warps share their inputs. Lanes take 16 bytes each, so a warp reads 512 bytes of a weight's
// row at once, and kAhead such reads are under way before the first is used.
template <class T, class Y, int kRows, int kOut>
__global__ void __launch_bounds__(kWarps* kWarp) gemv_rows(Gemv a, int split, bool fetches_early) {
  constexpr int kPack = kPer16Bytes<T>, kAhead = kOut == 1 ? 4 : 2;
  using Bits = Pack<T, kPack>;
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int groups = kWarps / split, group = warp / split, part = warp % split;
  const int64_t first = (int64_t(blockIdx.x) * groups + group) * kOut;
  const int in = int(a.in), step = split * kWarp * kPack;
  const T* x = static_cast<const T*>(a.x);
  const T* row[kOut];  // of the weight; the last one stands in for those that are not there
#pragma unroll
  for (int o = 0; o < kOut; ++o) row[o] = static_cast<const T*>(a.weight) + (first + o < a.out ? first + o : a.out - 1) * in;
  float sum[kOut][kRows] = {};
  // The weight comes from memory into the L2 cache while the launch before is still at work. Nothing is read here: it might be about to be
  // written.
  for (int o = 0; fetches_early && o < kOut; ++o)
    for (int byte = (part * kWarp + lane) * 128; byte < in * int(sizeof(T)); byte += split * kWarp * 128)
      prefetch_to_l2(reinterpret_cast<const char*>(row[o]) + byte);
  wait_for_launch_before();
  for (int i = (part * kWarp + lane) * kPack; i < in; i += step * kAhead) {
    Bits w[kAhead][kOut];
#pragma unroll
    for (int u = 0; u < kAhead; ++u)
#pragma unroll
      for (int o = 0; o < kOut; ++o) w[u][o] = i + u * step < in ? load_once(reinterpret_cast<const Bits*>(row[o] + i + u * step)) : Bits{};
#pragma unroll
    for (int u = 0; u < kAhead; ++u) {
      if (i + u * step >= in) break;
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

// What was fastest on an H200 for shapes of 0.5B to 1.5B models: pairs of outputs, their inputs shared by four warps, or by two where there
// are many outputs; single outputs for a head, which has so many that nothing need be shared. Early fetching pays while the weight is small
// beside the L2 cache.
constexpr int64_t kManyOutputs = 4096, kHeadOutputs = 40'000, kSmallBytes = 20 << 20;

template <class T, class Y, int kRows>
void launch_gemv(const Gemv& a, Stream stream) {
  const bool small = a.in * a.out * int64_t(sizeof(T)) <= kSmallBytes;
  const auto launch_with = [&](auto kernel, int outs, int split) {
    while (split > 1 && a.in <= (split - 1) * kWarp * kPer16Bytes<T>) split /= 2;
    launch(kernel, dim3(blocks_for(a.out, int64_t(outs) * (kWarps / split))), kWarps * kWarp, 0, stream, a, split, small);
  };
  if (a.out >= kHeadOutputs)
    launch_with(gemv_rows<T, Y, kRows, 1>, 1, 1);
  else
    launch_with(gemv_rows<T, Y, kRows, 2>, 2, a.out >= kManyOutputs ? 2 : 4);
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
  bool takes = a.rows >= 1 && a.rows <= kGemvRows && a.in > 0 && a.in < int64_t{1} << 28 && a.out > 0 &&
               (a.y_type == a.type || a.y_type == Float::kF32);
  with_type(a.type, [&]<class T>(T*) { takes = takes && takes_16_bytes<T>(a.x, a.x_stride, a.in) && takes_16_bytes<T>(a.weight); });
  return takes;
}

void gemv(const Gemv& a, Stream stream) {
  check(takes_gemv(a), "[gemv] expected 1 to ", kGemvRows, " rows of a multiple of 16 bytes, got ", a.rows, " of ", a.in, " inputs");
  const OnDevice on(stream.device);
  with_type(a.type, [&]<class T>(T*) { a.y_type == a.type ? launch_rows<T, T>(a, stream) : launch_rows<T, float>(a, stream); });
}

}  // namespace r1::kernels::cuda
