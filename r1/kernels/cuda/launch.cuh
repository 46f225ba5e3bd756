// What every .cu file needs: errors of the runtime, and the device that a stream belongs to.
#pragma once

#include <cuda_runtime.h>

#include <utility>

#include "r1/base/error.h"
#include "r1/kernels/cuda/device.h"

namespace r1::kernels::cuda {

inline void check_cuda(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // said here, not by the next launch
  fail("[cuda] ", what, ": ", cudaGetErrorString(status));
}

inline cudaStream_t handle_of(Stream stream) {
  return static_cast<cudaStream_t>(stream.handle);
}

// Makes a device the calling thread's current one for as long as it lives.
class OnDevice {
 public:
  explicit OnDevice(int device) : device_(device) {
    check_cuda(cudaGetDevice(&before_), "current device");
    if (device != before_) check_cuda(cudaSetDevice(device), "choice of a device");
  }
  ~OnDevice() {
    if (device_ != before_) cudaSetDevice(before_);
  }
  OnDevice(const OnDevice&) = delete;

 private:
  int device_, before_ = 0;
};

// Blocks of `threads` that cover `count`.
inline unsigned blocks_for(int64_t count, int64_t threads) {
  return unsigned((count + threads - 1) / threads);
}

// A launch that may begin before what the stream has before it is done (programmatic dependent launch): the kernel must call
// wait_for_launch_before() before it reads or writes anything that others do, which all kernels launched so do. Its start then costs nothing.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, Stream stream, Arguments&&... arguments) {
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = handle_of(stream);
  config.attrs = &early;
  config.numAttrs = 1;
  check_cuda(cudaLaunchKernelEx(&config, kernel, Parameters(std::forward<Arguments>(arguments))...), "launch");
}

#ifdef __CUDACC__
// In kernels started by launch(): lets the next of them start, and waits until all that was launched before is done and can be seen.
__device__ __forceinline__ void wait_for_launch_before() {
#if __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion();
  cudaGridDependencySynchronize();
#endif
}
#endif

}  // namespace r1::kernels::cuda
