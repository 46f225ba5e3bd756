#include "r1/kernels/cuda/embedding.h"

#include "r1/kernels/cuda/launch.cuh"
#include "r1/kernels/cuda/numbers.cuh"

namespace r1::kernels::cuda {

namespace {

constexpr int kThreads = 128;
constexpr int kRows = 8;  // rows of dout under way

// The block at the first of equal ids adds up their rows; kVec columns a thread.
template <class T, int kVec>
__global__ void __launch_bounds__(kThreads)
    sum_equal_ids(const T* dout, const int64_t* ids, const int64_t* order, T* dtable, int64_t tokens, int64_t dim) {
  const int64_t first = blockIdx.x, id = ids[first];
  if (first > 0 && ids[first - 1] == id) return;
  const int64_t column = (int64_t(blockIdx.y) * kThreads + threadIdx.x) * kVec;
  if (column >= dim) return;
  float sums[kVec];
#pragma unroll
  for (int i = 0; i < kVec; ++i) sums[i] = 0;
  for (int64_t t = first; t < tokens && ids[t] == id; t += kRows) {
    float rows[kRows][kVec];
    int count = 0;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (t + r >= tokens || ids[t + r] != id) break;
      load(dout + order[t + r] * dim + column, rows[r]);
      ++count;
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (r >= count) break;
#pragma unroll
      for (int i = 0; i < kVec; ++i) sums[i] += rows[r][i];
    }
  }
  store(dtable + id * dim + column, sums);
}

}  // namespace

void embedding_backward(const EmbeddingBackward& a, Stream stream) {
  if (a.tokens == 0 || a.dim == 0) return;
  const OnDevice on(stream.device);
  with_type(a.type, [&]<class T>(T*) {
    const auto* dout = static_cast<const T*>(a.dout);
    auto* dtable = static_cast<T*>(a.dtable);
    const bool wide = takes_16_bytes<T>(dout, a.dim) && takes_16_bytes<T>(dtable);
    const dim3 grid(unsigned(a.tokens), blocks_for(a.dim, kThreads * (wide ? kPer16Bytes<T> : 1)));
    const auto kernel = wide ? sum_equal_ids<T, kPer16Bytes<T>> : sum_equal_ids<T, 1>;
    kernel<<<grid, kThreads, 0, handle_of(stream)>>>(dout, a.ids, a.order, dtable, a.tokens, a.dim);
  });
  check_cuda(cudaGetLastError(), "gradient of an embedding");
}

}  // namespace r1::kernels::cuda
