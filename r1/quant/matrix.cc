#include "r1/quant/matrix.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "r1/base/error.h"
#include "r1/model/weights_gguf.h"
#include "r1/quant/awq.h"
#include "r1/quant/gptq.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/dequantize.h"
#include "r1/tensor/fp8_block.h"
#include "r1/tensor/quantize.h"

namespace r1::quant {

namespace {

using Kind = Scheme::Kind;

bool seen(const InputStatistics* inputs) {
  return inputs && inputs->tokens > 0;
}

tensor::IntegerMatrix to_integers(const Plan& plan, const Tensor& weight_OI, const InputStatistics* inputs, QuantizedMatrix& out) {
  const int64_t group = group_of(plan, weight_OI.size(1));
  const Tensor importance_I = seen(inputs) ? inputs->mean_square_I() : Tensor();
  switch (plan.scheme.kind) {
    case Kind::kGptq:
      if (seen(inputs)) {
        GptqResult result = gptq(weight_OI, inputs->gram_II,
                                 {.grid = grid_of(plan),
                                  .group = group,
                                  .order = plan.desc_act ? ColumnOrder::kActivation : ColumnOrder::kGroups,
                                  .damping = plan.damping});
        out.damping = result.damping;
        return result.matrix;
      }
      break;
    case Kind::kAwq:
      if (seen(inputs)) return awq_clip_and_round(weight_OI, inputs->gram_II, group, grid_of(plan));
      break;
    default:
      break;
  }
  return round_to_nearest(weight_OI, group, grid_of(plan), importance_I);
}

QuantizedMatrix fp8_matrix(const std::string& name, const Tensor& weight_OI) {
  QuantizedMatrix out;
  const tensor::Fp8Blocks blocks = tensor::to_fp8_blocks(weight_OI);
  out.values_OI = aten::empty(weight_OI.sizes(), at::kFloat);
  tensor::from_fp8_blocks(blocks, out.values_OI);
  out.tensors = {{name, blocks.values_OI, {}}, {name + "_scale_inv", blocks.scale_inv_RC, {}}};
  return out;
}

}  // namespace

double input_range(const Plan& plan, const InputStatistics& inputs) {
  const MagnitudeHistogram& histogram = inputs.histogram;
  if (inputs.tokens == 0 || !(histogram.largest() > 0)) return 0;
  if (plan.clip == "max") return histogram.largest();
  return plan.clip == "mse" ? histogram.least_error_range(127) : histogram.percentile(plan.percentile / 100);
}

Plan plan_of(const QuantizeConfig& config, const model::ModelConfig& shape) {
  Plan plan;
  plan.scheme = scheme_named(config.scheme);
  plan.model = shape;
  plan.group = config.group_size;
  if (plan.group == 0) fail_usage("--group_size 0: give a number of columns, or -1 for a whole row");
  plan.symmetric = config.symmetric == "auto" ? plan.scheme.kind != Scheme::Kind::kAwq : config.symmetric == "true";
  const Kind kind = plan.scheme.kind;
  if (config.symmetric != "auto" && kind != Kind::kRtn && kind != Kind::kGptq && kind != Kind::kAwq)
    fail_usage("--symmetric is for schemes whose zero points can be chosen (rtn, gptq, awq), and --scheme is ", plan.scheme.name);
  if (config.desc_act && kind != Kind::kGptq) fail_usage("--desc_act is for gptq-4 and gptq-8, and --scheme is ", plan.scheme.name);
  plan.search = config.weight_range == "search";
  plan.desc_act = config.desc_act;
  plan.second_format = config.checkpoint_format == "gptq_v2";
  plan.damping = config.damp_percent;
  plan.clip = config.activation_clip;
  plan.percentile = config.clip_percentile;
  // Of Llama 3 8B and SmolLM2 0.75 was the best of few (docs/quantize.md).
  plan.smoothing = config.smoothing_strength >= 0 ? config.smoothing_strength : plan.scheme.kind == Scheme::Kind::kInt8Static ? 0.75 : 0;
  if (config.smoothing_strength < 0 && config.smoothing_strength != -1)
    fail_usage("--smoothing_strength ", config.smoothing_strength, ": give 0 to 1, or -1 for the scheme's own");
  if (plan.smoothing > 0 && !plan.int8())
    fail_usage("--smoothing_strength is for schemes that round the inputs (int8-static, int8-dynamic), and --scheme is ", plan.scheme.name);
  // Scales are in half precision; weights beside them keep bfloat16 where the model has it.
  plan.wide = plan.scheme.kind == Scheme::Kind::kFp8Block || shape.torch_dtype == "bfloat16" ? at::kBFloat16 : at::kHalf;
  return plan;
}

GridOptions grid_of(const Plan& plan) {
  // A scale for each row, in fp32.
  if (plan.int8()) return {.bits = 8, .symmetric = true, .search = plan.search, .half_scales = false};
  // GPTQ's first format stores zero points less 1 and has none for 0.
  const bool less_one = (plan.scheme.kind == Kind::kGptq || plan.scheme.kind == Kind::kRtn) && !plan.second_format;
  return {.bits = plan.scheme.bits, .symmetric = plan.symmetric, .search = plan.search, .least_zero = less_one ? 1 : 0};
}

int64_t group_of(const Plan& plan, int64_t columns) {
  return plan.group == -1 || plan.int8() ? columns : plan.group;
}

model::Quantization Plan::quantization() const {
  using model::Quantization;
  Quantization q{.bits = scheme.bits,
                 .group = group,
                 .second_format = second_format,
                 .symmetric = symmetric,
                 .activation_order = desc_act,
                 .damping = damping};
  switch (scheme.kind) {
    case Kind::kInt8Dynamic:
    case Kind::kInt8Static:
      q.layout = Quantization::Layout::kInt8;
      q.inputs = scheme.kind == Kind::kInt8Dynamic ? Quantization::Inputs::kPerToken : Quantization::Inputs::kPerTensor;
      break;
    case Kind::kAwq:
      q.layout = Quantization::Layout::kAwq;
      break;
    case Kind::kFp8Block:
      q.layout = Quantization::Layout::kFp8Block;
      break;
    default:
      q.layout = Quantization::Layout::kGptq;
  }
  return q;
}

bool is_quantized(const model::WeightRow& row) {
  return row.quantizable && row.kind == model::WeightKind::kMatrix && row.weight;
}

void check_fits(const Plan& plan, const model::WeightRow& row, const char* group_option, const char* others) {
  if (plan.scheme.gguf() || !is_quantized(row)) return;
  if (plan.scheme.kind == Kind::kFp8Block || plan.int8()) return;
  const int64_t rows = row.shape[row.shape.size() - 2], columns = row.shape.back(), per = 32 / plan.scheme.bits;
  if (plan.group != -1 && columns % plan.group != 0) {
    std::string fits;
    for (const int64_t group : {128, 64, 32, 16})
      if (columns % group == 0) fits += (fits.empty() ? "" : ", ") + std::to_string(group);
    fail_usage("'", row.hf_name, "' has ", columns, " columns, no multiple of ", group_option, " ", plan.group, ": give ",
               fits.empty() ? std::string() : fits + " or ", "-1 (a whole row)");
  }
  if (columns % per != 0 || rows % per != 0)
    fail_usage("'", row.hf_name, "' is ", rows, " x ", columns, ", and ", plan.scheme.name, " packs ", per, " to a word: take ", others);
}

QuantizedMatrix quantize_matrix(const Plan& plan, const std::string& name, const Tensor& weight_OI, const InputStatistics* inputs,
                                double else_range) try {
  check(weight_OI.isfinite().all().item<bool>(), "it holds NaN or infinity, which have no quantized form");
  if (plan.scheme.kind == Kind::kFp8Block) return fp8_matrix(name, weight_OI);
  QuantizedMatrix out;
  const tensor::IntegerMatrix m = to_integers(plan, weight_OI, inputs, out);
  out.values_OI = tensor::dense(m);
  const std::string module = model::module_of(name);
  const auto add = [&](const std::string& tensor_name, const Tensor& tensor) { out.tensors.push_back({tensor_name, tensor, {}}); };
  switch (plan.scheme.kind) {
    case Kind::kInt8Static: {
      const double range = inputs ? input_range(plan, *inputs) : else_range;
      out.input_scale = (range > 0 ? range : 1) / 127;  // inputs that were all 0 say nothing of a range
      add(module + ".input_scale", aten::tensor({float(out.input_scale)}));
      [[fallthrough]];
    }
    case Kind::kInt8Dynamic:
      add(name, tensor::to_int8(m));
      add(name + "_scale", m.scales_OG);
      break;
    case Kind::kAwq: {
      const tensor::AwqTensors t = tensor::to_awq(m);
      add(module + ".qweight", t.qweight), add(module + ".qzeros", t.qzeros), add(module + ".scales", t.scales);
      break;
    }
    default: {
      const tensor::GptqTensors t = tensor::to_gptq(m, plan.second_format);
      add(module + ".g_idx", t.g_idx), add(module + ".qweight", t.qweight), add(module + ".qzeros", t.qzeros),
          add(module + ".scales", t.scales);
    }
  }
  return out;
} catch (const Error& e) {
  throw Error(str("'", name, "': ", e.what()), e.kind());
}

QuantizedMatrix quantize_gguf_row(const Plan& plan, const model::WeightRow& row, const Tensor& weight, const InputStatistics* inputs) {
  const GgmlType type = gguf_type_of(plan.scheme, row, plan.model);
  const GgmlTypeInfo& info = *ggml_type_info(type);
  const std::vector<int64_t> shape = model::gguf_shape(row);
  const Tensor values = model::gguf_values(row, weight, plan.model);
  if (!values.isfinite().all().item<bool>()) fail("'", row.gguf_name, "' holds NaN or infinity, which have no quantized form");
  const int64_t columns = shape.back(), rows = values.numel() / columns, row_bytes = columns / info.block_elements * info.block_bytes;
  QuantizedMatrix out;
  NamedTensor stored{row.gguf_name, {}, type, shape};
  Tensor back = values;
  if (const tensor::QuantizeRow quantize = tensor::quantizer(type)) {
    stored.tensor = aten::empty({rows, row_bytes}, at::kByte);
    back = aten::empty({rows, columns}, at::kFloat);
    const tensor::DequantizeRow dequantize = tensor::dequantizer(type);
    // Of columns; a file that has the matrix the other way round has no use for them.
    const Tensor cost_I = seen(inputs) && !row.transposed_in_gguf ? inputs->mean_square_I().contiguous() : Tensor();
    const float *from = values.const_data_ptr<float>(), *cost = cost_I.defined() ? cost_I.const_data_ptr<float>() : nullptr;
    auto* blocks = reinterpret_cast<std::byte*>(stored.tensor.mutable_data_ptr<uint8_t>());
    float* to = back.mutable_data_ptr<float>();
    at::parallel_for(0, rows, 4, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        quantize(from + r * columns, columns, cost, blocks + r * row_bytes);
        dequantize(blocks + r * row_bytes, columns, to + r * columns);
      }
    });
  } else {
    const Tensor kept = values.to(type == GgmlType::kF32 ? at::kFloat : type == GgmlType::kF16 ? at::kHalf : at::kBFloat16);
    back = kept.to(at::kFloat);
    stored.tensor = aten::from_blob(kept.data_ptr(), {int64_t(kept.nbytes())}, at::TensorOptions(at::kByte)).clone();
  }
  if (!back.isfinite().all().item<bool>())
    fail("'", row.gguf_name, "': its largest weight, ", values.abs().max().item<double>(), ", has no place in ", info.name,
         " (values and scales in half precision end at 65504); take --scheme bf16 or f32");
  out.values_OI = model::from_gguf_values(row, back, plan.model);
  out.tensors.push_back(std::move(stored));
  return out;
}

}  // namespace r1::quant
