// A product a head: y[t, n, o] = sum_i x[t, n, i] w[n, i, o]. What absorbed latent attention does to queries and results
// (ops/mla_attention).
//   x [T, N, I], w [N, I, O], one dtype and device; y [T, N, O] in that dtype. x and w may be views: each row of x dense, w dense in one of
//   its last two dimensions. CPU fp32: a token's result is bitwise the same whatever the other tokens and the threads. No gradient.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

Tensor head_product(const Tensor& x_TNI, const Tensor& w_NIO);
Tensor head_product_ref(const Tensor& x_TNI, const Tensor& w_NIO);

}  // namespace r1::ops
