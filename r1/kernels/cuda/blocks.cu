#include <algorithm>

#include "r1/kernels/cuda/blocks.h"
#include "r1/kernels/cuda/launch.cuh"

namespace r1::kernels::cuda {

namespace {

// Lists travel as arguments of the kernel: no memory, no copy before it.
constexpr int kPools = 64, kCopies = 256, kThreads = 256;
struct Pools {
  BlockPool pool[kPools];
};
struct Copies {
  BlockCopy copy[kCopies];
  int count = 0;
};

// A thread owns one lane of every block of a pool and makes all copies of it in order. Copies of different lanes have nothing to do with
// each other, so no thread waits for another.
template <class Lane>
__global__ void copy_lanes(Pools pools, Copies copies) {
  const BlockPool pool = pools.pool[blockIdx.y];
  const int64_t lanes = pool.block_bytes / int64_t(sizeof(Lane));
  const int64_t lane = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (lane >= lanes) return;
  Lane* data = static_cast<Lane*>(pool.data) + lane;
  for (int i = 0; i < copies.count; ++i) data[copies.copy[i].to * lanes] = data[copies.copy[i].from * lanes];
}

template <class Lane>
bool fits(const BlockPool& pool) {
  return pool.block_bytes % int64_t(sizeof(Lane)) == 0 && reinterpret_cast<uintptr_t>(pool.data) % sizeof(Lane) == 0;
}

template <class Lane>
void launch_copy(const Pools& pools, int count, int64_t most_bytes, const Copies& copies, Stream stream) {
  const dim3 grid(blocks_for(most_bytes / int64_t(sizeof(Lane)), kThreads), unsigned(count));
  copy_lanes<Lane><<<grid, kThreads, 0, handle_of(stream)>>>(pools, copies);
  check_cuda(cudaGetLastError(), "copy of blocks");
}

__device__ int64_t place_of(const TokenPlaces& a, int64_t t) {
  int64_t low = 0, high = a.sequences - 1;  // the sequence: as many as end at or before t come before it
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (a.cu[middle + 1] <= t)
      low = middle + 1;
    else
      high = middle;
  }
  const int64_t position = t - a.cu[low] + (a.first ? a.first[low] : 0);
  return int64_t(a.table[low * a.table_width + position / a.block_size]) * a.block_size + position % a.block_size;
}

__global__ void find_places(TokenPlaces a) {
  const int64_t t = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (t < a.count) a.places[t] = place_of(a, t);
}

// A block a row.
template <class Lane>
__global__ void append(TokenPlaces a, const Lane* rows, int64_t lanes, Lane* cache) {
  const int64_t t = blockIdx.x, place = place_of(a, t);
  for (int64_t i = threadIdx.x; i < lanes; i += blockDim.x) cache[place * lanes + i] = rows[t * lanes + i];
}

}  // namespace

void copy_blocks(const BlockPool* pools, int64_t pool_count, const BlockCopy* copies, int64_t copy_count, Stream stream) {
  const OnDevice on(stream.device);
  for (int64_t c = 0; c < copy_count; c += kCopies) {
    Copies some;
    some.count = int(std::min<int64_t>(kCopies, copy_count - c));
    std::copy_n(copies + c, some.count, some.copy);
    for (int64_t p = 0; p < pool_count; p += kPools) {
      Pools few;
      const int count = int(std::min<int64_t>(kPools, pool_count - p));
      std::copy_n(pools + p, count, few.pool);
      const bool wide = std::all_of(few.pool, few.pool + count, fits<uint4>);
      int64_t most = 0;
      for (int i = 0; i < count; ++i) most = std::max(most, few.pool[i].block_bytes);
      if (most == 0) continue;
      if (wide)
        launch_copy<uint4>(few, count, most, some, stream);
      else
        launch_copy<uint8_t>(few, count, most, some, stream);
    }
  }
}

void token_places(const TokenPlaces& a, Stream stream) {
  if (a.count == 0) return;
  const OnDevice on(stream.device);
  find_places<<<blocks_for(a.count, kThreads), kThreads, 0, handle_of(stream)>>>(a);
  check_cuda(cudaGetLastError(), "places of tokens");
}

void append_rows(const TokenPlaces& a, const void* rows, int64_t row_bytes, void* cache, Stream stream) {
  if (a.count == 0) return;
  const OnDevice on(stream.device);
  check(row_bytes % 4 == 0, "[cuda] expected rows of a multiple of 4 bytes, got ", row_bytes);
  const auto launch = [&](auto* lane) {
    using Lane = std::remove_pointer_t<decltype(lane)>;
    append<<<unsigned(a.count), 64, 0, handle_of(stream)>>>(a, static_cast<const Lane*>(rows), row_bytes / int64_t(sizeof(Lane)),
                                                            static_cast<Lane*>(cache));
  };
  const bool wide = (reinterpret_cast<uintptr_t>(rows) | reinterpret_cast<uintptr_t>(cache) | uintptr_t(row_bytes)) % 16 == 0;
  if (wide)
    launch(static_cast<uint4*>(nullptr));
  else
    launch(static_cast<uint32_t*>(nullptr));
  check_cuda(cudaGetLastError(), "rows to their places");
}

}  // namespace r1::kernels::cuda
