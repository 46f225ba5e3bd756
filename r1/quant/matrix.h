// One weight through a scheme: what the file will hold of it, and what a model that loads the file computes with.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "r1/model/quantization.h"
#include "r1/model/weights.h"
#include "r1/quant/config.h"
#include "r1/quant/grid.h"
#include "r1/quant/input_statistics.h"
#include "r1/quant/scheme.h"

namespace r1::quant {

// What a scheme and the user's wishes come to.
struct Plan {
  Scheme scheme;
  model::ModelConfig model;
  int64_t group = 128;
  bool symmetric = true, search = true, desc_act = false, second_format = false;
  double damping = 0.01;
  std::string clip = "mse";
  double percentile = 99.99, smoothing = 0;
  at::ScalarType wide = at::kHalf;  // of what is not quantized

  bool want_gram() const { return scheme.kind == Scheme::Kind::kGptq || scheme.kind == Scheme::Kind::kAwq; }
  bool want_histogram() const { return scheme.kind == Scheme::Kind::kInt8Static; }
  bool int8() const { return scheme.kind == Scheme::Kind::kInt8Static || scheme.kind == Scheme::Kind::kInt8Dynamic; }
  // For config.json.
  model::Quantization quantization() const;
};

// Usage errors for what no model could have.
Plan plan_of(const QuantizeConfig& config, const model::ModelConfig& shape);

// The grid that the weights of an integer scheme are rounded to, and the columns that share a scale in a row of so many.
GridOptions grid_of(const Plan& plan);
int64_t group_of(const Plan& plan, int64_t columns);

// Whether the scheme makes integers (or bytes) of a row; else it is kept in 16 bits. GGUF: gguf_type_of says.
bool is_quantized(const model::WeightRow& row);

// Fails, naming the tensor, if a row's columns (of some scheme also its rows) do not fit. `group_option` and `others` are the words for what the
// user can change.
void check_fits(const Plan& plan, const model::WeightRow& row, const char* group_option = "--group_size",
                const char* others = "--scheme int8-dynamic, fp8-block or a GGUF type");

struct NamedTensor {
  std::string name;
  Tensor tensor;
  std::optional<GgmlType> type;     // GGUF: of the bytes (uint8)
  std::vector<int64_t> shape = {};  // GGUF: of the values
};

struct QuantizedMatrix {
  std::vector<NamedTensor> tensors;
  Tensor values_OI;        // fp32
  double input_scale = 0;  // int8-static
  double damping = 0;      // gptq: what it took
};

// int8-static: where the range of these inputs ends. 0: none were seen, or all of them are 0.
double input_range(const Plan& plan, const InputStatistics& inputs);

// weight_OI fp32, `name` in the file ("model.layers.0.mlp.up_proj.weight"). `inputs`: null where there was no calibration, or where it never
// reached this matrix (an expert that no token was sent to): then it is rounded to the nearest, and int8-static rounds its inputs in the range
// `else_range`, which has to come from elsewhere (its fellow experts). Errors name the tensor.
QuantizedMatrix quantize_matrix(const Plan& plan, const std::string& name, const Tensor& weight_OI, const InputStatistics* inputs,
                                double else_range = 0);

// A whole row of a GGUF file.
QuantizedMatrix quantize_gguf_row(const Plan& plan, const model::WeightRow& row, const Tensor& weight, const InputStatistics* inputs);

}  // namespace r1::quant
