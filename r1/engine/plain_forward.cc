#include "r1/engine/plain_forward.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "r1/tensor/aten.h"

namespace r1::engine {

namespace {

Tensor ids_on(model::Transformer& model, const std::vector<TokenId>& ids) {
  std::vector<int64_t> wide(ids.begin(), ids.end());
  return aten::from_blob(wide.data(), {int64_t(wide.size())}, at::TensorOptions().dtype(at::kLong)).clone().to(model.device());
}

Tensor hidden(model::Transformer& model, const Tensor& ids_T) {
  return model.hidden(ids_T, {ops::sequences_of(model.device(), {int32_t(ids_T.size(0))})});
}

std::vector<float> floats(const Tensor& x) {
  const Tensor flat = x.to(at::kCPU, at::kFloat).contiguous();
  return {flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel()};
}

// The likeliest of each row, in chunks of rows, so that [T, V] is never held.
void add_top(model::Transformer& model, const Tensor& x_TD, int top, std::vector<ScoredToken>& out) {
  constexpr int64_t kRows = 64;
  for (int64_t begin = 0; begin < x_TD.size(0); begin += kRows) {
    const int64_t rows = std::min(kRows, x_TD.size(0) - begin);
    const Tensor logits_RV = model.logits(x_TD.narrow(0, begin, rows));
    const int64_t k = std::min<int64_t>(top, logits_RV.size(1));
    const auto [values, indices] = logits_RV.topk(k, 1);
    const Tensor logprobs = (values - aten::logsumexp(logits_RV, {1}, true)).to(at::kCPU).contiguous(),
                 ids = indices.to(at::kCPU).contiguous();
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < k; ++i)
        out[size_t(begin + r + 1)].top.push_back(
            {TokenId(ids.const_data_ptr<int64_t>()[r * k + i]), logprobs.const_data_ptr<float>()[r * k + i]});
  }
}

}  // namespace

std::vector<ScoredToken> score_prompt(model::Transformer& model, const std::vector<TokenId>& ids, int top) {
  const at::NoGradGuard no_grad;
  const int64_t n = int64_t(ids.size());
  std::vector<ScoredToken> out(ids.size());
  if (n > 0) out[0].logprob = std::numeric_limits<float>::quiet_NaN();
  if (n < 2) return out;
  const Tensor ids_T = ids_on(model, ids);
  const Tensor x_TD = hidden(model, ids_T).narrow(0, 0, n - 1);
  const std::vector<float> logprobs = floats(model.logprob(x_TD, ids_T.narrow(0, 1, n - 1)));
  for (int64_t i = 1; i < n; ++i) out[size_t(i)].logprob = logprobs[size_t(i - 1)];
  if (top > 0) add_top(model, x_TD, top, out);
  return out;
}

double perplexity(model::Transformer& model, const std::vector<TokenId>& ids) {
  const auto longest = size_t(model.config().max_position_embeddings);
  double total = 0;
  int64_t n = 0;
  for (size_t begin = 0; begin < ids.size(); begin += longest) {
    const auto first = ids.begin() + std::ptrdiff_t(begin), last = first + std::ptrdiff_t(std::min(longest, ids.size() - begin));
    const std::vector<ScoredToken> scored = score_prompt(model, {first, last}, 0);
    for (size_t i = 1; i < scored.size(); ++i, ++n) total += scored[i].logprob;
  }
  return n ? std::exp(-total / double(n)) : std::numeric_limits<double>::quiet_NaN();
}

std::vector<float> mean_hidden(model::Transformer& model, const std::vector<TokenId>& ids) {
  const at::NoGradGuard no_grad;
  return floats(aten::mean(hidden(model, ids_on(model, ids)).to(at::kFloat), {0}));
}

std::vector<float> all_logits(model::Transformer& model, const std::vector<TokenId>& ids) {
  const at::NoGradGuard no_grad;
  return floats(model.logits(hidden(model, ids_on(model, ids))));
}

}  // namespace r1::engine
