#include "r1/ops/balance_loss.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "r1/base/error.h"
#include "r1/ops/autograd.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// Tokens first .. last-1 share one P and one n.
struct Span {
  int64_t first, last;
};

std::vector<Span> spans(int64_t tokens, const std::vector<int32_t>& cu_seqlens, Balance kind) {
  if (kind != Balance::kSequence) return {{0, tokens}};
  std::vector<Span> out;
  for (size_t s = 0; s + 1 < cu_seqlens.size(); ++s) {
    if (cu_seqlens[s] < cu_seqlens[s + 1]) out.push_back({cu_seqlens[s], cu_seqlens[s + 1]});
  }
  return out;
}

double row_sum(const float* row, int64_t experts) {
  double sum = 1e-20;
  for (int64_t e = 0; e < experts; ++e) sum += row[e];
  return sum;
}

// The loss of one span; slope[e] becomes d loss / d s'[t, e], the same for each of its tokens.
double span_loss(const Tensor& score_TE, const Tensor& expert_TK, Span span, Balance kind, double* slope) {
  const int64_t tokens = score_TE.size(0), experts = score_TE.size(1), per_token = expert_TK.size(1), count = span.last - span.first;
  std::vector<double> share(size_t(experts), 0.0), chose(size_t(experts), 0.0);
  for (int64_t t = span.first; t < span.last; ++t) {
    const float* row = score_TE.const_data_ptr<float>() + t * experts;
    const double sum = row_sum(row, experts);
    for (int64_t e = 0; e < experts; ++e) share[size_t(e)] += row[e] / sum;
    for (int64_t k = 0; k < per_token; ++k) ++chose[size_t(expert_TK.const_data_ptr<int64_t>()[t * per_token + k])];
  }
  double loss = 0;
  for (int64_t e = 0; e < experts; ++e) {
    const double p = share[size_t(e)] / double(count), off = p - 1.0 / double(experts);
    const double f = double(experts) * chose[size_t(e)] / double(tokens) / (kind == Balance::kSequence ? double(per_token) : 1.0);
    loss += kind == Balance::kSquare ? off * off : f * p;
    slope[e] = (kind == Balance::kSquare ? 2 * off : f) / double(count);
  }
  return loss;
}

// d s'[e] / d s[j] = ([e = j] - s'[e]) / sum
Tensor grad_scores(const Tensor& score_TE, const Tensor& slope_SE, const std::vector<Span>& parts, double dloss) {
  const int64_t experts = score_TE.size(1);
  const Tensor dscore_TE = aten::empty_like(score_TE);
  for (size_t s = 0; s < parts.size(); ++s) {
    const double* slope = slope_SE.const_data_ptr<double>() + int64_t(s) * experts;
    for (int64_t t = parts[s].first; t < parts[s].last; ++t) {
      const float* row = score_TE.const_data_ptr<float>() + t * experts;
      float* out = dscore_TE.mutable_data_ptr<float>() + t * experts;
      const double sum = row_sum(row, experts);
      double mean = 0;
      for (int64_t e = 0; e < experts; ++e) mean += slope[e] * row[e] / sum;
      for (int64_t e = 0; e < experts; ++e) out[e] = float(dloss * (slope[e] - mean) / sum);
    }
  }
  return dscore_TE;
}

Tensor balance_loss_cpu(const Tensor& score_TE, const Tensor& expert_TK, const std::vector<int32_t>& cu_seqlens, Balance kind) {
  const std::vector<Span> parts = spans(score_TE.size(0), cu_seqlens, kind);
  Tensor score, slope_SE, loss;
  {
    const at::NoGradGuard no_grad;
    score = score_TE.contiguous();
    slope_SE = aten::empty({int64_t(parts.size()), score.size(1)}, at::kDouble);
    double sum = 0;
    for (size_t s = 0; s < parts.size(); ++s)
      sum += span_loss(score, expert_TK, parts[s], kind, slope_SE.mutable_data_ptr<double>() + int64_t(s) * score.size(1));
    loss = aten::full({}, sum, score.options());
  }
  if (!needs_grad({score_TE})) return loss;
  return differentiable("balance_loss", loss, {score_TE}, {score, slope_SE},
                        [parts](const Tensor& dloss, const Tensors& saved, const Wanted&) {
                          return Tensors{grad_scores(saved[0], saved[1], parts, dloss.item<double>())};
                        });
}

}  // namespace

Tensor balance_loss(const Tensor& score_TE, const Tensor& expert_TK, const std::vector<int32_t>& cu_seqlens, Balance kind) {
  check(score_TE.dim() == 2 && expert_TK.dim() == 2 && expert_TK.size(0) == score_TE.size(0) && expert_TK.scalar_type() == at::kLong &&
            expert_TK.is_contiguous(),
        "[balance_loss] expected scores [T, E] and int64 choices [T, K], got ", score_TE.sizes(), " and ", expert_TK.scalar_type(), " ",
        expert_TK.sizes());
  check(score_TE.size(0) > 0 && !cu_seqlens.empty() && cu_seqlens.back() == score_TE.size(0), "[balance_loss] expected sequences of ",
        score_TE.size(0), " tokens, got ", cu_seqlens.empty() ? 0 : cu_seqlens.back());
  return score_TE.is_cpu() && score_TE.scalar_type() == at::kFloat ? balance_loss_cpu(score_TE, expert_TK, cu_seqlens, kind)
                                                                   : balance_loss_ref(score_TE, expert_TK, cu_seqlens, kind);
}

Tensor attach_loss(const Tensor& x, const Tensor& loss, double weight) {
  check(loss.dim() == 0, "[attach_loss] expected a scalar, got ", loss.sizes());
  if (!needs_grad({loss})) return x;
  return differentiable("attach_loss", x.detach(), {x, loss}, {},
                        [weight, options = loss.options()](const Tensor& dx, const Tensors&, const Wanted&) {
                          return Tensors{dx, aten::full({}, weight, options)};
                        });
}

}  // namespace r1::ops
