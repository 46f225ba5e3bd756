// What may stand in a block's attention place. A layer owns the layout and the size of its cache; the engine hands it bytes.
#pragma once

#include "r1/base/error.h"
#include "r1/nn/layer_context.h"
#include "r1/nn/module.h"
#include "r1/ops/heavy_hitters.h"

namespace r1::nn {

class AttentionLayer : public Module {
 public:
  // x [T, D] -> [T, D]. `cache`: this layer's, when the context is paged; else null.
  virtual Tensor operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const = 0;
  // Bytes of one block. Throws (usage) if the layer can keep no cache of that form.
  virtual int64_t cache_bytes(const ops::CacheForm& form) const = 0;
  // Of a sequence, keeps the tokens that were looked at most. Of layers that can have a cache with a budget (cache_bytes).
  virtual void keep_heavy_hitters(const LayerCache&, const ops::CacheForm&, const ops::HeldTokens&) const {
    fail("[attention_layer] this layer keeps no cache with a budget");
  }
  // Whether a decode step's launches on a GPU are the same whatever the sequences' lengths, so that a CUDA graph of them can be replayed.
  virtual bool replayable() const { return false; }
};

}  // namespace r1::nn
