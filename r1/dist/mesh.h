// The world's ranks as a grid. Ranks that follow each other share the layers of one model (tensor parallelism: they talk in every layer, so they
// should be near each other); ranks of one place in those share the batch (data parallelism: they talk once a step).
//
//   rank = place in `data` x tensor size + place in `tensor`
#pragma once

#include <memory>

#include "r1/dist/group.h"

namespace r1::dist {

class Mesh {
 public:
  Mesh() = default;  // of one
  // `world` outlives it. Its size must be a multiple of `tensor_size`. All ranks make it at once.
  Mesh(Group& world, int64_t tensor_size);

  // Those with other micro-batches for the same part of the model, and those with other parts of it for the same micro-batches.
  Group& data() { return *data_; }
  Group& tensor() { return *tensor_; }

 private:
  std::unique_ptr<Group> own_data_ = std::make_unique<Group>(), own_tensor_ = std::make_unique<Group>();
  Group *data_ = own_data_.get(), *tensor_ = own_tensor_.get();
};

}  // namespace r1::dist
