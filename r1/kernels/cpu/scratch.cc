#include "r1/kernels/cpu/scratch.h"

#include <cstdlib>
#include <new>

namespace r1::kernels {
namespace {

struct Buffers {
  static constexpr size_t kCount = size_t(Scratch::kCount);
  void* data[kCount] = {};
  size_t size[kCount] = {};
  ~Buffers() {
    for (void* p : data) std::free(p);
  }
};

}  // namespace

void* scratch_bytes(Scratch buffer, size_t bytes) {
  static thread_local Buffers buffers;
  void*& data = buffers.data[size_t(buffer)];
  size_t& size = buffers.size[size_t(buffer)];
  if (size < bytes) {
    std::free(data);
    size = 0;
    const size_t rounded = (bytes + bytes / 4 + 4095) / 4096 * 4096;
    data = std::aligned_alloc(64, rounded);
    if (!data) throw std::bad_alloc();
    size = rounded;
  }
  return data;
}

}  // namespace r1::kernels
