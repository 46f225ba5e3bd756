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
  packed_ = {};
  packed_bias_O_ = Tensor();
  const auto has_input = [](const Linear* map) { return map->has_input(); };
  const auto on_device = [](Linear* map) { return map->stored().on_device() != nullptr; };
  if (std::ranges::any_of(maps_, on_device)) {
    if (std::ranges::none_of(maps_, has_input)) join_packed();
    return;
  }
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
  packed_ = {};
  packed_bias_O_ = Tensor();
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

void JointLinear::join_packed() {
  ops::Tensors biases;
  bool all = true;
  for (Linear* map : maps_) {
    packed_.parts.push_back(map->stored().on_device());
    all = all && packed_.parts.back();
    if (map->bias().defined()) biases.push_back(map->bias());
  }
  if (all && (biases.empty() || biases.size() == maps_.size()))
    if (ops::JointDeviceMatrix together = ops::join(packed_.parts); together.joint) {
      packed_ = std::move(together);
      for (size_t i = 0; i < maps_.size(); ++i) maps_[i]->stored().pack(packed_.parts[i]);
      if (!biases.empty()) packed_bias_O_ = aten::cat(biases);
    }
}

Tensor JointLinear::operator()(const Tensor& x_TI) const {
  if (packed_.parts.empty()) return ops::linear_joint(x_TI, joint_);
  if (packed_.joint) return ops::device_linear(x_TI, *packed_.joint, 0, packed_.joint->rows(), packed_bias_O_);
  std::vector<Tensor> apart;
  for (const Linear* map : maps_) apart.push_back((*map)(x_TI));
  return aten::cat(apart, 1);
}

bool JointLinear::holds() const {
  if (!packed_.parts.empty()) {
    for (size_t i = 0; i < maps_.size(); ++i)
      if (maps_[i]->stored().on_device() != packed_.parts[i]) return false;
    return true;
  }
  if (!joint_.weight_OI.defined()) return false;
  for (size_t i = 0; i < maps_.size(); ++i) {
    if (maps_[i]->packed() || !maps_[i]->weight().is_same(joint_.weights[i])) return false;
    if (!joint_.biases.empty() && !maps_[i]->bias().is_same(joint_.biases[i])) return false;
  }
  return true;
}

}  // namespace r1::nn
