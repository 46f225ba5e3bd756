// GPTQ (Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers", arXiv 2210.17323): a matrix is
// rounded column by column, and what a column loses is made up for by those that are not rounded yet, so that the product with the inputs
// of the calibration changes least.
//
// With H = sum x x^T over the inputs and U the upper Cholesky factor of (H + damping mean(diag H) 1)^-1:
//   for each column i:  e = (w_i - q(w_i)) / U_ii;  w_j -= e U_ij for all j > i
// H is exact, in fp32; columns go in blocks of 128, whose errors reach the columns behind them as one product. A column whose input was
// always 0 is set to 0.
#pragma once

#include "r1/quant/grid.h"

namespace r1::quant {

enum class ColumnOrder {
  kFile,        // as they stand
  kActivation,  // the largest inputs first (desc_act): g_idx says which group a column is of
  kGroups,      // the same within a group, and groups by their largest: g_idx stays in order, which kernels like
};

struct GptqOptions {
  GridOptions grid;
  int64_t group = 128;  // columns; a divisor of their number
  ColumnOrder order = ColumnOrder::kGroups;
  double damping = 0.01;
};

struct GptqResult {
  tensor::IntegerMatrix matrix;
  double damping = 0;  // what it took for the factor to exist; at least the option's
};

// weight_OI and gram_II (H) fp32 on the CPU. Fails (a word about damping) if H + 10 mean(diag H) has no factor still, that is, is not finite.
GptqResult gptq(const Tensor& weight_OI, const Tensor& gram_II, const GptqOptions& options);

// tr(W H W^T), the sum of the squares of all outputs, by half the products: H is symmetric, so what is below its diagonal blocks is left out and
// what is above counts twice. Who asks for many W makes the halved H once.
Tensor halved_gram(const Tensor& gram_II);
double outputs_squared(const Tensor& weight_OI, const Tensor& halved_II);

// tr((W - Q) H (W - Q)^T) / tr(W H W^T): the share of the outputs' squares that is lost.
double relative_error(const Tensor& weight_OI, const Tensor& quantized_OI, const Tensor& gram_II);

}  // namespace r1::quant
