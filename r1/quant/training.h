// Quantization-aware training: while a model is trained its matrices are rounded as the quantized model will have them (Jacob et al., arXiv
// 1712.05877; for language models LLM-QAT, arXiv 2305.17888). Here is the rounding, by the very grids of `r1 quantize --weight_range minmax`:
//   int4  rtn-4: groups of columns, symmetric, scales in half precision
//   int8  int8-dynamic: a scale for each row; and inputs in 8 bits, with a scale for each token
//   fp8   fp8-block: float8_e4m3 in blocks of 128 x 128
// Ranges follow the weights, anew in each step: nothing is learned beside them, so the trained weights are all that a checkpoint needs. What
// `r1 quantize` leaves in 16 bits (embedding, head, norms, biases, routers) is not rounded.
//
// Gradients pass straight through, also at the end of a range. A clipped estimator would stop those of weights beyond it; but a range that ends
// at the largest weight has none: the grid's upper end lies half a step below, so that clipping moves no weight further than rounding does
// (the same of inputs). A learned or searched range would need the clipped form.
#pragma once

#include <string>

#include "r1/model/transformer.h"
#include "r1/quant/matrix.h"

namespace r1::quant {

// What `r1 quantize` is told for a model that was trained so; `weights`: int8 | int4 | fp8, `group`: columns, of int4.
QuantizeConfig config_of_training(const std::string& weights, int64_t group);

// Turns fp32 or bf16 values [.., I] of a matrix, or of several below one another, into what quantize_matrix makes of them, in place; on any
// device. NaN stays NaN. Plans of rtn, int8-dynamic and fp8-block without a search.
void round_in_place(const Plan& plan, const Tensor& weight_OI);

// Fails (usage) for the first matrix that does not fit. From now on inputs are rounded where the plan rounds them; returns the plan.
Plan prepare_training(model::Transformer& model, const std::string& weights, int64_t group);

}  // namespace r1::quant
