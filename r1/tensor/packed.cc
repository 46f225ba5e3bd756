#include "r1/tensor/packed.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/dequantize.h"

namespace r1::tensor {

namespace {

class PackedFp8 : public PackedMatrix {
 public:
  explicit PackedFp8(std::vector<Fp8Blocks> parts) : parts_(std::move(parts)) {
    check(!parts_.empty(), "[packed] expected at least one matrix");
    for (const Fp8Blocks& part : parts_)
      check(part.values_OI.sizes() == parts_[0].values_OI.sizes(), "[packed] expected matrices of one shape ", parts_[0].values_OI.sizes(),
            ", got ", part.values_OI.sizes());
  }

  std::string format() const override { return "fp8 in blocks of 128 x 128"; }
  int64_t rows() const override { return int64_t(parts_.size()) * part_rows(); }
  int64_t columns() const override { return parts_[0].values_OI.size(1); }
  std::vector<std::pair<std::string, Tensor>> slots() const override {
    std::vector<std::pair<std::string, Tensor>> all;
    for (const Fp8Blocks& part : parts_) {
      all.emplace_back("values", part.values_OI);
      all.emplace_back("scales", part.scale_inv_RC);
    }
    return all;
  }

 private:
  int64_t part_rows() const { return parts_[0].values_OI.size(0); }

  void unpack_checked(int64_t first, int64_t count, const Tensor& out) const override {
    for (int64_t done = 0; done < count;) {
      const int64_t part = (first + done) / part_rows(), begin = (first + done) % part_rows();
      const int64_t here = std::min(count - done, part_rows() - begin);
      unpack_part(parts_[size_t(part)], begin, here, out.narrow(0, done, here));
      done += here;
    }
  }

  // From the first row of the block that `begin` lies in; what is before it is dropped.
  static void unpack_part(const Fp8Blocks& part, int64_t begin, int64_t count, const Tensor& out) {
    const int64_t aligned = begin / kFp8Block * kFp8Block, rows = begin + count - aligned;
    const Fp8Blocks blocks{part.values_OI.narrow(0, aligned, rows),
                           part.scale_inv_RC.narrow(0, aligned / kFp8Block, (rows + kFp8Block - 1) / kFp8Block)};
    if (aligned == begin) return from_fp8_blocks(blocks, out);
    const Tensor whole = aten::empty({rows, out.size(1)}, out.options());
    from_fp8_blocks(blocks, whole);
    out.copy_(whole.narrow(0, begin - aligned, count));
  }

  std::vector<Fp8Blocks> parts_;
};

class PackedGguf : public PackedMatrix {
 public:
  PackedGguf(GgmlType type, int64_t columns, Tensor bytes) : type_(type), columns_(columns), bytes_(std::move(bytes)) {}

  std::string format() const override { return ggml_type_info(type_)->name; }
  int64_t rows() const override { return bytes_.size(0); }
  int64_t columns() const override { return columns_; }
  std::vector<std::pair<std::string, Tensor>> slots() const override { return {{"blocks", bytes_}}; }

 private:
  void unpack_checked(int64_t first, int64_t count, const Tensor& out) const override {
    const bool in_place = out.scalar_type() == at::kFloat;
    const Tensor wide = in_place ? out : aten::empty({count, columns_}, at::kFloat);
    const auto* from = reinterpret_cast<const std::byte*>(bytes_.const_data_ptr<uint8_t>());
    float* to = wide.mutable_data_ptr<float>();
    const DequantizeRow dequantize = dequantizer(type_);
    at::parallel_for(0, count, std::max<int64_t>(1, 65536 / columns_), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) dequantize(from + (first + r) * bytes_.size(1), columns_, to + r * columns_);
    });
    if (!in_place) out.copy_(wide);
  }

  GgmlType type_;
  int64_t columns_;
  Tensor bytes_;  // uint8 [rows, bytes of a row]
};

}  // namespace

void PackedMatrix::unpack(int64_t first, int64_t count, const Tensor& out) const {
  check(first >= 0 && count >= 0 && first + count <= rows(), "[packed] expected rows of ", rows(), ", got [", first, ", ", first + count,
        ")");
  check(out.is_cpu() && out.is_contiguous() && out.dim() == 2 && out.size(0) == count && out.size(1) == columns(),
        "[packed] expected a contiguous CPU output [", count, ", ", columns(), "], got ", out.sizes(), " on ", out.device());
  if (count > 0) unpack_checked(first, count, out);
}

int64_t PackedMatrix::bytes() const {
  int64_t sum = 0;
  for (const auto& [name, slot] : slots()) sum += int64_t(slot.nbytes());
  return sum;
}

std::shared_ptr<const PackedMatrix> pack_fp8_blocks(std::vector<Fp8Blocks> parts) {
  return std::make_shared<PackedFp8>(std::move(parts));
}

std::shared_ptr<const PackedMatrix> pack_gguf_tensor(const GgufFile& file, const GgufTensor& tensor, const RowOrder& row_of) {
  if (!dequantizer(tensor.type) || tensor.shape.size() < 2 || tensor.elements == 0) return nullptr;
  const GgmlTypeInfo& info = *ggml_type_info(tensor.type);
  const int64_t columns = tensor.shape.back(), rows = int64_t(tensor.elements) / columns;
  const int64_t row_bytes = columns / info.block_elements * info.block_bytes;
  const std::byte* data = file.data(tensor).data();
  const Tensor bytes = aten::empty({rows, row_bytes}, at::kByte);
  uint8_t* to = bytes.mutable_data_ptr<uint8_t>();
  for (int64_t r = 0; r < rows; ++r) std::memcpy(to + r * row_bytes, data + (row_of ? row_of(r) : r) * row_bytes, size_t(row_bytes));
  return std::make_shared<PackedGguf>(tensor.type, columns, bytes);
}

}  // namespace r1::tensor
