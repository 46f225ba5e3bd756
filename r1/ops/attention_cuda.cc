// Through ATen: flash attention over packed sequences for 16 bit types. Keys of a paged forward are gathered into one packed row first, by
// slots that were made on the device from the block tables.
#include <ATen/core/grad_mode.h>

#include <optional>

#include "r1/base/error.h"
#include "r1/ops/attention_impl.h"
#include "r1/ops/autograd.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// ATen's flash kernels: 16 bit, head size a multiple of 8 up to 256.
bool has_flash(const Tensor& q_TNH) {
  const bool half = q_TNH.scalar_type() == at::kBFloat16 || q_TNH.scalar_type() == at::kHalf;
  return half && q_TNH.size(2) % 8 == 0 && q_TNH.size(2) <= 256;
}

// Flash attention's window is of one size for all queries; ATen counts the keys left of the query.
bool has_flash_window(const Window& window) {
  return window.grows_to <= window.tokens;
}
std::optional<int64_t> left_of(const Window& window) {
  return window.tokens > 0 ? std::optional<int64_t>(window.tokens - 1) : std::nullopt;
}
std::optional<int64_t> right_of(const Window& window) {
  return window.tokens > 0 ? std::optional<int64_t>(0) : std::nullopt;
}

struct KeyLengths {
  Tensor cu_dev;
  int64_t max;
};

struct Flash {
  Tensor out, lse, rng_state, unused;
};

// Keys beyond the queries lie in front of them (ATen aligns the causal mask at the lower right corner).
Flash flash_forward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& cu_q, const Tensor& cu_k, int64_t max_q, int64_t max_k,
                    double scale, const Window& window) {
  auto [out, lse, rng_state, unused, mask] =
      aten::_flash_attention_forward(q, k, v, cu_q, cu_k, max_q, max_k, /*dropout_p=*/0,
                                     /*is_causal=*/true, /*return_debug_mask=*/false, scale, left_of(window), right_of(window));
  return {out, lse, rng_state, unused};
}

// The definition on the gathered keys: one masked product per sequence is what attention_ref does; here the paged form is brought into its
// shape.
Tensor paged_plain(const Tensor& q_TNH, const Tensor& k_LKH, const Tensor& v_LKH, const Sequences& s, double scale, const Window& window) {
  // Queries are padded in front so that every sequence has as many queries as keys; the padding's results are dropped.
  std::vector<int32_t> cu_keys{0};
  std::vector<Tensor> queries, kept;
  for (int64_t i = 0; i < s.count(); ++i) {
    const int64_t begin = s.cu_seqlens[i], count = s.cu_seqlens[i + 1] - begin, context = s.context_lens[i];
    queries.push_back(q_TNH.new_zeros({context, q_TNH.size(1), q_TNH.size(2)}));
    queries.push_back(q_TNH.narrow(0, begin, count));
    cu_keys.push_back(int32_t(cu_keys.back() + context + count));
  }
  Sequences all;
  all.cu_seqlens = cu_keys;
  const Tensor out_LNH = attention_ref(aten::cat(queries, 0), k_LKH, v_LKH, all, scale, window);
  for (int64_t i = 0; i < s.count(); ++i) {
    const int64_t count = s.cu_seqlens[i + 1] - s.cu_seqlens[i];
    kept.push_back(out_LNH.narrow(0, cu_keys[i + 1] - count, count));
  }
  return aten::cat(kept, 0);
}

}  // namespace

Tensor attention_cuda(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& s, double scale,
                      const Window& window) {
  if (has_cudnn_attention(q_TNH, v_TKH, s, window)) return attention_cudnn(q_TNH, k_TKH, v_TKH, s, scale);
  if (!has_flash(q_TNH) || !has_flash_window(window)) return attention_ref(q_TNH, k_TKH, v_TKH, s, scale, window);
  const KeyLengths keys = s.cu_keylens.empty() ? KeyLengths{s.cu_seqlens_dev, s.max_seqlen} : KeyLengths{s.cu_keylens_dev, s.max_keylen};
  Flash f;
  {
    const at::NoGradGuard no_grad;
    f = flash_forward(q_TNH, k_TKH, v_TKH, s.cu_seqlens_dev, keys.cu_dev, s.max_seqlen, keys.max, scale, window);
  }
  if (!needs_grad({q_TNH, k_TKH, v_TKH})) return f.out;
  const Tensor cu = s.cu_seqlens_dev;
  const int64_t max = s.max_seqlen;
  return differentiable("attention", f.out, {q_TNH, k_TKH, v_TKH}, {q_TNH, k_TKH, v_TKH, f.out, f.lse, f.rng_state, f.unused},
                        [cu, max, keys, scale, window](const Tensor& dout, const Tensors& t, const Wanted&) {
                          auto [dq, dk, dv] = aten::_flash_attention_backward(
                              dout.contiguous(), t[0], t[1], t[2], t[3], t[4], cu, keys.cu_dev, max, keys.max,
                              /*dropout_p=*/0, /*is_causal=*/true, t[5], t[6], scale, left_of(window), right_of(window));
                          return Tensors{dq, dk, dv};
                        });
}

Tensor paged_attention_cuda(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& s,
                            double scale, const Window& window) {
  const Tensor slots_PKH = cache.view(k_TKH.scalar_type()).view({-1, k_TKH.size(1), k_TKH.size(2)});
  slots_PKH.index_copy_(0, s.new_k_slots_T, k_TKH);
  slots_PKH.index_copy_(0, s.new_v_slots_T, v_TKH);
  const Tensor k_LKH = slots_PKH.index_select(0, s.k_slots_L), v_LKH = slots_PKH.index_select(0, s.v_slots_L);
  if (!has_flash(q_TNH) || !has_flash_window(window)) return paged_plain(q_TNH, k_LKH, v_LKH, s, scale, window);
  return flash_forward(q_TNH, k_LKH, v_LKH, s.cu_seqlens_dev, s.cu_keylens_dev, s.max_seqlen, s.max_keylen, scale, window).out;
}

}  // namespace r1::ops
