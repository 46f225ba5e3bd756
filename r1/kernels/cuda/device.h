// The door to CUDA for kernels: a stream, memory of the device, what there is. Plain C++, so that every file may include it; where the
// build has no CUDA (R1_CUDA off), CMake takes no_cuda.cc in place of the .cu files: no devices, and everything else fails by name. Errors
// of the CUDA runtime are r1::Error with its own words.
//
// What is launched runs later, in the order of its stream. Nothing here waits but synchronize(), and copies to and from memory that is not
// pinned.
#pragma once

#include <cstddef>
#include <cstdint>

namespace r1::kernels::cuda {

// Where a kernel runs: a device's number and its cudaStream_t. The default stream has the handle null.
struct Stream {
  int device = 0;
  void* handle = nullptr;
};

// Devices that can be used; 0 without a driver.
int device_count();

struct Memory {
  int64_t free = 0, total = 0;  // bytes
};
Memory memory_of(int device);

void synchronize(Stream stream);

// Memory of a device, for what has no tensor (tests, benchmarks, workspaces of kernels). Given back when it goes.
class Buffer {
 public:
  Buffer(int device, size_t bytes);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&&) = delete;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  // From and to the host, `bytes` from the buffer's start. The host's memory must stay until the stream has come that far.
  void upload(const void* from, size_t bytes, Stream stream) const;
  void download(void* to, size_t bytes, Stream stream) const;

 private:
  int device_;
  size_t bytes_;
  void* data_ = nullptr;
};

}  // namespace r1::kernels::cuda
