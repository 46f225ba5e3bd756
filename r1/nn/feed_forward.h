// What may stand in a block's MLP place.
#pragma once

#include "r1/nn/layer_context.h"
#include "r1/nn/module.h"

namespace r1::nn {

class FeedForward : public Module {
 public:
  // x [T, D] -> [T, D]. `cache`: this layer's own when the context is paged and has_cache(); else null.
  virtual Tensor operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const = 0;
  // Whether it carries state from token to token, which the engine keeps in blocks; most don't.
  virtual bool has_cache() const { return false; }
  // Bytes of one block. Throws (usage) if the layer can keep no cache of that form.
  virtual int64_t cache_bytes(const ops::CacheForm&) const { return 0; }
  // As AttentionLayer's.
  virtual bool replayable() const { return false; }
};

}  // namespace r1::nn
