#include "r1/kernels/cpu/packed_linear_tiles.h"

namespace r1::kernels {

template <>
void packed_super_simd<kIsa, kVnni>(const PackedLinear& a, const uint8_t* tiles, int64_t begin, int64_t end) {
  switch (a.form) {
    case BlockForm::kQ4_K:
      return run_groups<BlockForm::kQ4_K>(a, tiles, begin, end);
    case BlockForm::kQ5_K:
      return run_groups<BlockForm::kQ5_K>(a, tiles, begin, end);
    case BlockForm::kQ6_K:
      return run_groups<BlockForm::kQ6_K>(a, tiles, begin, end);
    default:
      break;
  }
}

}  // namespace r1::kernels
