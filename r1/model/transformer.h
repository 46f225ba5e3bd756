// The network, once, for training and serving: embed, blocks, final norm, head. x_TD: T packed tokens by D = hidden_size.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "r1/model/config.h"
#include "r1/model/weights.h"
#include "r1/nn/layer_context.h"
#include "r1/tensor/dtype.h"

namespace r1::nn {
class Block;
class Weight;
}  // namespace r1::nn
namespace r1::ops {
struct HeldTokens;
struct LogProbs;
}  // namespace r1::ops
namespace r1::dist {
class Group;
}

namespace r1::model {

struct ForwardOptions {
  bool activation_checkpointing = false;  // recompute each block in the backward
  // Called with the residual stream after the embedding (layer -1), each block (0 .. L-1) and the final norm (L): the doctor looks for the
  // first NaN.
  std::function<void(int layer, const Tensor& x_TD)> observe;
};

// When weights get their memory: at once, or each as it is loaded, so that one which stays packed (nn/weight) never has a plain tensor.
enum class Allocation { kAtOnce, kAsLoaded };

class Transformer {
 public:
  // Allocates weights, uninitialised (init_weights or load_weights comes next). `ranks`: that share the layers (model/shard.h), each with a model
  // made so; null: nobody else. They call forwards and backwards together, with the same tokens, and all results are the same on each of them.
  Transformer(const ModelConfig& config, tensor::Device device, tensor::DType dtype, Allocation allocation = Allocation::kAtOnce,
              dist::Group* ranks = nullptr);
  ~Transformer();
  Transformer(const Transformer&) = delete;

  // Normal(0, initializer_range) for matrices, ones for norms, zeros for biases; a function of the seed alone.
  void init_weights(uint64_t seed);

  // ids_T int64 on the model's device -> x_TD after the final norm. The context's sequences are on that device as well (ops::sequences_on).
  // `caches`: num_caches() of them (or num_caches(true)) when they are paged, else null. Builds the autograd graph if grad mode is on and a
  // weight requires grad.
  Tensor hidden(const Tensor& ids_T, const nn::LayerContext& context, std::vector<nn::LayerCache>* caches = nullptr,
                ForwardOptions options = {});
  // The two halves of it: the tokens' rows of the embedding [T, D], and all that follows, of rows that need not come from tokens (of an
  // image, say). Learned positions are added by the second.
  Tensor embed(const Tensor& ids_T) const;
  Tensor hidden_from(const Tensor& x_TD, const nn::LayerContext& context, std::vector<nn::LayerCache>* caches = nullptr,
                     ForwardOptions options = {});

  // The same a block at a time, for who holds the weights of one: what the first block gets, through a block, the norm before the head.
  Tensor entered(const Tensor& ids_T, const nn::LayerContext& context);
  Tensor through_block(int layer, const Tensor& x_TD, const nn::LayerContext& context) const;
  Tensor final_norm(const Tensor& x_TD, const nn::LayerContext& context) const;

  // Multi-token prediction. g_TD of module `depth` (0 .. mtp_depth() - 1) from the states before it (hidden() for the first, else the
  // module before) and the token after each: next_ids_T int64. `caches` as in hidden(), with num_caches(true) of them.
  int mtp_depth() const;
  Tensor mtp_hidden(int depth, const Tensor& h_TD, const Tensor& next_ids_T, const nn::LayerContext& context,
                    std::vector<nn::LayerCache>* caches = nullptr);
  // What head() takes of it: the logits of the token `depth` + 2 places on.
  Tensor mtp_normed(int depth, const Tensor& g_TD) const;

  // Logits of given rows, fp32: [rows, V]. For the log-probability of known tokens use logprob(), or linear_logprob() where a graph is wanted:
  // they never hold [T, V].
  Tensor logits(const Tensor& x_RD) const;
  Tensor logprob(const Tensor& x_TD, const Tensor& targets_T) const;  // fp32 [T], without a graph; the head may lie packed
  // ops::linear_logprob with the head, which ranks may share.
  ops::LogProbs linear_logprob(const Tensor& x_TD, const Tensor& targets_T, double temperature = 1, bool want_entropy = false) const;
  // [V, D]; the embedding if tied. Unpacked for this use where it lies packed. Where ranks share the model this one's rows alone.
  Tensor head() const;

  WeightTable& weights() { return weights_; }
  const WeightTable& weights() const { return weights_; }
  // Packed weights have no gradient: `on` fails where there is one, and names it.
  void set_requires_grad(bool on);
  // After each optimizer step: what is learned by rule (nn::Module::after_step). `record`: the sums of the step's forwards.
  void after_step(const nn::ForwardRecord& record);

  // What the engine allocates: a cache for each layer's attention, and one for whatever else carries state from token to token.
  // `mtp`: those of multi-token prediction as well, after the others.
  int num_caches(bool mtp = false) const;
  // Bytes of one block in that cache. Throws (usage) if there can be none of that form.
  int64_t cache_bytes(int cache, const ops::CacheForm& form) const;
  // Of a sequence, keeps the tokens that were looked at most, in every cache of a form with a budget.
  void keep_heavy_hitters(const std::vector<nn::LayerCache>& caches, const ops::CacheForm& form, const ops::HeldTokens& tokens) const;
  int num_layers() const;

  const ModelConfig& config() const { return config_; }  // of the whole network
  // The ranks that share the layers, or null, and which of them this is.
  dist::Group* ranks() const { return ranks_; }
  nn::Group group() const;
  tensor::Device device() const { return device_; }
  tensor::DType dtype() const { return dtype_; }

  // After weights were loaded into their slots: layers may move them to where their products want them.
  void arrange();
  // For whoever replays a captured forward. Whether a decode step's launches are the same whatever the lengths; makes what positions up to
  // this one need (rotary tables); and a number that changes when memory that a captured forward reads lies elsewhere.
  bool replayable() const;
  void reach(int64_t position);
  uint64_t memory_stamp() const;

  // Raised by whoever changes weights (optimizer step, load): the engine drops its prefix cache when it sees another version.
  int64_t version() const { return version_; }
  void bump_version() { ++version_; }

 private:
  const nn::Weight& head_weight() const;

  ModelConfig config_;
  tensor::Device device_;
  tensor::DType dtype_;
  dist::Group* ranks_;
  int64_t version_ = 0;
  WeightTable weights_;
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace r1::model
