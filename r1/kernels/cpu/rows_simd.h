// The kernels on rows for one instruction set: arguments are checked, strides are filled in, `threads` is decided. Each set's object
// defines its own specialisation.
#pragma once

#include "r1/kernels/cpu/gelu.h"
#include "r1/kernels/cpu/isa.h"
#include "r1/kernels/cpu/layer_norm.h"
#include "r1/kernels/cpu/norm.h"
#include "r1/kernels/cpu/optimizer.h"
#include "r1/kernels/cpu/rope.h"
#include "r1/kernels/cpu/softmax.h"
#include "r1/kernels/cpu/swiglu.h"

namespace r1::kernels {

template <Isa>
void rms_norm_simd(const RmsNorm& a, int threads);
template <Isa>
void rms_norm_backward_simd(const RmsNormBackward& a, int threads);
template <Isa>
void layer_norm_simd(const LayerNorm& a, int threads);
template <Isa>
void layer_norm_backward_simd(const LayerNormBackward& a, int threads);
template <Isa>
void geglu_simd(const GeGlu& a, int threads);
template <Isa>
void geglu_backward_simd(const GeGluBackward& a, int threads);
template <Isa>
void rope_simd(const Rope& a, int threads);
template <Isa>
void swiglu_simd(const SwiGlu& a, int threads);
template <Isa>
void swiglu_backward_simd(const SwiGluBackward& a, int threads);
template <Isa>
void log_prob_simd(const LogProb& a, int threads);
template <Isa>
void log_prob_backward_simd(const LogProbBackward& a, int threads);
template <Isa>
void adamw_simd(const AdamW& a, int threads);
template <Isa>
void sum_of_squares_simd(const void* x, Float type, int64_t n, double* chunk_sums, int threads);
template <Isa>
void add_scaled_simd(float* y, const float* x, float scale, int64_t n, int threads);

inline constexpr int64_t kSquaresChunk = 16384;  // part of sum_of_squares' contract

}  // namespace r1::kernels
