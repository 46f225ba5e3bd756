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

// c = a b of gemm's bits with b [sum, cols] in bf16 (dense) and c [rows, cols] rounded to bf16; sum > 0, g's own b and c are not looked at.
template <Isa>
void gemm_widened_simd(const Gemm& g, const uint16_t* b, uint16_t* c);

}  // namespace r1::kernels
