#include "r1/ops/device_matrix.h"

#include <ATen/Parallel.h>
#include <c10/util/Float8_e4m3fn.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>

#include "r1/base/error.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cuda_kernels.h"
#include "r1/ops/linear.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

using kernels::cuda::PackedCodes;
using kernels::cuda::PackedLayout;
using kernels::cuda::PackedShift;
using tensor::GroupedCodes;

PackedLayout layout_of(const GroupedCodes& part, int64_t parts) {
  constexpr PackedCodes kCodes[] = {PackedCodes::kInt4, PackedCodes::kInt8, PackedCodes::kE4m3};
  PackedLayout layout{.codes = kCodes[size_t(part.kind)],
                      .shift = part.zero_OG.defined()     ? PackedShift::kZero
                               : part.offset_OG.defined() ? PackedShift::kOffset
                                                          : PackedShift::kNone,
                      .rows = parts * part.rows(),
                      .columns = part.columns(),
                      .group = part.group};
  // A group that a whole row has is as good as one of whole tiles.
  if (part.scale_OG.size(1) == 1) layout.group = layout.column_tiles() * kernels::cuda::kTileColumns;
  return layout;
}

bool fp16_holds(const Tensor& t_OG, bool rounded) {
  const Tensor half = t_OG.to(at::kHalf).to(at::kFloat);
  if (!half.isfinite().all().item<bool>()) return false;
  return rounded || aten::equal(half, t_OG);
}

bool has_form(const GroupedCodes& m, const PackedLayout& l) {
  if (!m.code_OI.defined() || l.columns % 8 != 0 || l.rows == 0) return false;
  if (l.group != 16 && l.group != 32 && l.group % 64 != 0) return false;
  if (!l.half_scales()) return m.kind != GroupedCodes::Kind::kE4m3 || !m.code_OI.bitwise_and(127).eq(127).any().item<bool>();
  const bool k_form = m.format.find("_K") != std::string::npos;
  if (!fp16_holds(m.scale_OG, k_form)) return false;
  return (!m.zero_OG.defined() || fp16_holds(m.zero_OG, false)) && (!m.offset_OG.defined() || fp16_holds(m.offset_OG, k_form));
}

void put_number(const PackedLayout& l, uint8_t* scales, int64_t place, float value) {
  if (l.half_scales())
    reinterpret_cast<c10::Half*>(scales)[place] = value;
  else
    reinterpret_cast<float*>(scales)[place] = value;
}
float number(const PackedLayout& l, const uint8_t* scales, int64_t place) {
  return l.half_scales() ? float(reinterpret_cast<const c10::Half*>(scales)[place]) : reinterpret_cast<const float*>(scales)[place];
}

void pack_row(const PackedLayout& l, const GroupedCodes& m, int64_t from, int64_t row, uint8_t* codes, uint8_t* scales) {
  const uint8_t* code = m.code_OI.const_data_ptr<uint8_t>() + from * l.columns;
  for (int64_t i = 0; i < l.columns; ++i) {
    const int64_t bit = l.code_bit(row, i);
    codes[bit / 8] |= uint8_t(code[i] << bit % 8);
  }
  const int64_t groups = m.scale_OG.size(1);
  const Tensor& shift = m.zero_OG.defined() ? m.zero_OG : m.offset_OG;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t place = l.scale_place(row, g);
    put_number(l, scales, place, m.scale_OG.const_data_ptr<float>()[from * groups + g]);
    if (shift.defined()) put_number(l, scales, place + 1, shift.const_data_ptr<float>()[from * groups + g]);
  }
}

int64_t scale_bytes(const PackedLayout& l) {
  return l.scale_count() * (l.half_scales() ? 2 : 4);
}

// The row tiles from that of row `first` on, as the kernels see them.
const void* codes_from(const DeviceMatrix& m, int64_t first) {
  return m.codes().const_data_ptr<uint8_t>() + m.codes().size(0) / m.layout().row_tiles() * (first / kernels::cuda::kTileRows);
}
const void* scales_from(const DeviceMatrix& m, int64_t first) {
  return m.scales().const_data_ptr<uint8_t>() + m.scales().size(0) / m.layout().row_tiles() * (first / kernels::cuda::kTileRows);
}

kernels::Float float_of(at::ScalarType out) {
  check(out == at::kFloat || out == at::kBFloat16, "[device_linear] expected an output of fp32 or bf16, got ", out);
  return out == at::kFloat ? kernels::Float::kF32 : kernels::Float::kBf16;
}

Tensor unpack(const DeviceMatrix& weight, int64_t first, int64_t count, const int64_t* ids, at::ScalarType type) {
  const at::TensorOptions options = at::TensorOptions(weight.device()).dtype(type);
  Tensor out = aten::empty({count, weight.columns()}, options);
  // From the tile of the first row on, so that whole tiles are seen as such.
  const int64_t begin = ids ? 0 : first / kernels::cuda::kTileRows * kernels::cuda::kTileRows;
  kernels::cuda::packed_rows({.layout = weight.layout(),
                              .codes = codes_from(weight, begin),
                              .scales = scales_from(weight, begin),
                              .ids = ids,
                              .first = first - begin,
                              .count = count,
                              .out = out.mutable_data_ptr(),
                              .out_type = float_of(type)},
                             kernel_stream(weight.device()));
  if (!weight.order().defined()) return out;
  const Tensor ordered = aten::empty(out.sizes(), options);
  ordered.index_copy_(1, weight.order(), out);
  return ordered;
}

}  // namespace

DeviceMatrix::DeviceMatrix(const PackedLayout& layout, Tensor codes, Tensor scales, Tensor order_I, std::string format)
    : layout_(layout), codes_(std::move(codes)), scales_(std::move(scales)), order_I_(std::move(order_I)), format_(std::move(format)) {
  check(codes_.numel() == layout_.code_bytes() && scales_.numel() == scale_bytes(layout_), "[device_matrix] expected ",
        layout_.code_bytes(), " bytes of codes and ", scale_bytes(layout_), " of scales, got ", codes_.numel(), " and ", scales_.numel());
}

std::shared_ptr<const DeviceMatrix> pack_for_device(const std::vector<GroupedCodes>& parts) {
  check(!parts.empty(), "[device_matrix] expected at least one matrix");
  if (!parts[0].code_OI.defined()) return nullptr;
  const PackedLayout l = layout_of(parts[0], int64_t(parts.size()));
  for (const GroupedCodes& part : parts) {
    if (!has_form(part, l)) return nullptr;
    const PackedLayout own = layout_of(part, int64_t(parts.size()));
    const bool alike =
        own.rows == l.rows && own.columns == l.columns && own.group == l.group && own.shift == l.shift && part.kind == parts[0].kind;
    if (!alike || (parts.size() > 1 && part.order_I.defined())) return nullptr;
  }
  const Tensor codes = aten::zeros({l.code_bytes()}, at::kByte), scales = aten::zeros({scale_bytes(l)}, at::kByte);
  const int64_t part_rows = parts[0].rows();
  at::parallel_for(0, l.row_tiles(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin * kernels::cuda::kTileRows; r < std::min(end * kernels::cuda::kTileRows, l.rows); ++r)
      pack_row(l, parts[size_t(r / part_rows)], r % part_rows, r, codes.mutable_data_ptr<uint8_t>(), scales.mutable_data_ptr<uint8_t>());
  });
  return std::make_shared<DeviceMatrix>(l, codes, scales, parts[0].order_I, parts[0].format);
}

std::shared_ptr<const DeviceMatrix> to_device(const DeviceMatrix& m, at::Device device) {
  return std::make_shared<DeviceMatrix>(m.layout(), m.codes().to(device), m.scales().to(device),
                                        m.order().defined() ? m.order().to(device) : Tensor(), m.format());
}

JointDeviceMatrix join(const std::vector<std::shared_ptr<const DeviceMatrix>>& matrices) {
  check(!matrices.empty(), "[device_matrix] expected at least one matrix");
  PackedLayout l = matrices[0]->layout();
  l.rows = 0;
  std::vector<Tensor> codes, scales;
  for (const auto& m : matrices) {
    const PackedLayout& own = m->layout();
    if (own.codes != l.codes || own.shift != l.shift || own.columns != l.columns || own.group != l.group) return {};
    if (own.rows % kernels::cuda::kTileRows != 0 || m->order().defined()) return {};
    l.rows += own.rows;
    codes.push_back(m->codes()), scales.push_back(m->scales());
  }
  JointDeviceMatrix out{std::make_shared<DeviceMatrix>(l, aten::cat(codes), aten::cat(scales), Tensor(), matrices[0]->format()), {}};
  int64_t code = 0, scale = 0;
  for (const auto& m : matrices) {
    out.parts.push_back(std::make_shared<DeviceMatrix>(m->layout(), out.joint->codes().narrow(0, code, m->codes().numel()),
                                                       out.joint->scales().narrow(0, scale, m->scales().numel()), Tensor(), m->format()));
    code += m->codes().numel(), scale += m->scales().numel();
  }
  return out;
}

bool has_device_linear(const DeviceMatrix& weight, const Tensor& x_TI) {
  return weight.device().is_cuda() && x_TI.device() == weight.device() && x_TI.scalar_type() == at::kBFloat16;
}

Tensor device_linear(const Tensor& x_TI, const DeviceMatrix& weight, int64_t first, int64_t count, const Tensor& bias_O,
                     at::ScalarType type) {
  check(has_device_linear(weight, x_TI), "[device_linear] expected x of bf16 on ", weight.device(), ", got ", x_TI.scalar_type(), " on ",
        x_TI.device());
  check(x_TI.dim() == 2 && x_TI.size(1) == weight.columns(), "[device_linear] expected x [T, ", weight.columns(), "], got ", x_TI.sizes());
  check(first >= 0 && count >= 0 && first + count <= weight.rows(), "[device_linear] expected outputs of ", weight.rows(), ", got [", first,
        ", ", first + count, ")");
  check(!bias_O.defined() || (bias_O.dim() == 1 && bias_O.size(0) == count && bias_O.scalar_type() == at::kBFloat16),
        "[device_linear] expected bias [", count, "] of bf16, got ", bias_O.sizes());
  check(!needs_grad({x_TI, bias_O}), "[device_linear] has no gradient: run it under no_grad");
  if (x_TI.size(0) == 0 || count == 0) return aten::zeros({x_TI.size(0), count}, x_TI.options().dtype(type));
  if (x_TI.size(0) >= kUnpackRows) {
    const Tensor dense = unpack_rows(weight, first, count, at::kBFloat16);
    if (type == at::kFloat) {
      const Tensor y = linear_fp32(x_TI, dense);
      return bias_O.defined() ? y + bias_O : y;
    }
    return linear(x_TI, dense, bias_O);
  }
  // Tiles are whole: what comes before the first output in its tile is worked out and dropped.
  const int64_t begin = first / kernels::cuda::kTileRows * kernels::cuda::kTileRows, extra = first - begin;
  if (extra > 0 && bias_O.defined()) return (device_linear(x_TI, weight, first, count, {}, at::kFloat) + bias_O).to(type);
  Tensor x = weight.order().defined() ? aten::index_select(x_TI, 1, weight.order()) : x_TI;
  if (x.stride(1) != 1 || x.stride(0) % 8 != 0 || reinterpret_cast<uintptr_t>(x.const_data_ptr()) % 16 != 0)
    x = x.clone(at::MemoryFormat::Contiguous);
  const Tensor bias = bias_O.defined() ? bias_O.contiguous() : Tensor();
  const Tensor y_TO = aten::empty({x.size(0), extra + count}, x.options().dtype(type));
  PackedLayout layout = weight.layout();
  layout.rows = extra + count;
  kernels::cuda::packed_product({.x = x.const_data_ptr(),
                                 .x_stride = x.stride(0),
                                 .layout = layout,
                                 .codes = codes_from(weight, begin),
                                 .scales = scales_from(weight, begin),
                                 .bias = bias.defined() ? bias.const_data_ptr() : nullptr,
                                 .y = y_TO.mutable_data_ptr(),
                                 .y_type = float_of(type),
                                 .rows = x.size(0)},
                                kernel_stream(x.device()));
  return extra == 0 ? y_TO : y_TO.narrow(1, extra, count).contiguous();
}

Tensor unpack_rows(const DeviceMatrix& weight, int64_t first, int64_t count, at::ScalarType type) {
  check(first >= 0 && count >= 0 && first + count <= weight.rows(), "[device_matrix] expected rows of ", weight.rows(), ", got [", first,
        ", ", first + count, ")");
  if (!weight.device().is_cuda()) return unpack_ref(weight).narrow(0, first, count).to(type);
  return unpack(weight, first, count, nullptr, type);
}

Tensor unpack_rows(const DeviceMatrix& weight, const Tensor& ids_T, at::ScalarType type) {
  if (!weight.device().is_cuda()) return aten::index_select(unpack_ref(weight), 0, ids_T).to(type);
  check(ids_T.scalar_type() == at::kLong && ids_T.device() == weight.device() && ids_T.dim() == 1,
        "[device_matrix] expected row numbers, int64 on ", weight.device(), ", got ", ids_T.scalar_type(), " on ", ids_T.device());
  const Tensor ids = ids_T.contiguous();
  return unpack(weight, 0, ids.size(0), ids.const_data_ptr<int64_t>(), type);
}

Tensor unpack_ref(const DeviceMatrix& weight) {
  const PackedLayout& l = weight.layout();
  const Tensor codes = weight.codes().to(at::kCPU), scales = weight.scales().to(at::kCPU),
               out = aten::empty({l.rows, l.columns}, at::kFloat);
  const uint8_t* code = codes.const_data_ptr<uint8_t>();
  const uint8_t* scale = scales.const_data_ptr<uint8_t>();
  float* to = out.mutable_data_ptr<float>();
  for (int64_t r = 0; r < l.rows; ++r)
    for (int64_t i = 0; i < l.columns; ++i) {
      const int64_t bit = l.code_bit(r, i), place = l.scale_place(r, i / l.group);
      const uint8_t byte = code[bit / 8];
      float value;
      switch (l.codes) {
        case PackedCodes::kInt4:
          value = float(byte >> bit % 8 & 15) - (l.shift == PackedShift::kNone ? 8.0f : 0.0f);
          break;
        case PackedCodes::kInt8:
          value = float(int8_t(byte));
          break;
        case PackedCodes::kE4m3:
          value = float(c10::Float8_e4m3fn(byte, c10::Float8_e4m3fn::from_bits()));
          break;
        default:
          value = 0;
      }
      if (l.shift == PackedShift::kZero) value -= number(l, scale, place + 1);
      value *= number(l, scale, place);
      if (l.shift == PackedShift::kOffset) value += number(l, scale, place + 1);
      to[r * l.columns + i] = value;
    }
  if (!weight.order().defined()) return out;
  const Tensor ordered = aten::empty(out.sizes(), at::kFloat);
  ordered.index_copy_(1, weight.order().to(at::kCPU), out);
  return ordered;
}

}  // namespace r1::ops
