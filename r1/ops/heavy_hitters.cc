#include "r1/ops/heavy_hitters.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "r1/base/error.h"
#include "r1/ops/attention_impl.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

std::vector<int64_t> heavy_hitters(std::span<const float> scores, int64_t kept) {
  const auto held = int64_t(scores.size()), latest = (kept + 1) / 2, heavy = kept - latest;
  check(kept >= 0 && kept <= held, "[heavy_hitters] expected to keep up to ", held, " tokens, got ", kept);
  std::vector<int64_t> places(size_t(held - latest));
  std::iota(places.begin(), places.end(), 0);
  const auto weight = [&](int64_t place) {
    const float score = scores[size_t(place)];
    return std::isnan(score) ? std::numeric_limits<float>::infinity() : score;
  };
  std::nth_element(places.begin(), places.begin() + heavy, places.end(), [&](int64_t a, int64_t b) {
    const float x = weight(a), y = weight(b);
    return x > y || (x == y && a < b);
  });
  places.resize(size_t(heavy));
  std::sort(places.begin(), places.end());
  for (int64_t place = held - latest; place < held; ++place) places.push_back(place);
  return places;
}

namespace {

void keep_cpu(const Tensor& cache, const CacheForm& form, int64_t kv_heads, int64_t head_dim, at::ScalarType dtype,
              const HeldTokens& tokens) {
  const kernels::KvPool pool = pool_of(cache, form, dtype);
  const kernels::AttentionShape shape{.heads = kv_heads, .kv_heads = kv_heads, .head_dim = head_dim, .v_dim = head_dim, .scale = 1};
  std::vector<float> scores(size_t(tokens.held));
  for (int64_t h = 0; h < kv_heads; ++h) {
    kernels::read_attention_scores(shape, pool, tokens.blocks.data(), h, tokens.held, scores.data());
    kernels::keep_slots(shape, pool, tokens.blocks.data(), h, heavy_hitters(scores, tokens.kept).data(), tokens.kept);
  }
}

std::vector<int64_t> first_places(int64_t count) {
  std::vector<int64_t> places(static_cast<size_t>(count));
  std::iota(places.begin(), places.end(), 0);
  return places;
}

// The same on the plain layout (paged_attention_ref).
void keep_plain(const Tensor& cache, const CacheForm& form, int64_t kv_heads, int64_t head_dim, at::ScalarType dtype,
                const HeldTokens& tokens) {
  const PlainCache plain(cache, form, kv_heads, head_dim, dtype);
  const Tensor old_l = plain.places(tokens.blocks, first_places(tokens.held));
  const Tensor score_Kl = plain.scores(old_l).t().to(at::kCPU).contiguous();
  std::vector<int64_t> chosen;
  for (int64_t h = 0; h < kv_heads; ++h)
    for (const int64_t place : heavy_hitters({score_Kl.const_data_ptr<float>() + h * tokens.held, size_t(tokens.held)}, tokens.kept))
      chosen.push_back(place);
  const Tensor rows_lKE = plain.rows_PKE.index_select(0, old_l);
  const Tensor chosen_kK1 = aten::tensor(chosen, at::kLong).to(cache.device()).view({kv_heads, tokens.kept}).t().unsqueeze(2);
  const Tensor kept_kKE = aten::gather(rows_lKE, 0, chosen_kK1.expand({tokens.kept, kv_heads, rows_lKE.size(2)}).contiguous());
  plain.rows_PKE.index_copy_(0, old_l.narrow(0, 0, tokens.kept), kept_kKE);
}

}  // namespace

void keep_heavy_hitters(const Tensor& cache, const CacheForm& form, int64_t kv_heads, int64_t head_dim, at::ScalarType dtype,
                        const HeldTokens& tokens) {
  check(form.budget > 0, "[heavy_hitters] expected a cache with a budget");
  check(tokens.kept >= 1 && tokens.kept <= tokens.held && tokens.held <= int64_t(tokens.blocks.size()) * form.block_size,
        "[heavy_hitters] expected to keep some of the tokens in ", tokens.blocks.size(), " blocks, got ", tokens.kept, " of ", tokens.held);
  const bool cpu = cache.is_cpu() && is_kernel_float(dtype);
  cpu ? keep_cpu(cache, form, kv_heads, head_dim, dtype, tokens) : keep_plain(cache, form, kv_heads, head_dim, dtype, tokens);
}

}  // namespace r1::ops
