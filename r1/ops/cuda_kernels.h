// How ops reach kernels/cuda: ATen's current stream, so that our kernels and ATen's run in order. No CUDA header: this compiles in every
// build. Not for folders above.
#pragma once

#include <c10/core/Stream.h>

#include "r1/kernels/cuda/device.h"
#include "r1/tensor/tensor.h"

namespace r1::ops {

// The stream that ATen's operators on this device use now. Fails where this build or machine has no such device.
c10::Stream current_stream(at::Device device);
kernels::cuda::Stream kernel_stream(at::Device device);

}  // namespace r1::ops
