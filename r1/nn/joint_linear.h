// Linear maps of one input. Plain ones lie one below the other in memory, so that one product gives all of them; packed ones stay where they
// are and are multiplied together (ops/packed_linear_joint). Each map stays a layer with its own weight and bias, which the weight table, the
// optimizer and files know as ever.
#pragma once

#include <vector>

#include "r1/nn/linear.h"
#include "r1/ops/device_matrix.h"
#include "r1/ops/linear_joint.h"

namespace r1::nn {

class JointLinear {
 public:
  // Moves the maps' weights together, if all are plain, or packed on a GPU in one form. On a GPU some may be packed otherwise than the rest: these
  // stay where they are, and products are made one after the other. The maps must stay where they are.
  void join(std::vector<Linear*> maps);
  // For maps that may be packed: nothing is moved.
  void join_where_they_are(std::vector<Linear*> maps);
  // Whether they lie together still; somebody may have put another tensor into a slot.
  bool holds() const;
  // x [T, in] -> [T, sum of outputs], in the order of join(). Only while it holds.
  Tensor operator()(const Tensor& x_TI) const;
  // Of the CPU: whether all are packed and have products of such an x; then [T, out] of each map, the bits that it gives alone.
  bool multiplies_packed(const Tensor& x_TI) const;
  std::vector<Tensor> apart(const Tensor& x_TI) const;

 private:
  void join_packed();

  std::vector<Linear*> maps_;
  ops::JointDeviceMatrix packed_;  // with parts where a map is packed, joint if all are in one form
  Tensor packed_bias_O_;
  ops::JointWeights joint_;
};

}  // namespace r1::nn
