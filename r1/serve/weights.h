// One set of weights and the engine that runs it. Several live while those that were served before end their answers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "r1/engine/engine.h"

namespace r1::serve {

struct Weights {
  Weights(std::shared_ptr<model::Transformer> m, std::string p, const engine::EngineConfig& config)
      : model(std::move(m)),
        path(std::move(p)),
        engine(*model, config),
        cache_bytes(engine.config().num_blocks * engine.config().block_size * engine.stats().cache_bytes_per_token) {}

  const std::shared_ptr<model::Transformer> model;
  const std::string path;
  engine::Engine engine;  // but for its config() the service's thread's alone
  const int64_t cache_bytes;
};

}  // namespace r1::serve
