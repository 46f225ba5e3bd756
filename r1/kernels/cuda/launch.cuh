// What every .cu file needs: errors of the runtime, and the device that a stream belongs to.
#pragma once

#include <cuda_runtime.h>

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

}  // namespace r1::kernels::cuda
