// Which layers a config asks for: the one place that knows the variants by name. transformer.cc, nn/block and the engine know their
// interfaces only.
#pragma once

#include <map>
#include <memory>

#include "r1/model/config.h"
#include "r1/nn/mtp.h"
#include "r1/ops/rotary.h"

namespace r1::model {

class LayerFactory {
 public:
  // `config`: finished; it must outlive the factory.
  LayerFactory(const ModelConfig& config, const nn::Placement& placement) : config_(config), placement_(placement) {}

  nn::BlockParts block(int64_t layer);
  nn::MtpParts mtp(int64_t layer);
  std::unique_ptr<nn::Norm> norm() const;  // a norm of the residual stream

 private:
  std::unique_ptr<nn::AttentionLayer> attention(int64_t layer);
  std::unique_ptr<nn::FeedForward> feed_forward(int64_t layer) const;
  // Layers share their tables: one for each head size and base.
  std::shared_ptr<const ops::RotaryTable> rotary(int64_t head_dim, double theta);

  const ModelConfig& config_;
  nn::Placement placement_;
  std::map<std::pair<int64_t, double>, std::shared_ptr<const ops::RotaryTable>> rotary_;
};

}  // namespace r1::model
