#include "r1/kernels/cuda/packed_linear.cuh"

namespace r1::kernels::cuda {

PackedKernels packed_int4(PackedShift shift, int subs) {
  using enum PackedShift;
  if (shift == kNone && subs == 1) return packed_kernels<PackedCodes::kInt4, kNone, 1>();
  if (shift == kNone && subs == 2) return packed_kernels<PackedCodes::kInt4, kNone, 2>();
  if (shift == kZero && subs == 1) return packed_kernels<PackedCodes::kInt4, kZero, 1>();
  if (shift == kZero && subs == 2) return packed_kernels<PackedCodes::kInt4, kZero, 2>();
  if (shift == kOffset && subs == 2) return packed_kernels<PackedCodes::kInt4, kOffset, 2>();
  return {};
}

}  // namespace r1::kernels::cuda
