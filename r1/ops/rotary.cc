#include "r1/ops/rotary.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "r1/base/error.h"
#include "r1/kernels/cpu/rope.h"
#include "r1/kernels/cuda/rope.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/ops/cuda_kernels.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// Llama 3.1's stretching of one frequency.
float llama3_frequency(float frequency, const RotaryScaling& s) {
  const double wavelength = 2 * M_PI / frequency;
  if (wavelength < s.original_max_positions / s.high_freq_factor) return frequency;
  if (wavelength > s.original_max_positions / s.low_freq_factor) return float(frequency / s.factor);
  const double blend = (s.original_max_positions / wavelength - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
  return float((1 - blend) * frequency / s.factor + blend * frequency);
}

// The pair (as a real number) that turns `turns` times in the trained context.
double yarn_pair(double turns, int64_t head_dim, double theta, const RotaryScaling& s) {
  return double(head_dim) * std::log(s.original_max_positions / (turns * 2 * M_PI)) / (2 * std::log(theta));
}

// YaRN's stretching of pair i. The ends of the ramp are rounded outwards and the upper one is cut at head_dim - 1, as in the published
// code.
float yarn_frequency(float plain, int64_t i, int64_t head_dim, double theta, const RotaryScaling& s) {
  const double low = std::max(std::floor(yarn_pair(s.beta_fast, head_dim, theta, s)), 0.0);
  const double high = std::min(std::ceil(yarn_pair(s.beta_slow, head_dim, theta, s)), double(head_dim - 1));
  const double stretched = std::clamp((double(i) - low) / (high == low ? 0.001 : high - low), 0.0, 1.0);
  return float(plain / s.factor * stretched + plain * (1 - stretched));
}

// A rotated copy; turned back when `inverse`.
Tensor rotated(const Tensor& x_TNH, const Tensor& cos_PH, const Tensor& sin_PH, const Tensor& positions_T, bool interleaved, bool inverse) {
  Tensor y_TNH = x_TNH.clone(at::MemoryFormat::Contiguous);
  kernels::rope({.x = rows(y_TNH),
                 .tokens = y_TNH.size(0),
                 .heads = y_TNH.size(1),
                 .head_dim = y_TNH.size(2),
                 .rotary_dim = y_TNH.size(2),
                 .positions = positions_T.const_data_ptr<int32_t>(),
                 .cos = cos_PH.const_data_ptr<float>(),
                 .sin = sin_PH.const_data_ptr<float>(),
                 .max_position = cos_PH.size(0),
                 .layout = interleaved ? kernels::RopeLayout::kPairs : kernels::RopeLayout::kHalves,
                 .inverse = inverse});
  return y_TNH;
}

Tensor rotary_cpu(const Tensor& x_TNH, const RotaryTable& table, const Tensor& positions_T) {
  Tensor y_TNH;
  {
    const at::NoGradGuard no_grad;
    y_TNH = rotated(x_TNH, table.cos_PH, table.sin_PH, positions_T, table.interleaved, false);
  }
  if (!needs_grad({x_TNH})) return y_TNH;
  return differentiable("rotary", y_TNH, {x_TNH}, {table.cos_PH, table.sin_PH, positions_T},
                        [interleaved = table.interleaved](const Tensor& dy_TNH, const Tensors& saved, const Wanted&) {
                          return Tensors{rotated(dy_TNH, saved[0], saved[1], saved[2], interleaved, true)};
                        });
}

Tensor rotated_cuda(const Tensor& x_TNH, const Tensor& cos_PH, const Tensor& sin_PH, const Tensor& positions_T, bool interleaved,
                    bool inverse) {
  const Tensor x = x_TNH.stride(2) == 1 ? x_TNH : x_TNH.contiguous(), y_TNH = aten::empty(x.sizes(), x.options());
  kernels::cuda::rope({.type = kernel_float(x.scalar_type()),
                       .x = x.const_data_ptr(),
                       .y = y_TNH.mutable_data_ptr(),
                       .tokens = x.size(0),
                       .heads = x.size(1),
                       .head_dim = x.size(2),
                       .token_stride = x.stride(0),
                       .head_stride = x.stride(1),
                       .positions = positions_T.const_data_ptr<int32_t>(),
                       .cos = cos_PH.const_data_ptr<float>(),
                       .sin = sin_PH.const_data_ptr<float>(),
                       .layout = interleaved ? kernels::RopeLayout::kPairs : kernels::RopeLayout::kHalves,
                       .inverse = inverse},
                      kernel_stream(x.device()));
  return y_TNH;
}

Tensor rotary_cuda(const Tensor& x_TNH, const RotaryTable& table, const Tensor& positions_T) {
  Tensor y_TNH, cos_PH, sin_PH, positions;
  {
    const at::NoGradGuard no_grad;
    cos_PH = table.cos_PH.contiguous(), sin_PH = table.sin_PH.contiguous(), positions = positions_T.contiguous();
    y_TNH = rotated_cuda(x_TNH, cos_PH, sin_PH, positions, table.interleaved, false);
  }
  if (!needs_grad({x_TNH})) return y_TNH;
  return differentiable("rotary", y_TNH, {x_TNH}, {cos_PH, sin_PH, positions},
                        [interleaved = table.interleaved](const Tensor& dy_TNH, const Tensors& saved, const Wanted&) {
                          return Tensors{rotated_cuda(dy_TNH, saved[0], saved[1], saved[2], interleaved, true)};
                        });
}

}  // namespace

std::vector<float> rotary_frequencies(int64_t head_dim, double theta, const RotaryScaling& scaling) {
  check(head_dim > 0 && head_dim % 2 == 0, "[rotary] expected an even head size, got ", head_dim);
  std::vector<float> frequencies(head_dim / 2);
  for (int64_t i = 0; i < head_dim / 2; ++i) {
    const float plain = float(1.0 / std::pow(theta, double(2 * i) / double(head_dim)));
    switch (scaling.kind) {
      case RotaryScaling::kNone:
        frequencies[i] = plain;
        break;
      case RotaryScaling::kLinear:
        frequencies[i] = float(plain / scaling.factor);
        break;
      case RotaryScaling::kLlama3:
        frequencies[i] = llama3_frequency(plain, scaling);
        break;
      case RotaryScaling::kYarn:
        frequencies[i] = yarn_frequency(plain, i, head_dim, theta, scaling);
        break;
    }
  }
  return frequencies;
}

double yarn_mscale(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

RotaryTable rotary_table(const std::vector<float>& frequencies, int64_t positions, at::Device device, bool interleaved, double magnitude) {
  const Tensor none_PH = aten::empty({0, int64_t(frequencies.size())}, at::TensorOptions(at::kFloat).device(device));
  RotaryTable table{none_PH, none_PH, interleaved, frequencies, magnitude};
  table.reach(positions);
  return table;
}

void RotaryTable::reach(int64_t wanted) {
  const int64_t begin = positions(), half = int64_t(frequencies.size());
  if (wanted <= begin) return;
  const Tensor new_cos_PH = aten::empty({wanted - begin, half}, at::kFloat), new_sin_PH = aten::empty({wanted - begin, half}, at::kFloat);
  float *cos = new_cos_PH.mutable_data_ptr<float>(), *sin = new_sin_PH.mutable_data_ptr<float>();
  for (int64_t p = begin; p < wanted; ++p) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle = double(p) * double(frequencies[i]);
      *cos++ = float(magnitude * std::cos(angle));
      *sin++ = float(magnitude * std::sin(angle));
    }
  }
  cos_PH = aten::cat({cos_PH, new_cos_PH.to(cos_PH.device())});
  sin_PH = aten::cat({sin_PH, new_sin_PH.to(sin_PH.device())});
}

std::vector<int64_t> components_by_section(const std::vector<int64_t>& sections) {
  std::vector<int64_t> component;
  for (size_t c = 0; c < sections.size(); ++c) component.insert(component.end(), size_t(sections[c]), int64_t(c));
  return component;
}

namespace {

// The rows that tokens with several components meet, one a token: entry i of row t is the table's at the component of pair i.
RotaryTable table_of_tokens(const RotaryTable& table, const Tensor& positions_TC) {
  check(int64_t(table.component_of_pair.size()) == table.cos_PH.size(1) && !table.component_of_pair.empty(),
        "[rotary] expected a table of ", table.cos_PH.size(1), " pairs with a component each for positions ", positions_TC.sizes(),
        ", got ", table.component_of_pair.size());
  for (const int64_t c : table.component_of_pair)
    check(c >= 0 && c < positions_TC.size(1), "[rotary] expected components below ", positions_TC.size(1), ", got ", c);
  const Tensor component_H = aten::tensor(table.component_of_pair, at::kLong).to(positions_TC.device());
  const Tensor row_TH = positions_TC.index_select(1, component_H).to(at::kLong);
  if (row_TH.is_cpu() && row_TH.numel() > 0)
    check(row_TH.min().item<int64_t>() >= 0 && row_TH.max().item<int64_t>() < table.positions(), "[rotary] expected positions below ",
          table.positions(), ", got ", row_TH.max().item<int64_t>());
  return {table.cos_PH.gather(0, row_TH), table.sin_PH.gather(0, row_TH), table.interleaved};
}

}  // namespace

Tensor rotary(const Tensor& x_TNH, const RotaryTable& table, const Tensor& positions) {
  check(x_TNH.dim() == 3 && x_TNH.size(2) == 2 * table.cos_PH.size(1), "[rotary] expected x [T, N, ", 2 * table.cos_PH.size(1), "], got ",
        x_TNH.sizes());
  check((positions.dim() == 1 || positions.dim() == 2) && positions.size(0) == x_TNH.size(0) && positions.scalar_type() == at::kInt,
        "[rotary] expected int32 positions [", x_TNH.size(0), "] or [", x_TNH.size(0), ", C], got ", positions.scalar_type(), " ",
        positions.sizes());
  if (positions.dim() == 2) return rotary(x_TNH, table_of_tokens(table, positions), aten::arange(positions.size(0), positions.options()));
  if (has_cpu_kernels(x_TNH)) return rotary_cpu(x_TNH, table, positions);
  if (has_cuda_kernels(x_TNH)) return rotary_cuda(x_TNH, table, positions);
  return rotary_ref(x_TNH, table, positions);
}

}  // namespace r1::ops
