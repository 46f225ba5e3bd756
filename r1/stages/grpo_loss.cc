#include "r1/stages/grpo_loss.h"

#include "r1/base/error.h"
#include "r1/ops/device_lists.h"
#include "r1/tensor/aten.h"

namespace r1::stages {

namespace {

Tensor upload(const std::vector<float>& values, const Tensor& like) {
  return ops::uploaded<float>(values, like.device());
}

// Row of each token's document, int64 [T].
Tensor document_rows(const data::Batch& batch, const Tensor& like) {
  std::vector<int64_t> rows(batch.tokens());
  for (int64_t s = 0; s < batch.documents(); ++s)
    for (int32_t t = batch.cu_seqlens[s]; t < batch.cu_seqlens[s + 1]; ++t) rows[t] = s;
  return ops::uploaded<int64_t>(rows, like.device());
}

// Mean of x over each document's learned tokens, given back to every token of it.
Tensor document_mean(const Tensor& x_T, const Tensor& mask_T, const Tensor& rows_T, int64_t documents) {
  const auto zeros = aten::zeros({documents}, x_T.options());
  const auto sum_S = zeros.index_add(0, rows_T, x_T * mask_T);
  const auto count_S = aten::zeros({documents}, mask_T.options()).index_add(0, rows_T, mask_T).clamp_min(1);
  return (sum_S / count_S).index_select(0, rows_T);
}

}  // namespace

double token_weight(const std::string& loss_type, int64_t length, int64_t max_completion_length) {
  if (loss_type == "dapo") return 1.0;
  if (loss_type == "dr_grpo") return 1.0 / double(std::max<int64_t>(1, max_completion_length));
  return 1.0 / double(std::max<int64_t>(1, length));
}

train::LossSpec grpo_loss(const GrpoLossArgs& args, double temperature) {
  train::LossSpec spec;
  spec.temperature = temperature;
  spec.want_entropy = true;
  if (args.loss_type != "dapo") spec.weight = [](const data::Batch& batch) { return double(batch.documents()); };
  const double low = 1 - args.epsilon, high = 1 + (args.epsilon_high > 0 ? args.epsilon_high : args.epsilon);

  spec.loss = [args, low, high](const train::ForwardResult& forward, double denominator, train::LossMetrics& metrics) {
    const auto& batch = *forward.batch;
    check(int64_t(batch.old_logprob.size()) == batch.tokens() && int64_t(batch.advantage.size()) == batch.tokens(),
          "[grpo_loss] expected an advantage and an old log-probability for each of the ", batch.tokens(), " tokens");
    const auto& logp_T = forward.logprob_T;
    const auto& weight_T = forward.loss_weight_T;
    const auto mask_T = weight_T.gt(0).to(at::kFloat);
    const auto advantage_T = upload(batch.advantage, logp_T), old_T = upload(batch.old_logprob, logp_T);

    // Tokens that don't count have no old log-probability: keep them at ratio 1 instead of letting exp() see garbage.
    auto log_ratio_T = (logp_T - old_T) * mask_T;
    if (args.importance_sampling_level == "sequence")
      log_ratio_T = document_mean(log_ratio_T, mask_T, document_rows(batch, logp_T), batch.documents());
    const auto ratio_T = log_ratio_T.exp();
    const auto clipped_T = ratio_T.clamp(low, high);
    auto loss_T = -aten::minimum(ratio_T * advantage_T, clipped_T * advantage_T);
    const auto policy_T = loss_T.detach();

    Tensor kl_T;
    if (args.beta > 0) {
      const auto difference_T = (upload(batch.ref_logprob, logp_T) - logp_T) * mask_T;
      kl_T = difference_T.exp() - difference_T - 1;
      loss_T = loss_T + args.beta * kl_T;
    }
    const auto loss = (loss_T * weight_T).sum() / denominator;

    const auto ratio = ratio_T.detach();
    const auto low_T = ratio.lt(low).logical_and(advantage_T.lt(0)), high_T = ratio.gt(high).logical_and(advantage_T.gt(0));
    const auto difference_T = (logp_T.detach() - old_T).abs() * mask_T;
    const auto sums = aten::stack({mask_T.sum(), (low_T.to(at::kFloat) * mask_T).sum(), (high_T.to(at::kFloat) * mask_T).sum(),
                                   (ratio * mask_T).sum(), difference_T.sum(), (forward.entropy_T * mask_T).sum(),
                                   kl_T.defined() ? (kl_T.detach() * mask_T).sum() : aten::zeros({}, logp_T.options().requires_grad(false)),
                                   (ratio * mask_T).max(), difference_T.max(), (policy_T * weight_T).sum()})
                          .to(at::kDouble);
    metrics.later(sums, [with_kl = kl_T.defined()](const double* v, train::LossMetrics& m) {
      const char* names[] = {"tokens", "clip_low", "clip_high", "ratio", "logp_difference", "entropy", "kl"};
      for (int i = 0; i < 7; ++i) m.sums[names[i]] += v[i];
      m.raise("ratio_max", v[7]);
      m.raise("logp_difference_max", v[8]);
      m.terms["policy"] += v[9];
      if (with_kl) m.terms["kl"] += v[6];
    });
    return loss;
  };
  return spec;
}

void GrpoLossArgs::visit(Fields& v) {
  v("epsilon", epsilon, "clip of the probability ratio (R1's second stage used 10)", Range{0, 1e6});
  v("epsilon_high", epsilon_high, "upper clip; 0: as epsilon", Range{0, 1e6});
  v("beta", beta, "weight of the KL to the reference model; 0: no reference is held", Range{0, 100});
  v("loss_type", loss_type, "how tokens are weighed", OneOf{"grpo", "dapo", "dr_grpo"});
  v("importance_sampling_level", importance_sampling_level, "ratio per token, or per completion (GSPO)", OneOf{"token", "sequence"});
}

}  // namespace r1::stages
