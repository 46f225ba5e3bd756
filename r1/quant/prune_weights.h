// Single weights set to zero, in the ordinary matrices: a share of them anywhere, or two of each four neighbours of a row (2:4, the form that
// sparse products of GPUs read). All matrices of the layers, not embedding and head.
//
//   magnitude  the smallest |w|: of the whole matrix, or of each four
//   wanda      the smallest |w| |x_i|_2 of each row (or each four), x_i the inputs of column i over the calibration tokens (Sun et al., 2306.11695)
//   sparsegpt  column by column: what costs the output least goes, and the columns after it are moved to make up for it (Frantar & Alistarh,
//              2301.00774). H = X^T X in fp64, damped; columns whose input is always zero are set to zero
//
// Inputs are those of the model as pruned so far: a matrix is pruned at the moment its calibration input arrives, in one forward of all
// tokens, so what comes after sees what it will see.
#pragma once

#include <string>
#include <vector>

#include "r1/data/batch.h"
#include "r1/model/transformer.h"

namespace r1::quant {

struct SparsityOptions {
  std::string method = "wanda";  // magnitude | wanda | sparsegpt
  double share = 0.5;            // of the weights; with `of_four` two of four always
  bool of_four = false;          // 2:4
  double damping = 0.01;         // sparsegpt: of H's mean diagonal
  int64_t block = 128;           // sparsegpt: columns between two updates of the rest
};

// One matrix. `w_OI` is changed in place. `x_TI` may be undefined for magnitude.
void prune_matrix(const Tensor& w_OI, const Tensor& x_TI, const SparsityOptions& options);

struct PrunedMatrix {
  std::string name;
  double zeros = 0;  // share of its weights
  double error = 0;  // |X (W - W')^T|^2 / |X W^T|^2 on the calibration inputs; 0 where there were none
};
// Usage error that names the matrix whose columns are no multiple of four, or the layer whose inputs nobody sees (latent attention). Experts that no
// token went to go by magnitude.
std::vector<PrunedMatrix> prune_weights(model::Transformer& model, const data::Batch& calibration, const SparsityOptions& options);
void check_weights_can_go(const model::Transformer& model, const SparsityOptions& options);

}  // namespace r1::quant
