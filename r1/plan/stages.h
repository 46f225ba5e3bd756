// How the layers are dealt out to a pipeline: neighbours together, so that the largest part is as small as can be, with the head counted as
// the layers that it costs.
#pragma once

#include <map>
#include <vector>

#include "r1/plan/layout.h"

namespace r1::plan {

// What one rank of a pipeline holds.
struct Share {
  std::vector<double> layers;  // of each kind
  double embeddings = 0, heads = 0;
};

class Stages {
 public:
  Stages(const Network& network, const Job& job);
  // Where each of `parts` parts begins and ends among the layers; the head is the last part's.
  const std::vector<int64_t>& ends(int64_t parts) const;
  // What each rank along pp holds, all its parts together; under DualPipe both its stages.
  std::vector<Share> shares(const Layout& layout) const;

 private:
  bool enough(size_t begin, int64_t parts, double most) const;

  const Network& network_;
  std::vector<double> costs_;  // FLOPs of a token: each layer, then the head
  mutable std::map<int64_t, std::vector<int64_t>> ends_;
};

// FLOPs of a token's forward pass, whole.
double product_flops(const Layer& layer);
double attention_flops(const Layer& layer, double length);

}  // namespace r1::plan
