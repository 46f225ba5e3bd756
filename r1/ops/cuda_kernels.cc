#include "r1/ops/cuda_kernels.h"

#include <c10/core/impl/VirtualGuardImpl.h>

namespace r1::ops {

c10::Stream current_stream(at::Device device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device);
}

kernels::cuda::Stream kernel_stream(at::Device device) {
  const c10::Stream stream = current_stream(device);
  return {.device = int(stream.device_index()), .handle = stream.native_handle()};
}

}  // namespace r1::ops
