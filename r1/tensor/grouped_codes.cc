#include "r1/tensor/grouped_codes.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/dequantize.h"
#include "r1/tensor/ggml_blocks.h"

namespace r1::tensor {

namespace {

constexpr uint8_t kOne[2] = {0x00, 0x3C};  // fp16

// How a block gives its parts away: bytes are set so that a block dequantizes to its codes (scales of one, offsets of zero), and so that codes of
// one leave the scales alone.
struct Probe {
  GgmlType type;
  int64_t group;     // columns of a scale
  int code_of_zero;  // what is subtracted from stored codes
  bool four_bits, has_offset;
  int64_t d, m;                                              // bytes of a block: where its fp16 scale and offset stand
  int64_t scales = 0, scale_bytes = 0;                       // its quantized scales (256 to a block)
  int64_t low = 0, low_bytes = 0, high = 0, high_bytes = 0;  // its codes
  uint8_t high_of_one = 0;
};

// Of codes that are one: what the low bits of the stored code are, a byte of two.
constexpr Probe kProbes[] = {
    {.type = GgmlType::kQ4_0,
     .group = 32,
     .code_of_zero = 8,
     .four_bits = true,
     .has_offset = false,
     .d = 0,
     .m = 0,
     .low = 2,
     .low_bytes = 16},
    {.type = GgmlType::kQ4_1,
     .group = 32,
     .code_of_zero = 0,
     .four_bits = true,
     .has_offset = true,
     .d = 0,
     .m = 2,
     .low = 4,
     .low_bytes = 16},
    {.type = GgmlType::kQ5_0,
     .group = 32,
     .code_of_zero = 16,
     .four_bits = false,
     .has_offset = false,
     .d = 0,
     .m = 0,
     .low = 6,
     .low_bytes = 16,
     .high = 2,
     .high_bytes = 4,
     .high_of_one = 0xFF},
    {.type = GgmlType::kQ5_1,
     .group = 32,
     .code_of_zero = 0,
     .four_bits = false,
     .has_offset = true,
     .d = 0,
     .m = 2,
     .low = 8,
     .low_bytes = 16,
     .high = 4,
     .high_bytes = 4},
    {.type = GgmlType::kQ8_0,
     .group = 32,
     .code_of_zero = 0,
     .four_bits = false,
     .has_offset = false,
     .d = 0,
     .m = 0,
     .low = 2,
     .low_bytes = 32},
    {.type = GgmlType::kQ4_K,
     .group = 32,
     .code_of_zero = 0,
     .four_bits = true,
     .has_offset = true,
     .d = 0,
     .m = 2,
     .scales = 4,
     .scale_bytes = 12,
     .low = 16,
     .low_bytes = 128},
    {.type = GgmlType::kQ5_K,
     .group = 32,
     .code_of_zero = 0,
     .four_bits = false,
     .has_offset = true,
     .d = 0,
     .m = 2,
     .scales = 4,
     .scale_bytes = 12,
     .low = 48,
     .low_bytes = 128,
     .high = 16,
     .high_bytes = 32},
    {.type = GgmlType::kQ6_K,
     .group = 16,
     .code_of_zero = 32,
     .four_bits = false,
     .has_offset = false,
     .d = 208,
     .m = 0,
     .scales = 192,
     .scale_bytes = 16,
     .low = 0,
     .low_bytes = 128,
     .high = 128,
     .high_bytes = 64,
     .high_of_one = 0xAA},
};

const Probe& probe_of(GgmlType type, const std::string& name) {
  for (const Probe& p : kProbes)
    if (p.type == type) return p;
  fail(name, ": not a quantized tensor");
}

// Scales of one and offsets of zero, six bits each (dequantize.cc: scale_min).
constexpr uint8_t kScalesOfOne[12] = {1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1};

void codes_alone(const Probe& p, std::byte* block) {
  std::memcpy(block + p.d, kOne, 2);
  if (p.has_offset) std::memset(block + p.m, 0, 2);
  if (p.scale_bytes == 12) std::memcpy(block + p.scales, kScalesOfOne, 12);
  if (p.scale_bytes == 16) std::memset(block + p.scales, 1, 16);
}

void codes_of_one(const Probe& p, std::byte* block) {
  // 1 + code_of_zero: its low four bits are 1 but for Q4_0 (9); Q8_0's code is a byte.
  std::memset(block + p.low, p.type == GgmlType::kQ8_0 ? 1 : p.type == GgmlType::kQ4_0 ? 0x99 : 0x11, size_t(p.low_bytes));
  if (p.high_bytes > 0) std::memset(block + p.high, p.high_of_one, size_t(p.high_bytes));
}

}  // namespace

bool is_quantized(GgmlType type) {
  return dequantizer(type) != nullptr;
}

GroupedCodes grouped_codes(const GgufFile& file, const GgufTensor& tensor, const RowOrder& row_of) {
  const Probe& p = probe_of(tensor.type, tensor.name);
  const GgmlTypeInfo& info = *ggml_type_info(tensor.type);
  const DequantizeRow dequantize = dequantizer(tensor.type);
  const int64_t n = tensor.shape.back(), rows = int64_t(tensor.elements) / n, groups = n / p.group;
  const int64_t block_bytes = info.block_bytes, row_bytes = n / info.block_elements * block_bytes;
  GroupedCodes out{.kind = p.four_bits ? GroupedCodes::Kind::kInt4 : GroupedCodes::Kind::kInt8,
                   .code_OI = aten::empty({rows, n}, at::kByte),
                   .group = p.group,
                   .scale_OG = aten::empty({rows, groups}, at::kFloat),
                   .zero_OG = {},
                   .offset_OG = p.has_offset ? aten::empty({rows, groups}, at::kFloat) : Tensor(),
                   .format = info.name};
  const std::byte* data = file.data(tensor).data();
  uint8_t* code = out.code_OI.mutable_data_ptr<uint8_t>();
  float* scale = out.scale_OG.mutable_data_ptr<float>();
  float* offset = p.has_offset ? out.offset_OG.mutable_data_ptr<float>() : nullptr;
  // A code of one without its offset is the scale; without the scale the offset.
  at::parallel_for(0, rows, std::max<int64_t>(1, 65536 / n), [&](int64_t begin, int64_t end) {
    std::vector<std::byte> row(static_cast<size_t>(row_bytes));
    std::vector<float> values(static_cast<size_t>(n));
    const auto every_block = [&](const auto& change) {
      for (int64_t at = 0; at < row_bytes; at += block_bytes) change(row.data() + at);
      dequantize(row.data(), n, values.data());
    };
    for (int64_t r = begin; r < end; ++r) {
      const std::byte* from = data + (row_of ? row_of(r) : r) * row_bytes;
      std::memcpy(row.data(), from, size_t(row_bytes));
      every_block([&](std::byte* block) { codes_alone(p, block); });
      for (int64_t i = 0; i < n; ++i)
        code[r * n + i] = uint8_t(int(values[size_t(i)]) + (p.four_bits && !p.has_offset ? p.code_of_zero : 0));
      std::memcpy(row.data(), from, size_t(row_bytes));
      every_block([&](std::byte* block) {
        codes_of_one(p, block);
        if (p.has_offset) std::memset(block + p.m, 0, 2);
      });
      for (int64_t g = 0; g < groups; ++g) scale[r * groups + g] = values[size_t(g * p.group)];
      if (!offset) continue;
      std::memcpy(row.data(), from, size_t(row_bytes));
      every_block([&](std::byte* block) { std::memset(block + p.d, 0, 2); });
      for (int64_t g = 0; g < groups; ++g) offset[r * groups + g] = values[size_t(g * p.group)];
    }
  });
  return out;
}

GroupedCodes grouped_codes(const IntegerMatrix& m) {
  const int64_t n = m.columns(), groups = m.groups();
  GroupedCodes out{.kind = m.bits == 4 ? GroupedCodes::Kind::kInt4 : GroupedCodes::Kind::kInt8,
                   .code_OI = {},
                   .group = n / groups,
                   .scale_OG = m.scales_OG.to(at::kFloat).contiguous(),
                   .zero_OG = {},
                   .offset_OG = {},
                   .format = str("integers of ", m.bits, " bits")};
  Tensor code = m.codes_OI;
  if (n % groups != 0) return out;
  if (m.group_of_I.defined()) {
    const Tensor own = m.group_of_I.to(at::kInt).contiguous();
    const int32_t* group_of = own.const_data_ptr<int32_t>();
    std::vector<int64_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    if (!std::is_sorted(group_of, group_of + n)) {
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return group_of[a] < group_of[b]; });
      out.order_I = aten::tensor(order);
      code = aten::index_select(code, 1, out.order_I);
    }
    for (int64_t i = 0; i < n; ++i)
      if (group_of[order[size_t(i)]] != i / out.group) return out;
  }
  const Tensor zeros = m.zeros_OG.to(at::kFloat).contiguous();
  const double middle = m.bits == 4 ? 8 : 128;
  if (!aten::equal(zeros, aten::full(zeros.sizes(), middle, at::kFloat))) out.zero_OG = m.bits == 4 ? zeros : zeros - middle;
  out.code_OI = m.bits == 4 ? code.contiguous() : code.bitwise_xor(128).contiguous();
  return out;
}

GroupedCodes grouped_codes(const Fp8Blocks& blocks) {
  const int64_t rows = blocks.values_OI.size(0);
  return {.kind = GroupedCodes::Kind::kE4m3,
          .code_OI = blocks.values_OI.view(at::kByte).contiguous(),
          .group = kFp8Block,
          .scale_OG = blocks.scale_inv_RC.to(at::kFloat).repeat_interleave(kFp8Block, 0).narrow(0, 0, rows).contiguous(),
          .zero_OG = {},
          .offset_OG = {},
          .format = "fp8 in blocks of 128 x 128"};
}

Tensor dense(const GroupedCodes& m) {
  const auto wide = [&](const Tensor& t_OG) { return t_OG.repeat_interleave(m.group, 1).narrow(1, 0, m.columns()); };
  Tensor code;
  switch (m.kind) {
    case GroupedCodes::Kind::kInt4:
      code = m.code_OI.to(at::kFloat) - (m.zero_OG.defined() || m.offset_OG.defined() ? 0 : 8);
      break;
    case GroupedCodes::Kind::kInt8:
      code = m.code_OI.view(at::kChar).to(at::kFloat);
      break;
    case GroupedCodes::Kind::kE4m3:
      code = m.code_OI.view(at::kFloat8_e4m3fn).to(at::kFloat);
  }
  if (m.zero_OG.defined()) code = code - wide(m.zero_OG);
  Tensor values = wide(m.scale_OG) * code;
  if (m.offset_OG.defined()) values = values + wide(m.offset_OG);
  if (!m.order_I.defined()) return values;
  const Tensor out = aten::empty(values.sizes(), at::kFloat);
  out.index_copy_(1, m.order_I, values);
  return out;
}

}  // namespace r1::tensor
