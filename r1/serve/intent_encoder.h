// The first layers of a language model as an encoder of short messages: tokens see each other in both directions, and what stands at the end is
// the mean over a message's tokens (Behnamghader et al., "LLM2Vec", 2024, and Sentence-BERT's pooling, Reimers & Gurevych, 2019). The weights are
// a model::Transformer's, so files, names and checks are those of every model; the layers are run here, as nn/ looks back only.
//
// For llama-like models: grouped-query attention with rotary positions, RMS norm, SwiGLU. Others are refused by name.
// Shapes: B messages, L tokens of the longest, D hidden size, N heads, K key heads, H head size.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "r1/model/transformer.h"
#include "r1/ops/rotary.h"
#include "r1/text/tokenizer.h"

namespace r1::serve {

// Messages of several lengths, padded to the longest.
struct MessageBatch {
  Tensor ids_BL;                 // int64 on the device
  std::vector<int64_t> lengths;  // [B], each at least 1
};
MessageBatch message_batch(const std::vector<std::vector<text::TokenId>>& messages, tensor::Device device);

class IntentEncoder {
 public:
  // Checks that the model is of a kind that can be run here.
  explicit IntentEncoder(std::unique_ptr<model::Transformer> model);

  // The first `layers` layers of the model at `path`, fp32, its embedding and its final norm (of which only a whole model's is kept).
  static std::unique_ptr<model::Transformer> first_layers(const std::filesystem::path& path, int64_t layers, tensor::Device device);

  // [B, D]. Builds a graph if grad mode is on and weights require grad. `dropout` acts on the embeddings and on what layers add.
  struct Noise {
    double dropout = 0;
    uint64_t seed = 0;
  };
  Tensor operator()(const MessageBatch& batch, const Noise& noise) const;
  Tensor operator()(const MessageBatch& batch) const { return (*this)(batch, Noise{0, 0}); }

  model::Transformer& model() { return *model_; }
  const model::Transformer& model() const { return *model_; }

 private:
  struct Layer {
    Tensor attention_norm, q, k, v, o, q_bias, k_bias, v_bias, mlp_norm, gate, up, down;
  };
  struct Masks;
  Tensor attention(const Layer& layer, const Tensor& x_TD, const Masks& masks) const;

  std::unique_ptr<model::Transformer> model_;
  std::vector<Layer> layers_;  // the model's own memory
  Tensor embedding_VD_, norm_D_;
  ops::RotaryTable rotary_;
};

}  // namespace r1::serve
