#include "r1/tensor/safetensors.h"

#include <cstring>

#include "r1/base/checked.h"
#include "r1/base/error.h"
#include "r1/tensor/aten.h"

namespace r1::tensor {
namespace {

struct TypePair {
  SafeType stored;
  DType dtype;
};
constexpr TypePair kPairs[] = {
    {SafeType::kBool, DType::Bool},
    {SafeType::kU8, DType::Byte},
    {SafeType::kI8, DType::Char},
    {SafeType::kF8E4M3, DType::Float8_e4m3fn},
    {SafeType::kF8E5M2, DType::Float8_e5m2},
    {SafeType::kF8E8M0, DType::Float8_e8m0fnu},
    {SafeType::kU16, DType::UInt16},
    {SafeType::kI16, DType::Short},
    {SafeType::kF16, DType::Half},
    {SafeType::kBF16, DType::BFloat16},
    {SafeType::kU32, DType::UInt32},
    {SafeType::kI32, DType::Int},
    {SafeType::kF32, DType::Float},
    {SafeType::kU64, DType::UInt64},
    {SafeType::kI64, DType::Long},
    {SafeType::kF64, DType::Double},
    {SafeType::kC64, DType::ComplexFloat},
};

// The stored bytes as a tensor without a copy. The data of a file need not be aligned to its elements (the writers' headers are padded to 8
// bytes, but the format does not ask for it); then they are copied.
Tensor view_of(const SafetensorsFile& file, const SafeTensor& tensor) {
  const auto bytes = file.data(tensor);
  const auto options = at::TensorOptions().dtype(dtype_of(tensor.type));
  if (reinterpret_cast<uintptr_t>(bytes.data()) % safe_type_bytes(tensor.type) == 0 && !bytes.empty()) {
    return aten::from_blob(const_cast<std::byte*>(bytes.data()), tensor.shape, options);
  }
  Tensor copy = aten::empty(tensor.shape, options);
  if (!bytes.empty()) std::memcpy(copy.mutable_data_ptr(), bytes.data(), bytes.size());
  return copy;
}

bool is_float(DType dtype) {
  return c10::isFloatingType(dtype);
}

void check_convertible(const SafetensorsFile& file, const SafeTensor& tensor, DType dtype) {
  const DType stored = dtype_of(tensor.type);
  if (stored == dtype || (is_float(stored) && is_float(dtype))) return;
  fail(file.name(), ": tensor '", printable(tensor.name), "' is stored as ", safe_type_name(tensor.type), ", expected ", dtype_name(dtype));
}

}  // namespace

DType dtype_of(SafeType type) {
  for (const TypePair& pair : kPairs) {
    if (pair.stored == type) return pair.dtype;
  }
  fail("[safetensors] ", safe_type_name(type), " has no dtype here");
}

SafeType safe_type_of(DType dtype) {
  for (const TypePair& pair : kPairs) {
    if (pair.dtype == dtype) return pair.stored;
  }
  fail("[safetensors] dtype ", dtype_name(dtype), " cannot be stored");
}

Tensor read_safetensor(const SafetensorsFile& file, const SafeTensor& tensor) {
  return read_safetensor(file, tensor, dtype_of(tensor.type));
}

Tensor read_safetensor(const SafetensorsFile& file, const SafeTensor& tensor, DType dtype) {
  check_convertible(file, tensor, dtype);
  return view_of(file, tensor).to(dtype, /*non_blocking=*/false, /*copy=*/true);
}

void read_safetensor_into(const SafetensorsFile& file, const SafeTensor& tensor, const Tensor& out) {
  check_convertible(file, tensor, out.scalar_type());
  check(out.sizes() == c10::IntArrayRef(tensor.shape), "[safetensors] ", file.name(), ": expected '", tensor.name, "' of shape ",
        out.sizes(), ", got ", c10::IntArrayRef(tensor.shape));
  out.copy_(view_of(file, tensor));
}

SafeSource safe_source(const std::string& name, const Tensor& tensor, DType dtype) {
  SafeSource source{name, safe_type_of(dtype), tensor.sizes().vec(), {}};
  // The converted copy lives in the function object; the writer calls a copy of that and drops it.
  source.bytes = [tensor, dtype, held = Tensor()]() mutable -> std::span<const std::byte> {
    held = tensor.detach().to(at::Device(at::kCPU), dtype).contiguous();
    return {static_cast<const std::byte*>(held.const_data_ptr()), held.nbytes()};
  };
  return source;
}

SafeSource safe_source(const std::string& name, const Tensor& tensor) {
  return safe_source(name, tensor, tensor.scalar_type());
}

}  // namespace r1::tensor
