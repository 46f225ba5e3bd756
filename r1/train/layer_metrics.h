// What layers say of themselves during a step (nn::ForwardRecord) as numbers for metrics.jsonl. Of a mixture of experts (nn/router):
//   moe/max_load_over_mean      tokens of the busiest expert over the mean of its layer, the largest over layers; and /<layer> for each
//   moe/balance_loss            mean over layers, without its weight alpha
//   moe/bias_range              largest minus smallest bias of a layer, the largest over layers; where there are biases
#pragma once

#include <map>
#include <string>

#include "r1/model/weights.h"
#include "r1/nn/layer_context.h"

namespace r1::train {

std::map<std::string, double> layer_metrics(const nn::ForwardRecord& record, const model::WeightTable& weights);

}  // namespace r1::train
