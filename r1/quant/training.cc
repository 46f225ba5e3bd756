#include "r1/quant/training.h"

#include "r1/base/error.h"
#include "r1/quant/rounded.h"
#include "r1/tensor/integers.h"

namespace r1::quant {

QuantizeConfig config_of_training(const std::string& weights, int64_t group) {
  QuantizeConfig config;
  config.scheme = weights == "int4" ? "rtn-4" : weights == "int8" ? "int8-dynamic" : "fp8-block";
  check(weights == "int4" || weights == "int8" || weights == "fp8", "[quant] no training in '", weights, "'");
  config.group_size = group;
  config.weight_range = "minmax";
  return config;
}

void round_in_place(const Plan& plan, const Tensor& weight) {
  const Tensor w = weight.detach();
  if (plan.scheme.kind == Scheme::Kind::kFp8Block) {
    for (const Tensor& w_OI : w.dim() == 2 ? std::vector<Tensor>{w} : w.view({-1, w.size(-2), w.size(-1)}).unbind(0))
      round_to_fp8_blocks(w_OI);
    return;
  }
  check((plan.scheme.kind == Scheme::Kind::kRtn || plan.scheme.kind == Scheme::Kind::kInt8Dynamic) && !plan.search,
        "[quant] expected a plan of rtn or int8-dynamic without a search, got ", plan.scheme.name);
  round_to_grid(w, group_of(plan, w.size(-1)), grid_of(plan));
}

Plan prepare_training(model::Transformer& model, const std::string& weights, int64_t group) {
  if (group == 0) fail_usage("--quantize_group_size 0: give a number of columns, or -1 for a whole row");
  const Plan plan = plan_of(config_of_training(weights, group), model.config());
  for (const model::WeightRow& row : model.weights()) check_fits(plan, row, "--quantize_group_size", "--quantize_training int8 or fp8");
  if (plan.scheme.kind != Scheme::Kind::kInt8Dynamic) return plan;
  for (const model::WeightRow& row : model.weights())
    if (is_quantized(row)) row.weight->on_input([](const Tensor& x_TI, int64_t) { return tensor::rounded_inputs(x_TI); });
  model.arrange();  // a joint product asks nobody for inputs
  return plan;
}

}  // namespace r1::quant
