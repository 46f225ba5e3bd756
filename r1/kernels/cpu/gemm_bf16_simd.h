// The forward product of gemm_bf16 for one instruction set.
#pragma once

#include "r1/kernels/cpu/gemm_f32.h"
#include "r1/kernels/cpu/isa.h"

namespace r1::kernels {

// g's a and b are pairs of bf16 (strides and sum counted in pairs); narrow is the output when y is bf16, with g's strides. kDot: with the
// bf16 dot product instruction.
template <Isa, bool kDot>
void gemm_pairs_simd(const Gemm& g, uint16_t* narrow);

// The same bits: the pairs are widened as they are packed. Strides and sum are counted in bf16, of which the last may be without a partner.
template <Isa>
void gemm_split_pairs_simd(const Gemm& g, const uint16_t* a, const uint16_t* b, uint16_t* narrow);

}  // namespace r1::kernels
