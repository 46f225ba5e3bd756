// Tensors of a safetensors file (base/safetensors_file.h) as libtorch tensors, and back. Views of the file's map are not handed out: what
// is returned owns its memory.
#pragma once

#include <string>

#include "r1/base/safetensors_file.h"
#include "r1/tensor/dtype.h"
#include "r1/tensor/tensor.h"

namespace r1::tensor {

// libtorch's dtype for a stored one, and back; errors name the type that the other side lacks.
DType dtype_of(SafeType type);
SafeType safe_type_of(DType dtype);

// A new CPU tensor of the stored dtype, or of `dtype` (float types only are converted).
Tensor read_safetensor(const SafetensorsFile& file, const SafeTensor& tensor);
Tensor read_safetensor(const SafetensorsFile& file, const SafeTensor& tensor, DType dtype);

// Copies into `out` (any device, any float dtype, the tensor's shape).
void read_safetensor_into(const SafetensorsFile& file, const SafeTensor& tensor, const Tensor& out);

// A tensor to write under `name`, stored as `dtype`; it is brought to the CPU, made contiguous and converted when its turn comes, and let
// go with the next one.
SafeSource safe_source(const std::string& name, const Tensor& tensor, DType dtype);
SafeSource safe_source(const std::string& name, const Tensor& tensor);

}  // namespace r1::tensor
