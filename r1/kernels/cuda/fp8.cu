#include "r1/kernels/cuda/fp8.h"

#include <cuda_fp8.h>

#include <algorithm>

#include "r1/kernels/cuda/launch.cuh"
#include "r1/kernels/cuda/numbers.cuh"

namespace r1::kernels::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kTile = 128;         // numbers a side of a tile, bytes once they are cast
constexpr int kWords = kTile / 4;  // of a tile's row
constexpr int kSegment = 16;       // bytes of a store to by_columns: as many rows
constexpr int64_t kMostBlocks = 132 * 8;

template <class T>
__global__ void __launch_bounds__(kThreads) find_largest(const T* x, int64_t packs, float* largest) {
  __shared__ float scratch[kWarp];
  constexpr int kPack = kPer16Bytes<T>;
  float most = 0;
  bool bad = false;
  const int64_t stride = int64_t(gridDim.x) * kThreads;
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < packs; i += stride) {
    float v[kPack];
    load(x + i * kPack, v);
#pragma unroll
    for (int j = 0; j < kPack; ++j) most = fmaxf(most, fabsf(v[j])), bad |= isnan(v[j]);
  }
  if (bad) most = INFINITY;  // fmaxf passes over NaN
  most = block_max(most, scratch);
  if (threadIdx.x == 0) atomicMax(reinterpret_cast<int*>(largest), __float_as_int(most));  // of floats from 0 on, bits are in order
}

template <Fp8 kType>
constexpr float kLargest = kType == Fp8::kE4m3 ? 448.0f : 57344.0f;

template <Fp8 kType>
__device__ __forceinline__ uint32_t four_of(float a, float b, float c, float d) {
  constexpr __nv_fp8_interpretation_t kForm = kType == Fp8::kE4m3 ? __NV_E4M3 : __NV_E5M2;
  const uint32_t low = __nv_cvt_float2_to_fp8x2(make_float2(a, b), __NV_SATFINITE, kForm);
  const uint32_t high = __nv_cvt_float2_to_fp8x2(make_float2(c, d), __NV_SATFINITE, kForm);
  return low | high << 16;
}

// Where word w of a tile's row lies: segments of 16 rows begin in banks of their own, so that lanes which read a column's segments meet none
// of each other's. Pairs of words stay together.
__device__ __forceinline__ int place_of(int row, int word) {
  return row * kWords + (word ^ (row / kSegment % 8 * 4));
}

// Words a[0..3] of four rows to the words of four columns, byte by byte.
__device__ __forceinline__ void transpose_bytes(const uint32_t (&a)[4], uint32_t (&b)[4]) {
  const uint32_t low01 = __byte_perm(a[0], a[1], 0x5140), low23 = __byte_perm(a[2], a[3], 0x5140);    // r0c0 r1c0 r0c1 r1c1
  const uint32_t high01 = __byte_perm(a[0], a[1], 0x7362), high23 = __byte_perm(a[2], a[3], 0x7362);  // of columns 2 and 3
  b[0] = __byte_perm(low01, low23, 0x5410);
  b[1] = __byte_perm(low01, low23, 0x7632);
  b[2] = __byte_perm(high01, high23, 0x5410);
  b[3] = __byte_perm(high01, high23, 0x7632);
}

// A block casts a tile of kTile x kTile. Rows are written as they are read; the bytes go through shared memory to be written by columns.
template <class T, Fp8 kType>
__global__ void __launch_bounds__(kThreads)
    cast_tiles(const T* x, int64_t rows, int64_t columns, uint8_t* by_rows, uint8_t* by_columns, const float* largest, float* scale) {
  __shared__ uint32_t tile[kTile * kWords];
  constexpr int kRead = 8, kPerRow = kTile / kRead;  // numbers that a thread casts at once
  const float most = *largest;
  const float factor = most > 0 ? kLargest<kType> / most : 1.0f;  // infinity: 0, and the product is NaN where it is needed
  if (blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0) *scale = most > 0 ? most / kLargest<kType> : 1.0f;
  const int64_t row0 = int64_t(blockIdx.y) * kTile, column0 = int64_t(blockIdx.x) * kTile;
#pragma unroll
  for (int i = threadIdx.x; i < kTile * kPerRow; i += kThreads) {
    const int r = i / kPerRow, c = i % kPerRow * kRead;
    const int64_t row = row0 + r, column = column0 + c;
    if (row >= rows || column >= columns) continue;
    float v[kRead];
    if constexpr (sizeof(T) == 2) {
      load(x + row * columns + column, v);
    } else {
      float low[4], high[4];
      load(x + row * columns + column, low);
      load(x + row * columns + column + 4, high);
#pragma unroll
      for (int j = 0; j < 4; ++j) v[j] = low[j], v[j + 4] = high[j];
    }
#pragma unroll
    for (int j = 0; j < kRead; ++j) v[j] *= factor;
    const uint2 bytes = make_uint2(four_of<kType>(v[0], v[1], v[2], v[3]), four_of<kType>(v[4], v[5], v[6], v[7]));
    if (by_rows) *reinterpret_cast<uint2*>(by_rows + row * columns + column) = bytes;
    if (by_columns) *reinterpret_cast<uint2*>(tile + place_of(r, c / 4)) = bytes;
  }
  if (!by_columns) return;
  __syncthreads();
  constexpr int kSegments = kTile / kSegment;
  const int segment = threadIdx.x % kSegments, word = threadIdx.x / kSegments;  // 8 x 32
  static_assert(kSegments * kWords == kThreads);
  const int64_t row = row0 + segment * kSegment, column = column0 + word * 4;
  if (row >= rows || column >= columns) return;
  uint32_t out[4][4];  // of each column, the words of the segment
#pragma unroll
  for (int g = 0; g < 4; ++g) {
    uint32_t a[4], b[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) a[j] = tile[place_of(segment * kSegment + g * 4 + j, word)];
    transpose_bytes(a, b);
#pragma unroll
    for (int j = 0; j < 4; ++j) out[j][g] = b[j];
  }
#pragma unroll
  for (int j = 0; j < 4; ++j)
    *reinterpret_cast<uint4*>(by_columns + (column + j) * rows + row) = make_uint4(out[j][0], out[j][1], out[j][2], out[j][3]);
}

template <Fp8 kType>
void launch_cast(const Fp8Cast& a, Stream stream) {
  const dim3 grid(blocks_for(a.columns, kTile), blocks_for(a.rows, kTile));
  with_type(a.x.type, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    cast_tiles<T, kType><<<grid, kThreads, 0, handle_of(stream)>>>(static_cast<const T*>(a.x.data), a.rows, a.columns,
                                                                   static_cast<uint8_t*>(a.by_rows), static_cast<uint8_t*>(a.by_columns),
                                                                   a.largest, a.scale);
  });
}

}  // namespace

void cast_fp8(const Fp8Cast& a, Stream stream) {
  const OnDevice on(stream.device);
  check_cuda(cudaMemsetAsync(a.largest, 0, sizeof(float), handle_of(stream)), "scale of 8 bit floats");
  const int64_t count = a.rows * a.columns;
  if (count == 0) return;
  with_type(a.x.type, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const int64_t packs = count / kPer16Bytes<T>;
    const auto blocks = unsigned(std::min<int64_t>(kMostBlocks, blocks_for(packs, kThreads)));
    find_largest<T><<<blocks, kThreads, 0, handle_of(stream)>>>(static_cast<const T*>(a.x.data), packs, a.largest);
  });
  if (a.type == Fp8::kE4m3)
    launch_cast<Fp8::kE4m3>(a, stream);
  else
    launch_cast<Fp8::kE5m2>(a, stream);
  check_cuda(cudaGetLastError(), "cast to 8 bit floats");
}

}  // namespace r1::kernels::cuda
