#include "r1/tensor/packed.h"

#include <ATen/Parallel.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cstring>

#include "r1/base/error.h"
#include "r1/base/huge_pages.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/dequantize.h"

namespace r1::tensor {

namespace {

class PackedGguf : public PackedMatrix {
 public:
  PackedGguf(GgmlType type, int64_t rows, int64_t columns, Tensor groups)
      : type_(type),
        rows_(rows),
        columns_(columns),
        groups_(std::move(groups)),
        interleaved_{block_form(type), reinterpret_cast<const std::byte*>(groups_.const_data_ptr<uint8_t>())} {}

  std::string format() const override { return ggml_type_info(type_)->name; }
  int64_t rows() const override { return rows_; }
  int64_t columns() const override { return columns_; }
  std::vector<std::pair<std::string, Tensor>> slots() const override { return {{"groups", groups_}}; }
  const InterleavedMatrix* interleaved() const override { return &interleaved_; }
  BlockCodes codes(int64_t first, int64_t count) const override;

 private:
  size_t row_bytes() const {
    const GgmlTypeInfo& info = *ggml_type_info(type_);
    return size_t(columns_ / info.block_elements * info.block_bytes);
  }
  void file_row(int64_t row, std::vector<std::byte>& out) const {
    out.resize(row_bytes());
    copy_interleaved_row(interleaved_.form, columns_, interleaved_.data, row, out.data());
  }

  void unpack_checked(int64_t first, int64_t count, const Tensor& out) const override {
    const bool in_place = out.scalar_type() == at::kFloat;
    const Tensor wide = in_place ? out : aten::empty({count, columns_}, at::kFloat);
    float* to = wide.mutable_data_ptr<float>();
    const DequantizeRow dequantize = dequantizer(type_);
    at::parallel_for(0, count, std::max<int64_t>(1, 65536 / columns_), [&](int64_t begin, int64_t end) {
      std::vector<std::byte> row;
      for (int64_t r = begin; r < end; ++r) {
        file_row(first + r, row);
        dequantize(row.data(), columns_, to + r * columns_);
      }
    });
    if (!in_place) out.copy_(wide);
  }

  GgmlType type_;
  int64_t rows_, columns_;
  Tensor groups_;  // uint8 [groups, bytes of a group]
  InterleavedMatrix interleaved_;
};

// The codes are what the blocks dequantize to with 1 for a scale and 0 for an offset, and the other way round.
BlockCodes PackedGguf::codes(int64_t first, int64_t count) const {
  constexpr uint16_t kOne = 0x3C00;  // of fp16
  const GgmlTypeInfo& info = *ggml_type_info(type_);
  const int64_t blocks = columns_ / info.block_elements;
  const bool offsets = kBlockFields[size_t(interleaved_.form)].m > 0;
  const int64_t scale_at = type_ == GgmlType::kQ6_K ? 208 : 0, offset_at = 2;
  BlockCodes codes{.elements = info.block_elements,
                   .code_OI = aten::empty({count, columns_}, at::kFloat),
                   .scale_OB = aten::empty({count, blocks}, at::kFloat),
                   .offset_code_OI = {},
                   .offset_OB = {}};
  if (offsets) {
    codes.offset_code_OI = aten::empty({count, columns_}, at::kFloat);
    codes.offset_OB = aten::empty({count, blocks}, at::kFloat);
  }
  std::vector<std::byte> row;
  const auto half = [&](int64_t b, int64_t at) { return row.data() + b * info.block_bytes + at; };
  const auto keep = [&](int64_t at, float* to) {
    for (int64_t b = 0; b < blocks; ++b) {
      c10::Half value;
      std::memcpy(static_cast<void*>(&value), half(b, at), 2);
      to[b] = value;
    }
  };
  const auto set = [&](int64_t at, uint16_t value) {
    for (int64_t b = 0; b < blocks; ++b) std::memcpy(half(b, at), &value, 2);
  };
  const DequantizeRow dequantize = dequantizer(type_);
  for (int64_t r = 0; r < count; ++r) {
    file_row(first + r, row);
    keep(scale_at, codes.scale_OB.mutable_data_ptr<float>() + r * blocks);
    if (offsets) {
      keep(offset_at, codes.offset_OB.mutable_data_ptr<float>() + r * blocks);
      set(scale_at, 0), set(offset_at, kOne);
      dequantize(row.data(), columns_, codes.offset_code_OI.mutable_data_ptr<float>() + r * columns_);
      set(offset_at, 0);
    }
    set(scale_at, kOne);
    dequantize(row.data(), columns_, codes.code_OI.mutable_data_ptr<float>() + r * columns_);
  }
  return codes;
}

}  // namespace

void PackedMatrix::unpack(int64_t first, int64_t count, const Tensor& out) const {
  check(first >= 0 && count >= 0 && first + count <= rows(), "[packed] expected rows of ", rows(), ", got [", first, ", ", first + count,
        ")");
  check(out.is_cpu() && out.is_contiguous() && out.dim() == 2 && out.size(0) == count && out.size(1) == columns(),
        "[packed] expected a contiguous CPU output [", count, ", ", columns(), "], got ", out.sizes(), " on ", out.device());
  if (count > 0) unpack_checked(first, count, out);
}

BlockCodes PackedMatrix::codes(int64_t, int64_t) const {
  fail("[packed] ", format(), " has no codes: there is no product for it");
}

int64_t PackedMatrix::bytes() const {
  int64_t sum = 0;
  for (const auto& [name, slot] : slots()) sum += int64_t(slot.nbytes());
  return sum;
}

std::shared_ptr<const PackedMatrix> pack_gguf_tensor(const GgufFile& file, const GgufTensor& tensor, const RowOrder& row_of) {
  if (!dequantizer(tensor.type) || tensor.shape.size() < 2 || tensor.elements == 0) return nullptr;
  const GgmlTypeInfo& info = *ggml_type_info(tensor.type);
  const BlockForm form = block_form(tensor.type);
  const int64_t columns = tensor.shape.back(), rows = int64_t(tensor.elements) / columns;
  const int64_t row_bytes = columns / info.block_elements * info.block_bytes, groups = (rows + kRowsOfGroup - 1) / kRowsOfGroup;
  const std::byte* data = file.data(tensor).data();
  const Tensor interleaved = aten::empty({groups, group_bytes(form, columns)}, at::kByte);
  auto* to = reinterpret_cast<std::byte*>(interleaved.mutable_data_ptr<uint8_t>());
  prefer_huge_pages(to, size_t(interleaved.nbytes()));  // half of a load would be page faults
  at::parallel_for(0, groups, std::max<int64_t>(1, 65536 / interleaved.size(1)), [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      const std::byte* from[kRowsOfGroup];
      for (int64_t r = 0; r < kRowsOfGroup; ++r) {
        const int64_t row = g * kRowsOfGroup + r;
        from[r] = row < rows ? data + (row_of ? row_of(row) : row) * row_bytes : nullptr;
      }
      interleave_rows(form, columns, from, to + g * interleaved.size(1));
    }
  });
  return std::make_shared<PackedGguf>(tensor.type, rows, columns, interleaved);
}

}  // namespace r1::tensor
