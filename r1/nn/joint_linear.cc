#include "r1/nn/joint_linear.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "r1/ops/packed_linear.h"
#include "r1/tensor/aten.h"

namespace r1::nn {

namespace {

// New memory that holds all of them, and in their places tensors that are parts of it.
void move_together(const std::vector<Tensor*>& slots) {
  int64_t rows = 0;
  for (const Tensor* slot : slots) rows += slot->size(0);
  std::vector<int64_t> shape = slots[0]->sizes().vec();
  shape[0] = rows;
  const Tensor all = aten::empty(shape, slots[0]->options().requires_grad(false));
  int64_t begin = 0;
  for (Tensor* slot : slots) {
    const Tensor part = all.narrow(0, begin, slot->size(0));
    part.copy_(*slot);
    begin += slot->size(0);
    // Not a view to autograd: a tensor of its own that lies in common memory.
    Tensor own = aten::empty({0}, all.options());
    own.set_(all.storage(), part.storage_offset(), part.sizes(), part.strides());
    own.set_requires_grad(slot->requires_grad());
    *slot = own;
  }
}

}  // namespace

void JointLinear::join(std::vector<Linear*> maps) {
  const at::NoGradGuard no_grad;
  joint_ = {};
  maps_ = std::move(maps);
  std::vector<Tensor*> weights, biases;
  for (Linear* map : maps_) {
    if (map->packed() || map->weight().is_meta() || map->has_input()) return;
    weights.push_back(&map->weight());
    if (map->bias().defined()) biases.push_back(&map->bias());
  }
  if (!biases.empty() && biases.size() != weights.size()) return;
  const auto handles = [](const std::vector<Tensor*>& slots) {
    ops::Tensors tensors;
    for (const Tensor* slot : slots) tensors.push_back(*slot);
    return tensors;
  };
  joint_ = ops::joint_weights(handles(weights), handles(biases));
  if (joint_.weight_OI.defined()) return;
  move_together(weights);
  if (!biases.empty()) move_together(biases);
  joint_ = ops::joint_weights(handles(weights), handles(biases));
}

void JointLinear::join_where_they_are(std::vector<Linear*> maps) {
  joint_ = {};
  maps_ = std::move(maps);
}

bool JointLinear::multiplies_packed(const Tensor& x_TI) const {
  return !maps_.empty() && std::ranges::all_of(maps_, [&](const Linear* map) { return map->stored().multiplies_freely(x_TI); });
}

std::vector<Tensor> JointLinear::apart(const Tensor& x_TI) const {
  std::vector<ops::PackedMap> maps;
  for (Linear* map : maps_) maps.push_back({map->stored().packed_matrix(), map->bias()});
  return ops::packed_linear_joint(x_TI, maps);
}

bool JointLinear::holds() const {
  if (!joint_.weight_OI.defined()) return false;
  for (size_t i = 0; i < maps_.size(); ++i) {
    if (maps_[i]->packed() || !maps_[i]->weight().is_same(joint_.weights[i])) return false;
    if (!joint_.biases.empty() && !maps_[i]->bias().is_same(joint_.biases[i])) return false;
  }
  return true;
}

}  // namespace r1::nn
