// The vector parts of experts.h for one instruction set: arguments are checked, strides are filled in, `threads` is decided.
#pragma once

#include "r1/kernels/cpu/experts.h"
#include "r1/kernels/cpu/isa.h"

namespace r1::kernels {

template <Isa>
void expert_scores_simd(const ExpertScores& a, int threads);
template <Isa>
void expert_scores_backward_simd(const ExpertScoresBackward& a, int threads);
template <Isa>
void combine_rows_simd(const CombineRows& a, int threads);
template <Isa>
void combine_rows_backward_simd(const CombineRowsBackward& a, int threads);

}  // namespace r1::kernels
