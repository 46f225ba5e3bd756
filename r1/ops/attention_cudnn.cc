// Sequences of one length as a batch of views, through ATen's door to cuDNN: heads of keys and values are not repeated, nothing is copied.
#include <ATen/core/grad_mode.h>
#include <ATen/detail/CUDAHooksInterface.h>

#include "r1/ops/attention_impl.h"
#include "r1/ops/autograd.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

constexpr int64_t kLengthStep = 64, kShortest = 256, kLargestHead = 128;
constexpr long kOldest = 90000;  // version of cuDNN whose attention has what is asked for here

bool has_library() {
  const auto& hooks = at::detail::getCUDAHooks();
  return hooks.compiledWithCuDNN() && hooks.versionRuntimeCuDNN() >= kOldest;
}

// [T, N, H] to [B, N, T / B, H].
Tensor by_sequence(const Tensor& x_TNH, int64_t sequences) {
  const Tensor x = x_TNH.stride(2) == 1 ? x_TNH : x_TNH.contiguous();
  return x.unflatten(0, {sequences, x.size(0) / sequences}).transpose(1, 2);
}
Tensor packed(const Tensor& x_BNTH) {
  return x_BNTH.transpose(1, 2).flatten(0, 1);
}

}  // namespace

bool has_cudnn_attention(const Tensor& q_TNH, const Tensor& v_TKH, const Sequences& s, const Window& window) {
  const bool half = q_TNH.scalar_type() == at::kBFloat16 || q_TNH.scalar_type() == at::kHalf;
  const int64_t head = q_TNH.size(2), length = s.max_seqlen;
  return half && head % 8 == 0 && head <= kLargestHead && v_TKH.size(2) == head && window.tokens == 0 && s.cu_keylens.empty() &&
         length >= kShortest && length % kLengthStep == 0 && length * s.count() == s.tokens() && has_library();
}

Tensor attention_cudnn(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& s, double scale) {
  const int64_t count = s.count(), length = s.max_seqlen;
  Tensor q, k, v, out, lse, seed, offset;
  {
    const at::NoGradGuard no_grad;
    // Always with what the backward needs: one plan for both, and the same bits.
    q = by_sequence(q_TNH, count), k = by_sequence(k_TKH, count), v = by_sequence(v_TKH, count);
    std::tie(out, lse, seed, offset) = aten::_cudnn_attention_forward(q, k, v, length, length, /*compute_log_sumexp=*/true,
                                                                      /*dropout_p=*/0, /*is_causal=*/true, scale);
  }
  const Tensor out_TNH = packed(out);
  if (!needs_grad({q_TNH, k_TKH, v_TKH})) return out_TNH;
  return differentiable("attention", out_TNH, {q_TNH, k_TKH, v_TKH}, {q_TNH, k_TKH, v_TKH, out_TNH, lse, seed, offset},
                        [count, length, scale](const Tensor& dout_TNH, const Tensors& t, const Wanted&) {
                          const auto view = [&](const Tensor& x) { return by_sequence(x, count); };
                          const auto [dq, dk, dv] = aten::_cudnn_attention_backward(
                              view(dout_TNH.contiguous()), view(t[0]), view(t[1]), view(t[2]), view(t[3]), t[4], t[5], t[6], length, length,
                              /*dropout_p=*/0, /*is_causal=*/true, scale);
                          return Tensors{packed(dq), packed(dk), packed(dv)};
                        });
}

}  // namespace r1::ops
