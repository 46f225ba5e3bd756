#include "r1/kernels/cpu/attention.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/ops/attention_impl.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

kernels::AttentionShape shape_of(const Tensor& q_TNH, const Tensor& v_TKV, double scale, const Window& window) {
  return {.heads = q_TNH.size(1),
          .kv_heads = v_TKV.size(1),
          .head_dim = q_TNH.size(2),
          .v_dim = v_TKV.size(2),
          .scale = float(scale),
          .window = window.tokens,
          .window_max = window.grows_to};
}

kernels::ConstHeads in(const Tensor& t) {
  return {.data = t.const_data_ptr(), .type = kernel_float(t.scalar_type())};
}
kernels::Heads out(const Tensor& t) {
  return {.data = t.mutable_data_ptr(), .type = kernel_float(t.scalar_type())};
}

}  // namespace

Tensor attention_forward_cpu(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                             const Window& window, const Tensor& lse_TN) {
  const Tensor out_TNH = aten::empty({q_TNH.size(0), q_TNH.size(1), v_TKH.size(2)}, q_TNH.options());
  kernels::attention_forward({.shape = shape_of(q_TNH, v_TKH, scale, window),
                              .q = in(q_TNH),
                              .k = in(k_TKH),
                              .v = in(v_TKH),
                              .out = out(out_TNH),
                              .lse = lse_TN.defined() ? lse_TN.mutable_data_ptr<float>() : nullptr,
                              .cu_seqlens = sequences.cu_seqlens.data(),
                              .sequences = sequences.count(),
                              .cu_keys = sequences.key_rows().data()});
  return out_TNH;
}

Tensor attention_backward_cpu(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const AttentionResult& result,
                              const Sequences& sequences, double scale, const Window& window, const Tensor& dk_TKH, const Tensor& dv_TKH,
                              bool add) {
  Tensor dq_TNH = aten::empty_like(q_TNH);
  kernels::attention_backward({.shape = shape_of(q_TNH, v_TKH, scale, window),
                               .q = in(q_TNH),
                               .k = in(k_TKH),
                               .v = in(v_TKH),
                               .out = in(result.out_TNH),
                               .lse = result.lse_TN.const_data_ptr<float>(),
                               .dout = in(result.dout_TNH),
                               .dq = out(dq_TNH),
                               .dk = out(dk_TKH),
                               .dv = out(dv_TKH),
                               .cu_seqlens = sequences.cu_seqlens.data(),
                               .sequences = sequences.count(),
                               .cu_keys = sequences.key_rows().data(),
                               .add_keys = add});
  return dq_TNH;
}

Tensor attention_cpu(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                     const Window& window) {
  const bool graph = needs_grad({q_TNH, k_TKH, v_TKH});
  Tensor q, k, v, lse_TN, out_TNH;
  {
    const at::NoGradGuard no_grad;
    q = q_TNH.contiguous(), k = k_TKH.contiguous(), v = v_TKH.contiguous();
    if (graph) lse_TN = aten::empty({q.size(0), q.size(1)}, q.options().dtype(at::kFloat));
    out_TNH = attention_forward_cpu(q, k, v, sequences, scale, window, lse_TN);
  }
  if (!graph) return out_TNH;
  return differentiable("attention", out_TNH, {q_TNH, k_TKH, v_TKH}, {q, k, v, out_TNH, lse_TN},
                        [sequences, scale, window](const Tensor& dout, const Tensors& saved, const Wanted&) {
                          const Tensor dk = aten::empty_like(saved[1]), dv = aten::empty_like(saved[2]);
                          const Tensor dq = attention_backward_cpu(saved[0], saved[1], saved[2], {saved[3], saved[4], dout.contiguous()},
                                                                   sequences, scale, window, dk, dv, /*add=*/false);
                          return Tensors{dq, dk, dv};
                        });
}

std::vector<kernels::PagedSequence> paged_rows(const Sequences& s) {
  std::vector<kernels::PagedSequence> rows;
  rows.reserve(size_t(s.count()));
  for (int64_t i = 0; i < s.count(); ++i) {
    const int64_t begin = s.cu_seqlens[i], count = s.cu_seqlens[i + 1] - begin;
    rows.push_back({.q_begin = begin, .q_rows = count, .keys = s.context_lens[i] + count, .blocks = s.block_tables[i].data()});
  }
  return rows;
}

kernels::KvPool pool_of(const Tensor& cache, const CacheForm& form, at::ScalarType of_model) {
  return {.data = cache.mutable_data_ptr(),
          .type = kernel_float(cache_dtype(form.type, of_model)),
          .block_size = form.block_size,
          .block_stride = cache.stride(0),
          .numbers = form.type == CacheType::kInt8   ? kernels::KvNumbers::kInt8
                     : form.type == CacheType::kInt4 ? kernels::KvNumbers::kInt4
                                                     : kernels::KvNumbers::kFloat,
          .scored = form.budget > 0};
}

Tensor attend_paged_cpu(const kernels::AttentionShape& given, const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH,
                        const Tensor& cache, const Sequences& sequences) {
  const Tensor k = k_TKH.contiguous(), v = v_TKH.contiguous();
  const auto rows = paged_rows(sequences);
  const kernels::KvPool pool = pool_of(cache, sequences.cache_form(), k.scalar_type());
  kernels::AttentionShape shape = given;
  shape.kept_first = sequences.kept_first, shape.kept_last = sequences.kept_last;
  kernels::append_kv(shape, pool, in(k), in(v), rows.data(), sequences.count());
  Tensor out_TNH = aten::empty_like(q_TNH), lse_TN;
  kernels::AttentionPaged work{
      .shape = shape, .q = in(q_TNH), .pool = pool, .out = out(out_TNH), .sequences = rows.data(), .count = sequences.count()};
  if (pool.scored) {
    lse_TN = aten::empty({q_TNH.size(0), q_TNH.size(1)}, q_TNH.options().dtype(at::kFloat));
    work.lse = lse_TN.mutable_data_ptr<float>();
  }
  kernels::attention_forward_paged(work);
  if (pool.scored) kernels::add_attention_scores(work);
  return out_TNH;
}

Tensor paged_attention_cpu(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& sequences,
                           double scale, const Window& window, const KeyBias* bias) {
  const Tensor q = q_TNH.contiguous();
  kernels::AttentionShape shape = shape_of(q, k_TKH, scale, window);
  if (!bias) return attend_paged_cpu(shape, q, k_TKH, v_TKH, cache, sequences);
  const Tensor bias_KH = bias->bias_KH.contiguous();
  shape.key_offset.bias = bias_KH.const_data_ptr<float>();
  if (const RotaryTable* table = bias->table) {
    check(2 * table->cos_PH.size(1) == k_TKH.size(2) && sequences.position_components == 1,
          "[paged_attention] expected a bias that is rotated whole, by positions of one component");
    shape.key_offset.cos = table->cos_PH.const_data_ptr<float>(), shape.key_offset.sin = table->sin_PH.const_data_ptr<float>();
    shape.key_offset.positions = table->positions(), shape.key_offset.pairs = table->interleaved;
  }
  // The difference is taken in fp32: a bf16 model's keys, which were rounded with it, lose nothing more.
  const Tensor bare_TKH = k_TKH.to(at::kFloat) - rotated_bias({bias_KH, bias->table}, sequences.positions_T);
  return attend_paged_cpu(shape, q, bare_TKH, v_TKH.to(at::kFloat), cache, sequences);
}

int64_t paged_attention_bytes_cpu(int64_t kv_heads, int64_t head_dim, const CacheForm& form, at::ScalarType dtype) {
  check(form.block_size > 0 && form.block_size % 16 == 0, "[paged_attention] expected a block size that is a multiple of 16, got ",
        form.block_size);
  const kernels::AttentionShape shape{.heads = kv_heads, .kv_heads = kv_heads, .head_dim = head_dim, .v_dim = head_dim, .scale = 1};
  return int64_t(kernels::attention_pool_bytes(shape, pool_of(aten::empty({1, 0}, at::kByte), form, dtype)));
}

}  // namespace r1::ops
