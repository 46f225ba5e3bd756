#include <utility>

#include "r1/kernels/cuda/device.h"
#include "r1/kernels/cuda/launch.cuh"

namespace r1::kernels::cuda {

int device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();  // no driver or no device is an answer, not an error
  return 0;
}

Memory memory_of(int device) {
  const OnDevice on(device);
  size_t free = 0, total = 0;
  check_cuda(cudaMemGetInfo(&free, &total), "free memory");
  return {int64_t(free), int64_t(total)};
}

void synchronize(Stream stream) {
  const OnDevice on(stream.device);
  check_cuda(cudaStreamSynchronize(handle_of(stream)), "a kernel before");
}

Buffer::Buffer(int device, size_t bytes) : device_(device), bytes_(bytes) {
  const OnDevice on(device);
  if (bytes > 0) check_cuda(cudaMalloc(&data_, bytes), "allocation");
}
Buffer::~Buffer() {
  if (data_) cudaFree(data_);
}
Buffer::Buffer(Buffer&& other) noexcept : device_(other.device_), bytes_(other.bytes_), data_(std::exchange(other.data_, nullptr)) {}

void Buffer::upload(const void* from, size_t bytes, Stream stream) const {
  check(bytes <= bytes_, "[cuda] expected up to ", bytes_, " bytes, got ", bytes);
  const OnDevice on(device_);
  check_cuda(cudaMemcpyAsync(data_, from, bytes, cudaMemcpyHostToDevice, handle_of(stream)), "upload");
}

void Buffer::download(void* to, size_t bytes, Stream stream) const {
  check(bytes <= bytes_, "[cuda] expected up to ", bytes_, " bytes, got ", bytes);
  const OnDevice on(device_);
  check_cuda(cudaMemcpyAsync(to, data_, bytes, cudaMemcpyDeviceToHost, handle_of(stream)), "download");
}

}  // namespace r1::kernels::cuda
