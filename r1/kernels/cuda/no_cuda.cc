// What kernels/cuda is in a build without CUDA: no devices, and an error for whoever asks for more.
#include "r1/base/error.h"
#include "r1/kernels/cuda/blocks.h"
#include "r1/kernels/cuda/device.h"
#include "r1/kernels/cuda/gemv.h"
#include "r1/kernels/cuda/optimizer.h"

namespace r1::kernels::cuda {

namespace {

[[noreturn]] void refuse() {
  fail("[cuda] this build has no CUDA: configure it with -D R1_CUDA=ON (cmake --preset cuda)");
}

}  // namespace

int device_count() {
  return 0;
}
Memory memory_of(int) {
  refuse();
}
void synchronize(Stream) {
  refuse();
}

Buffer::Buffer(int device, size_t bytes) : device_(device), bytes_(bytes) {
  refuse();
}
Buffer::~Buffer() = default;
Buffer::Buffer(Buffer&& other) noexcept : device_(other.device_), bytes_(other.bytes_) {}
void Buffer::upload(const void*, size_t, Stream) const {
  refuse();
}
void Buffer::download(void*, size_t, Stream) const {
  refuse();
}

void copy_blocks(const BlockPool*, int64_t, const BlockCopy*, int64_t, Stream) {
  refuse();
}
void token_places(const TokenPlaces&, Stream) {
  refuse();
}

bool takes_gemv(const Gemv&) {
  return false;
}
void gemv(const Gemv&, Stream) {
  refuse();
}

bool takes_wide_loads(const StepRow&) {
  refuse();
}
void add_gradients(const StepTable&, Stream) {
  refuse();
}
void judge_gradients(const StepTable&, double*, const double*, double, double*, Stream) {
  refuse();
}
void adamw(const StepTable&, const AdamWStep&, const double*, Stream) {
  refuse();
}

}  // namespace r1::kernels::cuda
