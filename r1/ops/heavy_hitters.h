// Dropping the tokens that a sequence's queries look at least: "heavy hitters" (Zhang et al., H2O, 2023, arXiv 2306.14048). A cache of a form with a
// budget has a score beside every token, layer and kv head: the sum of the probabilities that the queries since it came have given it, over the
// heads that share it. When a sequence's budget is full, half of what stays are the latest tokens, which have had no time to be looked at, and half
// those of the rest with the highest scores; each layer and kv head chooses for itself. What stays moves to the first places of its blocks, in
// order; keys carry their positions in their rotation, so attention knows nothing of it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "r1/ops/cache_form.h"
#include "r1/tensor/tensor.h"

namespace r1::ops {

// Places of the `kept` tokens that stay, ascending: the last kept / 2, rounded up, and of those before the ones with the highest scores, of equal
// ones the earlier. A score that is no number counts as the highest: it must show, not vanish.
std::vector<int64_t> heavy_hitters(std::span<const float> scores, int64_t kept);

// A sequence's tokens in one layer: `held` of them in `blocks`, of which `kept` are to stay.
struct HeldTokens {
  std::span<const int32_t> blocks;
  int64_t held, kept;
};
// `cache`: paged_attention's, of a form with a budget; dtype: the model's. CPU: the scores' bits, and so who stays, do not depend on chunks, batches,
// blocks or threads; nothing is copied but what moves.
void keep_heavy_hitters(const Tensor& cache, const CacheForm& form, int64_t kv_heads, int64_t head_dim, at::ScalarType dtype,
                        const HeldTokens& tokens);

}  // namespace r1::ops
