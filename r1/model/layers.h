// Which layers a config asks for: the one place that knows the variants by name. transformer.cc, nn/block and the engine know their
// interfaces only.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "r1/model/config.h"
#include "r1/model/shard.h"
#include "r1/nn/mtp.h"
#include "r1/ops/rotary.h"

namespace r1::model {

class LayerFactory {
 public:
  // `config`: finished. In a group of several ranks attention and MLP hold this rank's share (shard.h), and what they give is summed over
  // placement.ranks, or, without these, by whoever runs them.
  LayerFactory(const ModelConfig& config, const nn::Placement& placement)
      : config_(shard_config(config, placement.group)), kv_copies_(kv_copies(config, placement.group.size)), placement_(placement) {}

  nn::BlockParts block(int64_t layer);
  nn::MtpParts mtp(int64_t layer);
  // The tables that the layers made so far share. They begin short and must reach a text's positions before its forward.
  std::vector<std::shared_ptr<ops::RotaryTable>> rotary_tables() const;
  std::unique_ptr<nn::Norm> norm(const std::string& name) const;  // a norm of the residual stream, by its name in the weight table

 private:
  std::unique_ptr<nn::AttentionLayer> attention(int64_t layer);
  std::unique_ptr<nn::FeedForward> feed_forward(int64_t layer) const;
  std::unique_ptr<nn::FeedForward> dense_feed_forward(int64_t layer) const;
  // Layers share their tables: one for each head size and base. rope_scaling is for the layers that see all; windowed ones never look far.
  std::shared_ptr<const ops::RotaryTable> rotary(int64_t head_dim, double theta, bool scaled = true);

  const ModelConfig config_;
  const int64_t kv_copies_;
  nn::Placement placement_;
  std::map<std::tuple<int64_t, double, bool>, std::shared_ptr<ops::RotaryTable>> rotary_;
};

}  // namespace r1::model
