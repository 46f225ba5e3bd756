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

struct Clip {
  double low, high;
  explicit Clip(const GrpoLossArgs& args)
      : low(1 - args.epsilon),
        high(args.loss_type == "cispo" ? args.epsilon_high : 1 + (args.epsilon_high > 0 ? args.epsilon_high : args.epsilon)) {}
};

// The policy's term of each token, without the KL.
Tensor policy_loss(const GrpoLossArgs& args, const Clip& clip, const Tensor& ratio_T, const Tensor& logp_T, const Tensor& advantage_T) {
  if (args.loss_type == "cispo") return -(ratio_T.detach().clamp_max(clip.high) * advantage_T * logp_T);
  if (args.loss_type == "sapo") {
    const auto positive_T = advantage_T.gt(0).to(at::kFloat);
    const auto tau_T = positive_T * (args.sapo_temperature_pos - args.sapo_temperature_neg) + args.sapo_temperature_neg;
    return -((tau_T * (ratio_T - 1)).sigmoid() * 4 / tau_T * advantage_T);
  }
  const auto bounded_T = args.delta > 0 ? ratio_T.clamp_max(args.delta) : ratio_T;
  return -aten::minimum(bounded_T * advantage_T, ratio_T.clamp(clip.low, clip.high) * advantage_T);
}

// 1 for the share of the learned tokens with the most entropy, 0 for all others.
Tensor most_uncertain(const Tensor& entropy_T, const Tensor& mask_T, double share) {
  const auto learned = entropy_T.masked_select(mask_T.gt(0));
  if (learned.numel() == 0) return mask_T;
  return entropy_T.ge(learned.quantile(1 - share)).to(at::kFloat) * mask_T;
}

}  // namespace

double token_weight(const std::string& loss_type, int64_t length, int64_t max_completion_length) {
  if (loss_type == "dapo" || loss_type == "cispo" || loss_type == "luspo" || loss_type == "bnpo") return 1.0;
  if (loss_type == "dr_grpo") return 1.0 / double(std::max<int64_t>(1, max_completion_length));
  return 1.0 / double(std::max<int64_t>(1, length));
}

void check_loss(const GrpoLossArgs& args) {
  const bool clips = args.loss_type != "cispo" && args.loss_type != "sapo";
  if (args.loss_type == "cispo" && args.epsilon_high <= 0)
    fail_usage("loss_type cispo bounds the ratio itself by epsilon_high, and there is none; give one (ScaleRL: --epsilon_high 5)");
  if (args.delta > 0 && !clips)
    fail_usage("delta is the second bound of the clipped ratio, and loss_type ", args.loss_type, " clips none; leave delta out");
  if (args.use_bias_correction_kl && args.beta == 0)
    fail_usage("use_bias_correction_kl corrects the KL term, and beta is 0; give a beta, or leave it out");
}

train::LossSpec grpo_loss(const GrpoLossArgs& args, double temperature) {
  check_loss(args);
  train::LossSpec spec;
  spec.temperature = temperature;
  spec.want_entropy = true;
  const std::string& type = args.loss_type;
  if (type == "grpo" || type == "sapo" || type == "dr_grpo" || type == "luspo")
    spec.weight = [](const data::Batch& batch) { return double(batch.documents()); };

  spec.loss = [args, clip = Clip(args)](const train::ForwardResult& forward, double denominator, train::LossMetrics& metrics) {
    const auto& batch = *forward.batch;
    check(int64_t(batch.old_logprob.size()) == batch.tokens() && int64_t(batch.advantage.size()) == batch.tokens(),
          "[grpo_loss] expected an advantage and an old log-probability for each of the ", batch.tokens(), " tokens");
    const auto& logp_T = forward.logprob_T;
    const auto& weight_T = forward.loss_weight_T;
    const auto mask_T = weight_T.gt(0).to(at::kFloat);
    const auto advantage_T = upload(batch.advantage, logp_T), old_T = upload(batch.old_logprob, logp_T);

    // Tokens that don't count have no old log-probability: keep them at ratio 1 instead of letting exp() see garbage.
    auto log_ratio_T = (logp_T - old_T) * mask_T;
    const auto mean_of = [&](const Tensor& x_T) { return document_mean(x_T, mask_T, document_rows(batch, logp_T), batch.documents()); };
    Tensor kept_T;
    if (args.off_policy_mask_threshold > 0) {
      const auto near_T = mean_of(-log_ratio_T.detach()).le(args.off_policy_mask_threshold);
      kept_T = near_T.logical_or(advantage_T.ge(0)).to(at::kFloat);
    }
    if (args.importance_sampling_level == "sequence") log_ratio_T = mean_of(log_ratio_T);
    const auto ratio_T = log_ratio_T.exp();
    auto loss_T = policy_loss(args, clip, ratio_T, logp_T, advantage_T);
    if (kept_T.defined()) loss_T = loss_T * kept_T;
    if (args.top_entropy_quantile < 1) loss_T = loss_T * most_uncertain(forward.entropy_T, mask_T, args.top_entropy_quantile);
    const auto policy_T = loss_T.detach();

    Tensor kl_T;
    if (args.beta > 0) {
      const auto difference_T = (upload(batch.ref_logprob, logp_T) - logp_T) * mask_T;
      kl_T = difference_T.exp() - difference_T - 1;
      if (args.use_bias_correction_kl) kl_T = kl_T * ratio_T;
      loss_T = loss_T + args.beta * kl_T;
    }
    const auto loss = (loss_T * weight_T).sum() / denominator;

    const auto ratio = ratio_T.detach();
    const auto low_T = ratio.lt(clip.low).logical_and(advantage_T.lt(0)), high_T = ratio.gt(clip.high).logical_and(advantage_T.gt(0));
    const auto difference_T = (logp_T.detach() - old_T).abs() * mask_T;
    const auto sums = aten::stack({mask_T.sum(), (low_T.to(at::kFloat) * mask_T).sum(), (high_T.to(at::kFloat) * mask_T).sum(),
                                   (ratio * mask_T).sum(), difference_T.sum(), (forward.entropy_T * mask_T).sum(),
                                   kl_T.defined() ? (kl_T.detach() * mask_T).sum() : aten::zeros({}, logp_T.options().requires_grad(false)),
                                   (ratio * mask_T).max(), difference_T.max(), (policy_T * weight_T).sum()})
                          .to(at::kDouble);
    metrics.later(sums, [with_kl = kl_T.defined(), type = args.loss_type](const double* v, train::LossMetrics& m) {
      const char* names[] = {"tokens", "clip_low", "clip_high", "ratio", "logp_difference", "entropy", "kl"};
      const bool clips = type != "cispo" && type != "sapo";
      for (int i = 0; i < 7; ++i) {
        if (clips || (i != 1 && i != 2)) m.sums[names[i]] += v[i];
      }
      if (type == "cispo") m.sums["cispo_clipped"] += v[2];
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
  v("epsilon_high", epsilon_high, "upper clip; 0: as epsilon; cispo: the bound of the ratio itself", Range{0, 1e6});
  v("delta", delta, "bound of the ratio where the advantage is negative (two-sided clip); 0: none", Range{0, 1e6});
  v("beta", beta, "weight of the KL to the reference model; 0: no reference is held", Range{0, 100});
  v("use_bias_correction_kl", use_bias_correction_kl, "multiply the KL term by the ratio, which makes its gradient that of the reverse KL");
  v("loss_type", loss_type, "how tokens are weighed, and for cispo and sapo what bounds the ratio",
    OneOf{"grpo", "dapo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo"});
  v("sapo_temperature_pos", sapo_temperature_pos, "sapo: how sharply the ratio is bounded where the advantage is positive",
    Range{0.01, 100});
  v("sapo_temperature_neg", sapo_temperature_neg, "sapo: the same where it is not", Range{0.01, 100});
  v("importance_sampling_level", importance_sampling_level, "ratio per token, or per completion (GSPO)", OneOf{"token", "sequence"});
  v("off_policy_mask_threshold", off_policy_mask_threshold,
    "completions with a negative advantage whose mean log(pi_old / pi) is more are left out; 0: none is", Range{0, 1e6});
  v("top_entropy_quantile", top_entropy_quantile,
    "share of a micro-batch's tokens, those with the most entropy, that the policy learns from", Range{0, 1});
}

}  // namespace r1::stages
