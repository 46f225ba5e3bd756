#include "r1/kernels/cuda/packed_linear.cuh"

namespace r1::kernels::cuda {

PackedKernels packed_e4m3(PackedShift shift, int subs) {
  using enum PackedShift;
  if (shift == kNone && subs == 1) return packed_kernels<PackedCodes::kE4m3, kNone, 1>();
  return {};
}

}  // namespace r1::kernels::cuda
