#include "r1/nn/layer_context.h"

#include "r1/tensor/aten.h"

namespace r1::nn {

void ForwardRecord::add(const std::string& name, const Tensor& value) {
  const auto [it, fresh] = sums.try_emplace(name, value.detach());
  if (!fresh) it->second = it->second + value.detach();
}

}  // namespace r1::nn
