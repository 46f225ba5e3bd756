#include "r1/tensor/gguf.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "r1/base/checked.h"
#include "r1/base/error.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/dequantize.h"

namespace r1::tensor {
namespace {

template <class Stored>
void plain_row(const std::byte* bytes, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) {
    Stored value;
    std::memcpy(static_cast<void*>(&value), bytes + i * int64_t(sizeof(Stored)), sizeof(Stored));
    out[i] = static_cast<float>(value);
  }
}

// fp32 of one stretch of elements; nullptr for a type that is not read here.
DequantizeRow reader_of(GgmlType type) {
  switch (type) {
    case GgmlType::kF32:
      return plain_row<float>;
    case GgmlType::kF16:
      return plain_row<c10::Half>;
    case GgmlType::kBF16:
      return plain_row<c10::BFloat16>;
    default:
      return dequantizer(type);
  }
}

// Elements that go through the fp32 buffer at once: fits the first-level cache, whole blocks of every type.
constexpr int64_t kStretch = 2048;

template <class Out>
void fill_row(DequantizeRow read, const GgmlTypeInfo& info, const std::byte* row, int64_t n, Out* out) {
  if constexpr (std::is_same_v<Out, float>) {
    read(row, n, out);
  } else {
    float buffer[kStretch];
    for (int64_t at = 0; at < n; at += kStretch) {
      const int64_t count = std::min(kStretch, n - at);
      read(row + at / info.block_elements * info.block_bytes, count, buffer);
      for (int64_t i = 0; i < count; ++i) out[at + i] = static_cast<Out>(buffer[i]);
    }
  }
}

template <class Out>
void fill(const GgufFile& file, const GgufTensor& tensor, Out* out, const RowOrder& row_of) {
  const GgmlTypeInfo& info = *ggml_type_info(tensor.type);
  const DequantizeRow read = reader_of(tensor.type);
  const std::byte* data = file.data(tensor).data();
  // A reordered vector (the bias of reordered rows) is a column of rows.
  const bool column = row_of && tensor.shape.size() == 1 && info.block_elements == 1;
  const int64_t width = tensor.shape.empty() || column ? 1 : tensor.shape.back(), rows = int64_t(tensor.elements) / width;
  const int64_t row_bytes = width / info.block_elements * info.block_bytes;
  at::parallel_for(0, rows, std::max<int64_t>(1, 65536 / width), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) fill_row(read, info, data + (row_of ? row_of(r) : r) * row_bytes, width, out + r * width);
  });
}

void check_readable(const GgufFile& file, const GgufTensor& tensor) {
  if (can_read(tensor.type)) return;
  fail(file.name(), ": tensor '", printable(tensor.name), "' has type ", ggml_type_info(tensor.type)->name,
       ", which is not supported (F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K are)");
}

}  // namespace

bool can_read(GgmlType type) {
  return reader_of(type) != nullptr;
}

void read_gguf_tensor_into(const GgufFile& file, const GgufTensor& tensor, const Tensor& out, const RowOrder& row_of) {
  check_readable(file, tensor);
  check(out.sizes() == c10::IntArrayRef(tensor.shape) && out.is_contiguous() && out.device().is_cpu(),
        "[gguf] expected a contiguous CPU tensor of shape ", c10::IntArrayRef(tensor.shape), " for '", tensor.name, "', got ", out.sizes(),
        " on ", out.device());
  if (tensor.elements == 0) return;
  switch (out.scalar_type()) {
    case DType::Float:
      return fill(file, tensor, out.mutable_data_ptr<float>(), row_of);
    case DType::BFloat16:
      return fill(file, tensor, out.mutable_data_ptr<c10::BFloat16>(), row_of);
    case DType::Half:
      return fill(file, tensor, out.mutable_data_ptr<c10::Half>(), row_of);
    default:
      fail("[gguf] expected float32, bfloat16 or float16 for '", tensor.name, "', got ", dtype_name(out.scalar_type()));
  }
}

Tensor read_gguf_tensor(const GgufFile& file, const GgufTensor& tensor, DType dtype, const RowOrder& row_of) {
  check_readable(file, tensor);
  file.data(tensor);  // fails before the allocation if the file is cut short
  Tensor out = aten::empty(tensor.shape, at::TensorOptions().dtype(dtype));
  read_gguf_tensor_into(file, tensor, out, row_of);
  return out;
}

}  // namespace r1::tensor
