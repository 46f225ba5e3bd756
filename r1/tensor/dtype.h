// Names of dtypes as configs, safetensors and GGUF spell them, and devices by name.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <string>
#include <string_view>

namespace r1::tensor {

using DType = c10::ScalarType;
using Device = c10::Device;

// "float32" | "bfloat16" | "float16" (also "fp32", "bf16", "fp16", "auto" is the caller's business). Throws kUsage with the list of known
// names.
DType parse_dtype(std::string_view name);
std::string dtype_name(DType dtype);

// "cpu" | "cuda" | "cuda:1" | "auto" (the first GPU if there is one); kUsage if there is no such device in this build or machine.
Device parse_device(std::string_view name);

}  // namespace r1::tensor
