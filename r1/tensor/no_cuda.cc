// What tensor/cuda_graph.h is in a build without CUDA.
#include "r1/base/error.h"
#include "r1/tensor/cuda_graph.h"

namespace r1::tensor {

struct GraphMemory::Impl {};
GraphMemory::GraphMemory() = default;
GraphMemory::~GraphMemory() = default;

struct CudaGraph::Impl {};
CudaGraph::CudaGraph() = default;
CudaGraph::~CudaGraph() = default;
void CudaGraph::capture(at::Device, const GraphMemory&, const std::function<void()>&) {
  fail("[cuda] this build has no CUDA: configure it with -D R1_CUDA=ON (cmake --preset cuda)");
}
void CudaGraph::replay() {
  fail("[cuda] this build has no CUDA: configure it with -D R1_CUDA=ON (cmake --preset cuda)");
}

}  // namespace r1::tensor
