// Scratch memory of the calling thread: grows, is kept for the next call, and is freed with the thread. Contents are undefined.
// A slot is one buffer; a kernel that needs several at once uses different slots. Aligned to 64 bytes.
#pragma once

#include <cstddef>

namespace r1::kernels {

inline constexpr int kScratchSlots = 8;

void* scratch_bytes(int slot, size_t bytes);
inline float* scratch(int slot, size_t floats) {
  return static_cast<float*>(scratch_bytes(slot, floats * sizeof(float)));
}

}  // namespace r1::kernels
