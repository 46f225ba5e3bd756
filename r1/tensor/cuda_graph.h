// A CUDA graph of what ATen's operators and our kernels launch: captured once, replayed with one launch. What was captured reads and writes
// the same addresses at every replay; what it allocated stays its own until the graph goes. In a build without CUDA every call fails.
#pragma once

#include <functional>
#include <memory>

#include "r1/tensor/tensor.h"

namespace r1::tensor {

// Memory that several graphs share, which is right if no two of them run at once and what one has made is used before another runs.
class GraphMemory {
 public:
  GraphMemory();
  ~GraphMemory();
  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

class CudaGraph {
 public:
  CudaGraph();
  ~CudaGraph();
  CudaGraph(const CudaGraph&) = delete;

  // Runs body() with all its launches recorded instead of made, on a stream of its own. It may not wait for the device, copy from memory
  // that is not pinned, or launch by sizes that differ from replay to replay. What it throws leaves the graph unusable.
  void capture(at::Device device, const GraphMemory& memory, const std::function<void()>& body);
  // On the device's current stream; nothing waits.
  void replay();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace r1::tensor
