// How an engine keeps keys and values: the same for all its layers and all its life. What a block's bytes are follows from it, the layer, the
// device and the model's dtype.
#pragma once

#include <algorithm>
#include <cstdint>

namespace r1::ops {

// kInt8: whole numbers -127 .. 127 with one fp32 scale for each token and kv head, of its key and of its value: max |x| / 127
// (kernels::quantize_row). For heads of 64 that is 0.27 of fp32 and 0.53 of bf16.
// kInt4: 4 bits a number, with a scale and a lowest number in bf16 for each 32 of them (kernels::quantize_row_int4), 5 bits in all: 0.16 of fp32 and
// 0.31 of bf16. Keys are mixed before (kernels::mix_row), so that channels in which a model's keys are large do not take all steps of a group.
enum class CacheType { kModel, kFloat32, kBFloat16, kInt8, kInt4 };

struct CacheForm {
  int32_t block_size = 16;  // tokens a block
  CacheType type = CacheType::kModel;
  // Of the keys that a layer lets a query see, it sees those of the first kept_first tokens of its sequence and of the last kept_last up to
  // itself; kept_last 0: all. Blocks wholly between may be gone: their places in a block table have any block.
  int64_t kept_first = 0, kept_last = 0;
  // Tokens that a sequence holds at most, of each layer and head those that were looked at most (heavy_hitters.h); 0: all. What a block holds counts
  // by place then, not by position, and each has a score beside it.
  int64_t budget = 0;

  CacheForm(int32_t block_size = 16, CacheType type = CacheType::kModel, int64_t kept_first = 0,  // NOLINT: a block size is a form
            int64_t kept_last = 0, int64_t budget = 0)
      : block_size(block_size), type(type), kept_first(kept_first), kept_last(kept_last), budget(budget) {}

  // What stays of a budget that is full: a quarter of it, but no more than 256 tokens, make room at once.
  int64_t kept_of_budget() const { return budget - std::clamp<int64_t>(budget / 64 * 16, 16, 256); }

  // Tokens that a sequence of `tokens` tokens, of which a step runs up to `step`, can have cached at once.
  int64_t most_tokens(int64_t tokens, int64_t step) const {
    if (budget > 0 && budget < tokens) return budget;
    const int64_t kept = kept_first + kept_last + step + 2 * block_size;  // either border lies somewhere in a block
    return kept_last > 0 && kept < tokens ? kept : tokens;
  }
};

}  // namespace r1::ops
