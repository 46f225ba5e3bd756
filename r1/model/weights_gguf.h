// Weights as a GGUF file has them: what weights_load's reading is undone by, for who writes one (quant/). The types are the writer's
// business.
#pragma once

#include <vector>

#include "r1/model/config.h"
#include "r1/model/weights.h"

namespace r1::model {

// The shape that a GGUF file has for a row.
std::vector<int64_t> gguf_shape(const WeightRow& row);

// A row's values as the file has them: fp32, contiguous, CPU, in the file's order of rows and axes, norms as the weight itself.
// `values`: in the row's own shape.
Tensor gguf_values(const WeightRow& row, const Tensor& values, const ModelConfig& config);

// Back from there: fp32, in the row's own shape.
Tensor from_gguf_values(const WeightRow& row, const Tensor& stored, const ModelConfig& config);

}  // namespace r1::model
