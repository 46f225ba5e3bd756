// Attention by locality-sensitive hashing (ops/lsh_attention). The directions of the hash are fixed: a function of the layer's seed, not
// weights. Caches keys, values and the keys' codes.
#pragma once

#include "r1/nn/gqa.h"
#include "r1/ops/lsh_attention.h"

namespace r1::nn {

class Lsh : public Gqa {
 public:
  Lsh(const GqaShape& shape, std::shared_ptr<const ops::RotaryTable> rotary, const ops::LshShape& hash, uint64_t seed,
      const Placement& placement);
  int64_t cache_bytes(const ops::CacheForm& form) const override;

 protected:
  bool attends_plainly() const override { return false; }
  Tensor attend(const Tensor& x_TD, const Heads& heads, const LayerContext& context, const LayerCache* cache) const override;

 private:
  ops::LshShape hash_;
  Tensor directions_;
};

}  // namespace r1::nn
