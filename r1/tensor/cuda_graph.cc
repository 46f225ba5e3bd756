// Compiled in builds with CUDA only; the one file outside kernels/cuda that sees its headers.
#include "r1/tensor/cuda_graph.h"

#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace r1::tensor {

struct GraphMemory::Impl {
  at::cuda::MempoolId_t pool = at::cuda::graph_pool_handle();
};
GraphMemory::GraphMemory() : impl_(new Impl) {}
GraphMemory::~GraphMemory() = default;

struct CudaGraph::Impl {
  at::cuda::CUDAGraph graph;

  // Ends a capture that has failed. The stream says so once more, and then the allocators, the device's and that of pinned memory, must be
  // told by us to go on as before.
  void abandon(at::cuda::MempoolId_t pool) {
    const auto quietly = [](auto&& f) {
      try {
        f();
        return true;
      } catch (...) {
        return false;
      }
    };
    if (!quietly([&] { graph.capture_end(); })) {
      quietly([&] { c10::cuda::CUDACachingAllocator::endAllocateToPool(c10::cuda::current_device(), pool); });
      quietly([&] { at::getHostAllocator(at::kCUDA)->end_allocate_to_pool(pool); });
    }
    cudaGetLastError();
  }
};
CudaGraph::CudaGraph() : impl_(new Impl) {}
CudaGraph::~CudaGraph() = default;

void CudaGraph::capture(at::Device device, const GraphMemory& memory, const std::function<void()>& body) {
  const c10::cuda::CUDAGuard on(device.has_index() ? device.index() : c10::cuda::current_device());
  // Nothing can be captured from the default stream. What was launched before must be done: the other stream knows nothing of it.
  c10::cuda::device_synchronize();
  const c10::cuda::CUDAStreamGuard aside(c10::cuda::getStreamFromPool(/*isHighPriority=*/false));
  // Other threads go on with what they do on this device.
  impl_->graph.capture_begin(memory.impl().pool, cudaStreamCaptureModeThreadLocal);
  try {
    body();
  } catch (...) {
    impl_->abandon(memory.impl().pool);
    throw;
  }
  impl_->graph.capture_end();
}

void CudaGraph::replay() {
  impl_->graph.replay();
}

}  // namespace r1::tensor
