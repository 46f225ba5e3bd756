
#include "r1/kernels/cuda/blocks.h"
#include "r1/kernels/cuda/paged_attention.h"
#include "r1/ops/cuda_kernels.h"
#include "r1/ops/heads_cuda.h"
#include "r1/ops/mla_attention_impl.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

// Flash attention has one head size for all (a multiple of 8, up to 256), so values are padded; its causal mask is aligned at the lower
// right corner: keys beyond the queries lie in front of them.
Tensor context_attention_cuda(const Tensor& q_TNH, const Tensor& k_LNH, const Tensor& v_LNV, const Sequences& s, double scale) {
  const bool half = q_TNH.scalar_type() == at::kBFloat16 || q_TNH.scalar_type() == at::kHalf;
  const int64_t missing = q_TNH.size(2) - v_LNV.size(2);
  if (!half || q_TNH.size(2) % 8 != 0 || q_TNH.size(2) > 256 || missing < 0) return context_attention_ref(q_TNH, k_LNH, v_LNV, s, scale);
  const Tensor padded_LNH = missing ? aten::constant_pad_nd(v_LNV, {0, missing}) : v_LNV.contiguous();
  const auto [out_TNH, lse, rng_state, unused, mask] = aten::_flash_attention_forward(
      q_TNH, k_LNH, padded_LNH, s.cu_seqlens_dev, s.cu_keylens_dev, s.max_seqlen, s.max_keylen, /*dropout_p=*/0,
      /*is_causal=*/true, /*return_debug_mask=*/false, scale);
  return out_TNH.narrow(2, 0, v_LNV.size(2));
}

void mla_append_cuda(const Tensor& rows_TW, const Tensor& cache, const Sequences& s) {
  kernels::cuda::append_rows({.table = s.block_table_SM.const_data_ptr<int32_t>(),
                              .table_width = s.block_table_SM.size(1),
                              .sequences = s.count(),
                              .cu = s.cu_seqlens_dev.const_data_ptr<int32_t>(),
                              .first = s.context_lens_dev.const_data_ptr<int32_t>(),
                              .block_size = s.block_size,
                              .places = nullptr,
                              .count = s.tokens()},
                             rows_TW.const_data_ptr(), rows_TW.size(1) * int64_t(rows_TW.element_size()), cache.mutable_data_ptr(),
                             kernel_stream(cache.device()));
}

bool has_absorbed_kernel(const Tensor& q_TNW, const Sequences& s, int64_t latent, double scale) {
  return has_cuda_kernels(q_TNW) && scale > 0 &&
         kernels::cuda::has_paged_attention(kernel_float(q_TNW.scalar_type()), q_TNW.size(2), latent, s.block_size);
}

Tensor absorbed_cuda(const Tensor& q_TNW, const Tensor& cache, const Sequences& s, int64_t latent, double scale) {
  const Tensor q = readable_heads(q_TNW, 8), out_TNR = aten::empty({q.size(0), q.size(1), latent}, q.options());
  kernels::cuda::PagedAttention a{.q = q.const_data_ptr(),
                                  .cache = cache.const_data_ptr(),
                                  .out = out_TNR.mutable_data_ptr(),
                                  .type = kernel_float(q.scalar_type()),
                                  .tokens = q.size(0),
                                  .sequences = s.count(),
                                  .q_stride = q.stride(0),
                                  .heads = q.size(1),
                                  .kv_heads = 1,
                                  .head_dim = q.size(2),
                                  .latent = latent,
                                  .block_size = s.block_size,
                                  .table = s.block_table_SM.const_data_ptr<int32_t>(),
                                  .table_width = s.block_table_SM.size(1),
                                  .cu = s.cu_seqlens_dev.const_data_ptr<int32_t>(),
                                  .context = s.context_lens_dev.const_data_ptr<int32_t>(),
                                  .scale = float(scale),
                                  .max_rows = s.max_seqlen};
  const kernels::cuda::PagedWorkspace sizes = kernels::cuda::paged_attention_workspace(a, q.device().index());
  const Tensor workspace = aten::empty({sizes.bytes}, q.options().dtype(at::kByte));
  workspace.narrow(0, 0, sizes.counters * 4).zero_();
  a.workspace = workspace.mutable_data_ptr();
  kernels::cuda::paged_attention(a, kernel_stream(q.device()));
  return out_TNR;
}

}  // namespace r1::ops
