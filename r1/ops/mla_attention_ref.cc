
#include <limits>

#include "r1/ops/attention_impl.h"
#include "r1/ops/mla_attention_impl.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// softmax(scores) values, query i of t at position L - t + i of the L keys; causal, and what the form hides. scores [N, t, L], values [L, V] or
// [N, L, V].
Tensor weighted(const Tensor& scores_NtL, const Tensor& values, const CacheForm& form) {
  const int64_t t = scores_NtL.size(1), keys = scores_NtL.size(2);
  const auto index = at::TensorOptions().dtype(at::kLong).device(scores_NtL.device());
  const Tensor hidden_tL = hidden_by_form(aten::arange(keys, index), t, keys - t, form);
  return aten::matmul(aten::softmax(scores_NtL.masked_fill(hidden_tL, -std::numeric_limits<double>::infinity()), -1), values);
}

at::ScalarType wide_of(const Tensor& t) {
  return t.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace

Tensor context_attention_ref(const Tensor& q_TNH, const Tensor& k_LNH, const Tensor& v_LNV, const Sequences& sequences, double scale) {
  const auto wide = wide_of(q_TNH);
  std::vector<Tensor> outputs;
  for (int64_t s = 0, first = 0; s < sequences.count(); ++s) {
    const int64_t begin = sequences.cu_seqlens[s], count = sequences.cu_seqlens[s + 1] - begin;
    const int64_t keys = sequences.context_lens[s] + count;
    const Tensor q_NtH = q_TNH.narrow(0, begin, count).to(wide).transpose(0, 1);
    const Tensor k_NLH = k_LNH.narrow(0, first, keys).to(wide).transpose(0, 1),
                 v_NLV = v_LNV.narrow(0, first, keys).to(wide).transpose(0, 1);
    outputs.push_back(weighted(aten::matmul(q_NtH, k_NLH.transpose(1, 2)) * scale, v_NLV, sequences.cache_form())
                          .transpose(0, 1)
                          .to(q_TNH.scalar_type()));
    first += keys;
  }
  return aten::cat(outputs, 0);
}

Tensor mla_absorbed_ref(const Tensor& q_TNW, const Tensor& cache, const Sequences& sequences, int64_t latent, double scale) {
  const auto wide = wide_of(q_TNW);
  std::vector<Tensor> outputs;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t begin = sequences.cu_seqlens[s], count = sequences.cu_seqlens[s + 1] - begin;
    const Tensor rows_LW = mla_gather(cache, sequences, s, s + 1, q_TNW.size(2), q_TNW.scalar_type()).to(wide);
    const Tensor q_NtW = q_TNW.narrow(0, begin, count).to(wide).transpose(0, 1);
    const Tensor sums_NtR = weighted(aten::matmul(q_NtW, rows_LW.t()) * scale, rows_LW.narrow(1, 0, latent), sequences.cache_form());
    outputs.push_back(sums_NtR.transpose(0, 1).to(q_TNW.scalar_type()));
  }
  return aten::cat(outputs, 0);
}

}  // namespace r1::ops
