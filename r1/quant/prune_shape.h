// A smaller model of the same family, made of rows and columns of a larger one: whole layers, whole groups of heads (a key-value head with its
// query heads), channels of the MLPs. The result is an ordinary model; nothing marks where it comes from.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "r1/model/transformer.h"

namespace r1::quant {

struct KeptParts {
  std::vector<int64_t> layers;  // of the model, rising
  // Of each kept layer, in the order of `layers`; rising; as many in each layer. Empty: all.
  std::vector<std::vector<int64_t>> kv_heads, channels;
};

// Usage errors that name what cannot be pruned of this model, and why: latent attention, experts, norms over the neurons, heads in files that
// know no head_dim, windows that would fall on other layers.
void check_heads_can_go(const model::ModelConfig& config);
void check_channels_can_go(const model::ModelConfig& config);
void check_layers_can_go(const model::ModelConfig& config, const std::vector<int64_t>& kept);

// Checks as above for what is less than all.
std::unique_ptr<model::Transformer> smaller_model(const model::Transformer& whole, const KeptParts& kept);

}  // namespace r1::quant
