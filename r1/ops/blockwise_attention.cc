#include "r1/ops/blockwise_attention.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "r1/base/error.h"
#include "r1/ops/attention_impl.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

void for_each_block(int64_t tokens, int64_t block, const std::function<void(int64_t begin, int64_t end)>& f) {
  check(block > 0, "[blockwise_attention] expected blocks of at least one token, got ", block);
  for (int64_t begin = 0; begin < tokens; begin += block) f(begin, std::min(begin + block, tokens));
}

Tensor blockwise_attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                           int64_t block) {
  std::vector<Tensor> outputs;
  for_each_block(q_TNH.size(0), block, [&](int64_t begin, int64_t end) {
    const QueryChunk chunk = chunk_of(sequences, begin, end, q_TNH.device());
    const int64_t keys = end - chunk.k_begin;
    outputs.push_back(attention(q_TNH.narrow(0, begin, end - begin), k_TKH.narrow(0, chunk.k_begin, keys),
                                v_TKH.narrow(0, chunk.k_begin, keys), chunk.sequences, scale));
  });
  return aten::cat(outputs, 0);
}

Tensor block_gradients(const Tensor& q_bNH, const Tensor& k_lKH, const Tensor& v_lKH, const Sequences& sequences, double scale,
                       const std::function<Tensor(const Tensor& out_bNH)>& dout_of, const Tensor& dk_lKH, const Tensor& dv_lKH) {
  check_attention_shapes("block_gradients", q_bNH, k_lKH, v_lKH, sequences);
  check(dk_lKH.sizes() == k_lKH.sizes() && dv_lKH.sizes() == v_lKH.sizes() && !needs_grad({dk_lKH, dv_lKH}),
        "[block_gradients] expected sums of the shapes of k and v, got ", dk_lKH.sizes(), " and ", dv_lKH.sizes());
  if (has_cpu_kernels(q_bNH)) {
    const at::NoGradGuard no_grad;
    const Tensor q = q_bNH.contiguous(), k = k_lKH.contiguous(), v = v_lKH.contiguous();
    AttentionResult result{.lse_TN = aten::empty({q.size(0), q.size(1)}, q.options().dtype(at::kFloat))};
    result.out_TNH = attention_forward_cpu(q, k, v, sequences, scale, {}, result.lse_TN);
    result.dout_TNH = dout_of(result.out_TNH).contiguous();
    check(dk_lKH.is_contiguous() && dv_lKH.is_contiguous(), "[block_gradients] expected contiguous sums");
    return attention_backward_cpu(q, k, v, result, sequences, scale, {}, dk_lKH, dv_lKH, /*add=*/true);
  }
  const at::AutoGradMode with_grad(true);
  const Tensors leaves{q_bNH.detach().requires_grad_(), k_lKH.detach().requires_grad_(), v_lKH.detach().requires_grad_()};
  const Tensor out_bNH = attention(leaves[0], leaves[1], leaves[2], sequences, scale);
  const Tensors found = gradients({out_bNH}, {dout_of(out_bNH.detach())}, leaves);
  dk_lKH.add_(found[1]);
  dv_lKH.add_(found[2]);
  return found[0];
}

}  // namespace r1::ops
