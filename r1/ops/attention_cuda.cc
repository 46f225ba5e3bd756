// Training and prompts that nothing comes before: through ATen, flash attention over packed sequences for 16 bit types. The paged form: our
// kernels, straight on the cache's blocks; for what they lack (fp16, odd head sizes), keys are gathered into one packed row by slots that are
// made on the device from the block tables, and go through ATen too.
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <optional>

#include "r1/base/error.h"
#include "r1/kernels/cuda/paged_attention.h"
#include "r1/ops/attention_impl.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cuda_kernels.h"
#include "r1/ops/heads_cuda.h"
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

namespace {

// Some sequence has few enough rows for paged_attention's narrow kernel.
bool has_few_rows(const Sequences& s, int64_t few) {
  for (int64_t i = 0; i < s.count(); ++i) {
    if (s.rows_of(i) > 0 && s.rows_of(i) <= few) return true;
  }
  return false;
}

bool starts_fresh(const Sequences& s) {
  return std::all_of(s.context_lens.begin(), s.context_lens.end(), [](int32_t tokens) { return tokens == 0; });
}

}  // namespace

bool has_paged_kernels(const Tensor& x, int64_t head_dim, int32_t block_size, double scale) {
  return has_cuda_kernels(x) && kernels::cuda::has_paged_attention(kernel_float(x.scalar_type()), head_dim, /*latent=*/0, block_size) &&
         scale > 0;
}

bool has_plain_form(const Tensor& q_TNH, const Sequences& s) {
  const bool same = !has_row_layout(s.cache_form()) && cache_dtype(s.cache_type, q_TNH.scalar_type()) == q_TNH.scalar_type();
  return same && (s.kept_last == 0 || s.kept_first == 0);
}

namespace {

// The last tokens that are kept are a window like any other.
Window narrowed(const Window& window, const Sequences& s) {
  if (s.kept_last == 0) return window;
  if (window.tokens == 0) return {s.kept_last};
  return {std::min(window.tokens, s.kept_last), std::min(window.grows_to, s.kept_last)};
}

// All but queries, result and workspace.
kernels::cuda::PagedAttention paged_shape(const Qkv& rows, const Tensor& cache, const Sequences& s, double scale, const Window& window) {
  kernels::cuda::PagedAttention a{.cache = cache.const_data_ptr(),
                                  .type = kernel_float(rows.q_TNH.scalar_type()),
                                  .tokens = rows.q_TNH.size(0),
                                  .sequences = s.count(),
                                  .heads = rows.q_TNH.size(1),
                                  .kv_heads = rows.k_TKH.size(1),
                                  .head_dim = rows.q_TNH.size(2),
                                  .block_size = s.block_size,
                                  .table = s.block_table_SM.const_data_ptr<int32_t>(),
                                  .table_width = s.block_table_SM.size(1),
                                  .cu = s.cu_seqlens_dev.const_data_ptr<int32_t>(),
                                  .context = s.context_lens_dev.const_data_ptr<int32_t>(),
                                  .scale = float(scale),
                                  .window = window.tokens,
                                  .window_grows_to = window.grows_to,
                                  .max_rows = s.max_seqlen};
  a.has_few = has_few_rows(s, kernels::cuda::narrow_rows(a));
  return a;
}

kernels::cuda::HeadsCache cache_of(const kernels::cuda::PagedAttention& a, const Tensor& cache, const Sequences& s) {
  return {.cache = cache.mutable_data_ptr(),
          .block_size = a.block_size,
          .table = a.table,
          .table_width = a.table_width,
          .sequences = a.sequences,
          .cu = a.cu,
          .context = a.context,
          .one_row_each = s.max_seqlen == 1 && s.tokens() == s.count()};
}

// Prompts alone: their keys are the new rows, which ATen's flash attention takes as they are.
Tensor fresh_prompts(kernels::cuda::QkvHeads append, const Qkv& rows, const Sequences& s, double scale, const Window& window) {
  Tensor q_TNH = rows.q_TNH, k_TKH = rows.k_TKH;
  if (append.q.data) {
    q_TNH = aten::empty(q_TNH.sizes(), q_TNH.options()), k_TKH = aten::empty(k_TKH.sizes(), k_TKH.options());
    append.q_out = heads(q_TNH), append.k_out = heads(k_TKH);
  }
  kernels::cuda::qkv_heads(append, kernel_stream(q_TNH.device()));
  return flash_forward(q_TNH, k_TKH, rows.v_TKH, s.cu_seqlens_dev, s.cu_seqlens_dev, s.max_seqlen, s.max_seqlen, scale, window).out;
}

}  // namespace

Tensor paged_by_kernels(kernels::cuda::QkvHeads append, const Qkv& rows, const Tensor& cache, const Sequences& s, double scale,
                        const Window& given) {
  const Window window = narrowed(given, s);
  const Tensor& q_TNH = rows.q_TNH;
  const auto stream = kernel_stream(q_TNH.device());
  kernels::cuda::PagedAttention a = paged_shape(rows, cache, s, scale, window);
  append.cache = cache_of(a, cache, s);
  if (a.max_rows > kernels::cuda::narrow_rows(a) && has_flash(q_TNH) && has_flash_window(window) && starts_fresh(s))
    return fresh_prompts(append, rows, s, scale, window);

  const Tensor out_TNH = aten::empty(q_TNH.sizes(), q_TNH.options());
  a.out = out_TNH.mutable_data_ptr();
  const kernels::cuda::PagedWorkspace sizes = kernels::cuda::paged_attention_workspace(a, q_TNH.device().index());
  const Tensor workspace = aten::empty({sizes.bytes}, q_TNH.options().dtype(at::kByte));
  a.workspace = workspace.mutable_data_ptr();
  if (s.counters_dev.defined() && s.counters_dev.numel() >= sizes.counters)
    a.counters = s.counters_dev.mutable_data_ptr<int32_t>();
  else
    append.zeroed = static_cast<int32_t*>(a.workspace), append.zeroed_count = sizes.counters;
  // One launch instead of two, where blocks do not go through one sequence after another, each with its own wait for its new token.
  const bool shallow = a.sequences * a.kv_heads <= 2 * sizes.counters;
  if (append.q.data && a.counters && append.cache.one_row_each && shallow && kernels::cuda::has_joint_attention(a.type, a.head_dim)) {
    a.joint = &append;
    kernels::cuda::paged_attention(a, stream);
    return out_TNH;
  }
  const Tensor made_TNH = append.q.data ? aten::empty(q_TNH.sizes(), q_TNH.options()) : readable_heads(q_TNH, 8);
  if (append.q.data) append.q_out = heads(made_TNH);
  a.q = made_TNH.const_data_ptr(), a.q_stride = made_TNH.stride(0);
  kernels::cuda::qkv_heads(append, stream);
  kernels::cuda::paged_attention(a, stream);
  return out_TNH;
}

Tensor paged_attention_cuda(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& s,
                            double scale, const Window& window, const KeyBias* bias) {
  if (!has_plain_form(q_TNH, s)) return paged_attention_ref(q_TNH, k_TKH, v_TKH, cache, s, scale, window, bias);
  if (has_paged_kernels(q_TNH, q_TNH.size(2), s.block_size, scale)) {
    const Qkv rows{q_TNH, readable_heads(k_TKH), readable_heads(v_TKH)};
    return paged_by_kernels({.shape = {.type = kernel_float(q_TNH.scalar_type()),
                                       .tokens = q_TNH.size(0),
                                       .heads = q_TNH.size(1),
                                       .kv_heads = k_TKH.size(1),
                                       .head_dim = q_TNH.size(2)},
                             .k = const_heads(rows.k_TKH),
                             .v = const_heads(rows.v_TKH)},
                            rows, cache, s, scale, window);
  }
  const Tensor slots_PKH = cache.view(k_TKH.scalar_type()).view({-1, k_TKH.size(1), k_TKH.size(2)});
  slots_PKH.index_copy_(0, s.new_k_slots(), k_TKH);
  slots_PKH.index_copy_(0, s.new_v_slots(), v_TKH);
  const Tensor k_LKH = slots_PKH.index_select(0, s.k_slots()), v_LKH = slots_PKH.index_select(0, s.v_slots());
  const Window seen = narrowed(window, s);
  if (!has_flash(q_TNH) || !has_flash_window(seen)) return paged_plain(q_TNH, k_LKH, v_LKH, s, scale, seen);
  return flash_forward(q_TNH, k_LKH, v_LKH, s.cu_seqlens_dev, s.cu_keylens_dev, s.max_seqlen, s.max_keylen, scale, seen).out;
}

}  // namespace r1::ops
