// Tensors of a GGUF file (base/gguf_file.h) as libtorch tensors: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K, turned
// into fp32 (dequantize.h) and rounded to the dtype asked for. Rows are shared out among threads. Other types are an error naming the type
// and the tensor.
#pragma once

#include <functional>

#include "r1/base/gguf_file.h"
#include "r1/tensor/dtype.h"
#include "r1/tensor/tensor.h"

namespace r1::tensor {

// Row r of the result is row row_of(r) of the file: GGUF files of llama store rows of q and k in another order. Of a vector the
// elements are the rows (unquantized vectors only). Empty: as they stand.
using RowOrder = std::function<int64_t(int64_t)>;

// A new CPU tensor.
Tensor read_gguf_tensor(const GgufFile& file, const GgufTensor& tensor, DType dtype, const RowOrder& row_of = {});

// Fills `out` (contiguous, CPU, float32 | bfloat16 | float16, the tensor's shape), which costs no second copy of the model.
void read_gguf_tensor_into(const GgufFile& file, const GgufTensor& tensor, const Tensor& out, const RowOrder& row_of = {});

bool can_read(GgmlType type);

}  // namespace r1::tensor
