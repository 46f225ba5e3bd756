#include "r1/nn/mlp.h"

#include "r1/nn/tensor_parallel.h"
#include "r1/ops/dropout.h"
#include "r1/ops/gelu.h"
#include "r1/ops/layer_norm.h"
#include "r1/ops/swiglu.h"

namespace r1::nn {

Mlp::Mlp(const MlpShape& s, const Placement& placement)
    : shape_(s), ranks_(placement.ranks), up_(s.dim, s.inner, s.bias, placement), down_(s.inner, s.dim, s.bias, placement) {
  if (s.activation == MlpShape::kSwiGlu || s.activation == MlpShape::kGeGlu) gate_.emplace(s.dim, s.inner, s.bias, placement);
  if (s.activation == MlpShape::kNormGelu) norm_F_ = new_weight({s.inner}, placement), norm_bias_F_ = new_weight({s.inner}, placement);
}

Tensor Mlp::hidden(const Tensor& whole_TD) const {
  const Tensor x_TD = shared(whole_TD, ranks_);
  if (gate_ && gate_up_.multiplies_packed(x_TD)) {
    const std::vector<Tensor> gu = gate_up_.apart(x_TD);
    return shape_.activation == MlpShape::kSwiGlu ? ops::swiglu(gu[0], gu[1]) : ops::geglu(gu[0], gu[1], ops::GeluForm::kTanh);
  }
  switch (shape_.activation) {
    case MlpShape::kSwiGlu:
      if (gate_up_.holds()) return ops::swiglu_joint(gate_up_(x_TD));
      return ops::swiglu((*gate_)(x_TD), up_(x_TD));
    case MlpShape::kGeGlu:
      if (gate_up_.holds()) return ops::geglu_joint(gate_up_(x_TD), ops::GeluForm::kTanh);
      return ops::geglu((*gate_)(x_TD), up_(x_TD), ops::GeluForm::kTanh);
    case MlpShape::kNormGelu:
      return ops::layer_norm_gelu(up_(x_TD), norm_F_, norm_bias_F_, shape_.norm_eps, ops::GeluForm::kTanh);
    case MlpShape::kGelu:
      break;
  }
  return ops::gelu(up_(x_TD), ops::GeluForm::kTanh);
}

void Mlp::arrange() {
  if (!gate_) return;
  up_.stored().device().is_cuda() ? gate_up_.join({&*gate_, &up_}) : gate_up_.join_where_they_are({&*gate_, &up_});
}

Tensor Mlp::operator()(const Tensor& x_TD) const {
  return summed(down_, hidden(x_TD), ranks_);
}

Tensor Mlp::operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache*) const {
  return summed(down_, mlp_dropout(hidden(x_TD), shape_.dropout, shape_.layer, context), ranks_);
}

void Mlp::parameters(ParameterList list) {
  if (gate_) gate_->parameters(list, "gate");
  up_.parameters(list, "up");
  if (norm_F_.defined()) {
    list.add("norm", norm_F_);
    list.add("norm_bias", norm_bias_F_);
  }
  down_.parameters(list, "down");
}

Tensor mlp_dropout(const Tensor& hidden_TF, double p, uint64_t layer, const LayerContext& context) {
  constexpr uint64_t kStreams = uint64_t{1} << 32;  // nn/block's are below
  return context.training() ? ops::dropout(hidden_TF, p, context.dropout_seed, kStreams + layer) : hidden_TF;
}

}  // namespace r1::nn
