// gemm() for one instruction set; the sizes are checked and rows, cols > 0.
#pragma once

#include "r1/kernels/cpu/gemm_f32.h"
#include "r1/kernels/cpu/isa.h"

namespace r1::kernels {

template <Isa>
void gemm_simd(const Gemm& g);
template <>
void gemm_simd<Isa::kScalar>(const Gemm& g);
template <>
void gemm_simd<Isa::kAvx2>(const Gemm& g);
template <>
void gemm_simd<Isa::kAvx512>(const Gemm& g);

// gemm with a, b or c in bf16: the one that is not null instead of g's own, with g's strides; sum > 0.
template <Isa>
void gemm_mixed_simd(const Gemm& g, const uint16_t* a, const uint16_t* b, uint16_t* c);

}  // namespace r1::kernels
