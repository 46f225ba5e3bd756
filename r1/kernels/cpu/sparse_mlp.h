// The MLP of a few tokens of which only each token's strongest neurons are computed:
//   a = silu(gate),  the `keep` neurons of largest |a| (ties: the lower index),  y = sum over those of a (up . x) down
// and the choice alone. The product gate = w_gate x is the caller's (linear_forward, linear_forward_bf16).
//
// Contract of the bits: y is what the dense form gives that has zeros in the other neurons' places, bit for bit. fp32: linear_forward,
// swiglu and linear_in; bf16: linear_forward_bf16, swiglu and linear_in (cpu/gemm_f32.h, gemm_bf16.h, linear_in.h). An element of up is a
// chain of fmas over 256 terms at a time, an element of y likewise over the neurons, and a zero term of an fma changes nothing. bf16 rounds
// where the dense form does: the product with up, the neuron, y. A token knows nothing of the others.
//
// It costs `inner` activations and a partial sort a token besides the rows of up and of down that some token chose; down is stored [inner,
// dim] for it. Each such row is read once for eight tokens, the others never. Threads: OpenMP, over tokens, neurons and the elements of y.
#pragma once

#include <cstdint>

#include "r1/kernels/cpu/rows.h"

namespace r1::kernels {

// All dense and of one type; in bf16 `dim` must be even, x and up aligned to 4 bytes.
struct SparseMlp {
  ConstRows x;     // [rows, dim]
  ConstRows gate;  // [rows, inner], before the activation
  ConstRows up;    // [inner, dim]
  ConstRows down;  // [inner, dim]: neuron by neuron
  Rows y;          // [rows, dim]
  int64_t rows, dim, inner, keep;
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
