// How an engine keeps keys and values: the same for all its layers and all its life. What a block's bytes are follows from it, the layer, the
// device and the model's dtype.
#pragma once

#include <cstdint>

namespace r1::ops {

// kInt8: whole numbers -127 .. 127 with one fp32 scale for each token and kv head, of its key and of its value: max |x| / 127
// (kernels::quantize_row). For heads of 64 that is 0.27 of fp32 and 0.53 of bf16.
enum class CacheType { kModel, kFloat32, kBFloat16, kInt8 };

struct CacheForm {
  int32_t block_size = 16;  // tokens a block
  CacheType type = CacheType::kModel;
  // Of the keys that a layer lets a query see, it sees those of the first kept_first tokens of its sequence and of the last kept_last up to
  // itself; kept_last 0: all. Blocks wholly between may be gone: their places in a block table have any block.
  int64_t kept_first = 0, kept_last = 0;

  CacheForm(int32_t block_size = 16, CacheType type = CacheType::kModel, int64_t kept_first = 0,  // NOLINT: a block size is a form
            int64_t kept_last = 0)
      : block_size(block_size), type(type), kept_first(kept_first), kept_last(kept_last) {}

  // Tokens that a sequence of `tokens` tokens, of which a step runs up to `step`, can have cached at once.
  int64_t most_tokens(int64_t tokens, int64_t step) const {
    const int64_t kept = kept_first + kept_last + step + 2 * block_size;  // either border lies somewhere in a block
    return kept_last > 0 && kept < tokens ? kept : tokens;
  }
};

}  // namespace r1::ops
