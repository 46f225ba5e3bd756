#include "r1/ops/attention.h"

#include "r1/base/error.h"
#include "r1/ops/attention_impl.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

void check_window(const char* op, const Window& window) {
  check(window.tokens >= 0 && window.grows_to >= 0 && (window.tokens > 0 || window.grows_to == 0), "[", op,
        "] expected a window of at least one token (0: all, and then it does not grow), got ", window.tokens, " growing to ",
        window.grows_to);
}

void check_attention_shapes(const char* op, const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences) {
  check(q_TNH.dim() == 3 && k_TKH.dim() == 3 && v_TKH.dim() == 3 && k_TKH.size(0) == v_TKH.size(0) && k_TKH.size(1) == v_TKH.size(1) &&
            k_TKH.size(0) == sequences.key_rows().back() && q_TNH.size(2) == k_TKH.size(2) && q_TNH.size(1) % k_TKH.size(1) == 0,
        "[", op, "] expected q [T, N, H], k [T, K, H] and v [T, K, V] with K dividing N, got ", q_TNH.sizes(), ", ", k_TKH.sizes(), ", ",
        v_TKH.sizes());
  check(sequences.tokens() == q_TNH.size(0), "[", op, "] expected ", sequences.tokens(), " tokens in sequences, got ", q_TNH.size(0));
}

void check_paged_attention(const char* op, const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache,
                           const Sequences& sequences) {
  check_attention_shapes(op, q_TNH, k_TKH, v_TKH, sequences);
  check(v_TKH.size(2) == k_TKH.size(2), "[", op, "] expected values of the keys' size ", k_TKH.size(2), ", got ", v_TKH.size(2));
  check(sequences.paged(), "[", op, "] expected block tables, got none");
  const int64_t bytes = paged_attention_bytes(k_TKH.size(1), k_TKH.size(2), sequences.cache_form(), cache.device(), k_TKH.scalar_type());
  check_cache(op, cache, bytes, q_TNH, sequences);
  check(!needs_grad({q_TNH, k_TKH, v_TKH}), "[", op, "] has no gradient: run the engine's forward under no_grad");
}

void check_cache(const char* op, const Tensor& cache, int64_t bytes, const Tensor& q_TNH, const Sequences& sequences) {
  check(cache.dim() == 2 && cache.scalar_type() == at::kByte && cache.is_contiguous() && cache.device() == q_TNH.device() &&
            cache.size(1) == bytes,
        "[", op, "] expected a cache of bytes [blocks, ", bytes, "] beside q, got ", cache.scalar_type(), " ", cache.sizes());
  check(sequences.block_bound <= cache.size(0), "[", op, "] expected block ids below ", cache.size(0), ", got ", sequences.block_bound - 1);
}

Tensor attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                 const Window& window) {
  check_attention_shapes("attention", q_TNH, k_TKH, v_TKH, sequences);
  check_window("attention", window);
  if (has_cpu_kernels(q_TNH)) return attention_cpu(q_TNH, k_TKH, v_TKH, sequences, scale, window);
  const int64_t missing = q_TNH.size(2) - v_TKH.size(2);
  if (q_TNH.is_cuda() && missing > 0) {  // flash attention has one head size for all: values are padded, the padding's result is dropped
    const Tensor padded_TKH = aten::constant_pad_nd(v_TKH, {0, missing});
    return attention_cuda(q_TNH, k_TKH, padded_TKH, sequences, scale, window).narrow(2, 0, v_TKH.size(2));
  }
  if (q_TNH.is_cuda() && missing == 0) return attention_cuda(q_TNH, k_TKH, v_TKH, sequences, scale, window);
  return attention_ref(q_TNH, k_TKH, v_TKH, sequences, scale, window);
}

Tensor rotated_bias(const KeyBias& bias, const Tensor& positions_T) {
  const Tensor bias_TKH = bias.bias_KH.unsqueeze(0).expand({positions_T.size(0), bias.bias_KH.size(0), bias.bias_KH.size(1)}).contiguous();
  return bias.table ? rotary(bias_TKH, *bias.table, positions_T) : bias_TKH;
}

Tensor paged_attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& sequences,
                       double scale, const Window& window, const KeyBias* given) {
  const KeyBias* bias = sequences.cache_type == CacheType::kInt4 ? given : nullptr;
  check(!bias || (sequences.budget == 0 && bias->bias_KH.dim() == 2 && bias->bias_KH.size(0) == k_TKH.size(1) &&
                  bias->bias_KH.size(1) == k_TKH.size(2)),
        "[paged_attention] expected the bias [K, H] of keys that stay at their places");
  check_paged_attention("paged_attention", q_TNH, k_TKH, v_TKH, cache, sequences);
  check_window("paged_attention", window);
  if (has_cpu_kernels(q_TNH)) return paged_attention_cpu(q_TNH, k_TKH, v_TKH, cache, sequences, scale, window, bias);
  if (q_TNH.is_cuda()) return paged_attention_cuda(q_TNH, k_TKH, v_TKH, cache, sequences, scale, window, bias);
  return paged_attention_ref(q_TNH, k_TKH, v_TKH, cache, sequences, scale, window, bias);
}

at::ScalarType cache_dtype(CacheType type, at::ScalarType of_model) {
  return type == CacheType::kFloat32 ? at::kFloat : type == CacheType::kBFloat16 ? at::kBFloat16 : of_model;
}

void check_plain_cache(const char* op, const char* layers, const CacheForm& form) {
  if (form.type != CacheType::kModel)
    fail_usage("[", op, "] ", layers, " keep their cache in the model's dtype: leave kv_cache_dtype at auto");
  if (form.kept_last > 0)
    fail_usage("[", op, "] ", layers, " look at tokens of the whole text: an attention_window is not for them, leave it at 0");
  check_no_budget(op, layers, form);
}

void check_no_budget(const char* op, const char* layers, const CacheForm& form) {
  if (form.budget > 0)
    fail_usage("[", op, "] ", layers,
               " need their tokens where they were: kv_eviction heavy_hitters is for layers that attend to all tokens with "
               "keys of their own; take window, or none");
}

int64_t paged_attention_bytes(int64_t kv_heads, int64_t head_dim, const CacheForm& form, at::Device device, at::ScalarType dtype) {
  if (device.is_cpu() && is_kernel_float(dtype)) return paged_attention_bytes_cpu(kv_heads, head_dim, form, dtype);
  if (has_row_layout(form)) return kv_heads * row_bytes(form, head_dim, dtype) * form.block_size;
  return 2 * kv_heads * head_dim * form.block_size * int64_t(c10::elementSize(cache_dtype(form.type, dtype)));
}

}  // namespace r1::ops
