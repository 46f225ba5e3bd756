// The MLP of one token of which only the strongest neurons are computed:
//   a = silu(gate),  the `keep` neurons of largest |a| (ties: the lower index),  y = sum over those of a (up . x) down
// and the choice alone. The product gate = w_gate x is the caller's (linear_forward).
//
// Contract of the bits: y is what linear_forward, swiglu and a product with zeros in the other neurons' places give (cpu/gemm_f32.h), bit
// for bit: an element of up is a chain of fmas over 256 terms at a time, an element of y likewise over the neurons, and a zero term of an
// fma changes nothing. It costs `inner` activations and a partial sort besides keep rows of up and keep rows of down, which is stored
// [inner, dim] for it: the weights of neurons that are off are not read. Threads: OpenMP, over neurons and over the elements of y.
#pragma once

#include <cstdint>

#include "r1/kernels/cpu/rows.h"

namespace r1::kernels {

struct SparseMlp {
  const float* x;     // [dim]
  const float* gate;  // [inner], before the activation
  const float* up;    // [inner, dim]
  const float* down;  // [inner, dim]: neuron by neuron
  float* y;           // [dim]
  int64_t dim, inner, keep;
};
void sparse_mlp(const SparseMlp& a);

// mask[r, i] = 1 for the `keep` largest |silu(gate[r, i])| of a row, else 0.
struct TopMask {
  ConstRows gate;  // [rows, dim]
  Rows mask;
  int64_t rows, dim, keep;
};
void top_mask(const TopMask& a);

}  // namespace r1::kernels
