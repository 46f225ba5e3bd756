#include "r1/ops/copy_blocks.h"

#include <cstring>

#include "r1/base/error.h"
#include "r1/kernels/cuda/blocks.h"
#include "r1/ops/cuda_kernels.h"

namespace r1::ops {

namespace {

void check_copies(const std::vector<Tensor>& caches, const std::vector<kernels::BlockCopy>& copies) {
  for (const Tensor& cache : caches) {
    check(cache.dim() == 2 && cache.scalar_type() == at::kByte && cache.is_contiguous() && cache.device() == caches[0].device(),
          "[copy_blocks] expected caches of bytes [blocks, bytes] on one device, got ", cache.scalar_type(), " ", cache.sizes());
    for (const auto& [from, to] : copies)
      check(from >= 0 && from < cache.size(0) && to >= 0 && to < cache.size(0), "[copy_blocks] expected blocks below ", cache.size(0),
            ", got a copy of ", from, " to ", to);
  }
}

void copy_on_cpu(const Tensor& cache, const std::vector<kernels::BlockCopy>& copies) {
  auto* data = static_cast<uint8_t*>(cache.mutable_data_ptr());
  const int64_t bytes = cache.size(1);
  for (const auto& [from, to] : copies)
    if (from != to) std::memcpy(data + to * bytes, data + from * bytes, size_t(bytes));
}

}  // namespace

void copy_blocks(const std::vector<Tensor>& caches, const std::vector<kernels::BlockCopy>& copies) {
  if (caches.empty() || copies.empty()) return;
  check_copies(caches, copies);
  if (caches[0].is_cuda()) {
    std::vector<kernels::cuda::BlockPool> pools;
    for (const Tensor& cache : caches) pools.push_back({cache.mutable_data_ptr(), cache.size(1)});
    kernels::cuda::copy_blocks(pools.data(), int64_t(pools.size()), copies.data(), int64_t(copies.size()),
                               kernel_stream(caches[0].device()));
    return;
  }
  for (const Tensor& cache : caches) cache.is_cpu() ? copy_on_cpu(cache, copies) : copy_blocks_ref({cache}, copies);
}

void copy_blocks_ref(const std::vector<Tensor>& caches, const std::vector<kernels::BlockCopy>& copies) {
  for (const Tensor& cache : caches)
    for (const auto& [from, to] : copies) cache.select(0, to).copy_(cache.select(0, from));
}

}  // namespace r1::ops
