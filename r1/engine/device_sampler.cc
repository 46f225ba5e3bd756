#include "r1/engine/device_sampler.h"

#include <ATen/core/grad_mode.h>

#include <cmath>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/tensor/aten.h"

namespace r1::engine {

namespace {

struct Knobs {
  Tensor temperature, top_k, top_p, min_p, uniform;  // double [S, 1]
  Tensor truncated;                                  // bool [S, 1]
  bool draws = false, truncates = false, plain = false;
};

// All numbers of a step go over in one copy.
Knobs knobs(std::span<const SampleRow> rows, int64_t vocab, const at::Device& device) {
  Knobs k;
  const int64_t n = int64_t(rows.size());
  std::vector<double> values(size_t(5 * n));
  for (int64_t i = 0; i < n; ++i) {
    const SampleRow& row = rows[size_t(i)];
    const SamplingParams& p = *row.params;
    const bool greedy = is_greedy(p);
    const int64_t top_k = p.top_k > 0 && p.top_k < vocab ? p.top_k : vocab;
    values[size_t(i)] = greedy ? 1 : p.temperature;
    values[size_t(n + i)] = double(top_k);
    values[size_t(2 * n + i)] = p.top_p;
    values[size_t(3 * n + i)] = p.min_p;
    values[size_t(4 * n + i)] = greedy ? -1 : random_uniform(p.seed, uint64_t(row.sample_index), uint64_t(row.token_index));
    k.draws |= !greedy;
    const bool truncates = top_k < vocab || p.top_p < 1 || p.min_p > 0;
    k.truncates |= !greedy && truncates;
    k.plain |= !greedy && !truncates;
  }
  const Tensor all =
      aten::from_blob(values.data(), {5, n, 1}, at::TensorOptions().dtype(at::kDouble)).to(device, at::kDouble, false, /*copy=*/true);
  k.temperature = all.select(0, 0).to(at::kFloat);
  k.top_k = all.select(0, 1);
  k.top_p = all.select(0, 2);
  k.min_p = all.select(0, 3);
  k.uniform = all.select(0, 4);
  k.truncated = (k.top_k < double(vocab)).logical_or(k.top_p < 1).logical_or(k.min_p > 0);
  return k;
}

Tensor draw_from(const Tensor& weights_SV, const Tensor& uniform_S1) {
  const Tensor cdf_SV = aten::cumsum(weights_SV, 1, at::kDouble);
  const int64_t vocab = weights_SV.size(1);
  const Tensor total_S1 = cdf_SV.narrow(1, vocab - 1, 1);
  return aten::searchsorted(cdf_SV, (uniform_S1.clamp_min(0) * total_S1).contiguous(), /*out_int32=*/false, /*right=*/true)
      .clamp_max(vocab - 1);
}

Tensor draw_truncated(const Tensor& probability_SV, const Knobs& k) {
  const auto [sorted_SV, ids_SV] = aten::sort(probability_SV, /*stable=*/true, 1, /*descending=*/true);
  const Tensor least_S1 = aten::gather(sorted_SV, 1, k.top_k.to(at::kLong) - 1);
  Tensor kept_SV = aten::where(sorted_SV >= least_S1, sorted_SV, 0);
  const Tensor mass_SV = aten::cumsum(kept_SV, 1, at::kDouble);
  const Tensor total_S1 = mass_SV.narrow(1, mass_SV.size(1) - 1, 1);
  // The likelier ones before a token hold less than top_p; top_p = 1 takes all.
  const Tensor in_SV =
      ((mass_SV - kept_SV < k.top_p * total_S1).logical_or(k.top_p >= 1)).logical_and(kept_SV >= k.min_p * sorted_SV.narrow(1, 0, 1));
  kept_SV = aten::where(in_SV, kept_SV, 0);
  return aten::gather(ids_SV, 1, draw_from(kept_SV, k.uniform));
}

}  // namespace

bool device_can_sample(const SampleRow& row) {
  const SamplingParams& p = *row.params;
  return row.forced < 0 && !wants_penalties(p) && p.top_logprobs == 0 && row.token_index >= p.min_new_tokens;
}

void sample_on_device(const Tensor& logits_RV, std::span<const int64_t> index, std::span<const SampleRow> rows, std::span<Sampled> out) {
  if (rows.empty()) return;
  const at::NoGradGuard no_grad;
  const int64_t n = int64_t(rows.size()), vocab = logits_RV.size(1);
  bool identity = n == logits_RV.size(0);
  for (int64_t i = 0; i < n; ++i) identity &= index[size_t(i)] == i;
  std::vector<int64_t> picked(index.begin(), index.end());
  const Tensor z_SV =
      identity ? logits_RV
               : aten::index_select(logits_RV, 0,
                                    aten::from_blob(picked.data(), {n}, at::TensorOptions().dtype(at::kLong)).to(logits_RV.device()));
  const Knobs k = knobs(rows, vocab, z_SV.device());
  const Tensor scaled_SV = z_SV / k.temperature;
  const Tensor lse_S1 = aten::logsumexp(scaled_SV, {1}, /*keepdim=*/true);
  Tensor token_S1 = aten::argmax(z_SV, 1, /*keepdim=*/true);
  if (k.draws) {
    const Tensor probability_SV = aten::softmax(scaled_SV, 1);
    // A row draws in its own order (ids, or ranks if it is cut), whatever rows are beside it.
    Tensor drawn_S1;
    if (k.truncates) drawn_S1 = draw_truncated(probability_SV, k);
    if (k.plain) {
      const Tensor plain_S1 = draw_from(probability_SV, k.uniform);
      drawn_S1 = k.truncates ? aten::where(k.truncated, drawn_S1, plain_S1) : plain_S1;
    }
    token_S1 = aten::where(k.uniform < 0, token_S1, drawn_S1);
  }
  const Tensor logprob_S1 = aten::gather(scaled_SV, 1, token_S1) - lse_S1;
  const Tensor result = aten::stack({token_S1.to(at::kDouble), logprob_S1.to(at::kDouble)}).to(at::kCPU).contiguous();
  const double* values = result.const_data_ptr<double>();
  for (int64_t i = 0; i < n; ++i) {
    Sampled& s = out[size_t(i)];
    if (!std::isfinite(values[n + i])) fail("[sampler] expected finite logits: the weights or activations hold NaN or infinity");
    s.token = TokenId(values[i]);
    s.logprob = rows[size_t(i)].params->logprobs ? float(values[n + i]) : std::numeric_limits<float>::quiet_NaN();
    s.top.clear();
  }
}

}  // namespace r1::engine
