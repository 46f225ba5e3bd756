#include "r1/kernels/cuda/packed_linear.cuh"

namespace r1::kernels::cuda {

std::span<const PackedEntry> packed_e4m3(PackedShift shift, int subs) {
  using enum PackedShift;
  if (shift == kNone && subs == 1) return packed_entries<PackedCodes::kE4m3, kNone, 1>();
  return {};
}

}  // namespace r1::kernels::cuda
