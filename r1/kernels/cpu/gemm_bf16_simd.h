// gemm_bf16 for one instruction set. g's a and b are pairs of bf16 (strides and sum counted in pairs); narrow is the output when y is bf16.
#pragma once

#include "r1/kernels/cpu/gemm_f32.h"
#include "r1/kernels/cpu/isa.h"

namespace r1::kernels {

// kDot: with the bf16 dot product instruction.
template <Isa, bool kDot>
void gemm_bf16_simd(const Gemm& g, uint16_t* narrow, int64_t narrow_row);

}  // namespace r1::kernels
