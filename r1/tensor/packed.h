// A matrix that stays in memory as its file has it, values and scales apart (8 bit blocks, ggml's blocks). What is unpacked of it has the
// bits that loading the same file unpacked gives. ggml's blocks lie with eight rows side by side (base/interleaved_rows), the same bytes,
// and are multiplied as they are (ops/packed_linear).
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "r1/base/gguf_file.h"
#include "r1/base/interleaved_rows.h"
#include "r1/tensor/fp8_block.h"
#include "r1/tensor/gguf.h"
#include "r1/tensor/tensor.h"

namespace r1::tensor {

// Where products read it.
struct InterleavedMatrix {
  BlockForm form;
  const std::byte* data;
};

// Rows in numbers: value_OI = scale of the block times code_OI, plus offset of the block times offset_code_OI where the form has offsets.
// Codes are whole numbers.
struct BlockCodes {
  int64_t elements;                  // of a block
  Tensor code_OI, scale_OB;          // fp32
  Tensor offset_code_OI, offset_OB;  // fp32, or undefined
};

class PackedMatrix {
 public:
  virtual ~PackedMatrix() = default;
  virtual std::string format() const = 0;  // for people: "Q8_0"
  virtual int64_t rows() const = 0;
  virtual int64_t columns() const = 0;
  // What it is made of, by name ("values", "scales"), on the CPU.
  virtual std::vector<std::pair<std::string, Tensor>> slots() const = 0;
  // Rows [first, first + count) into `out` [count, columns], contiguous, CPU, float32 | bfloat16 | float16.
  void unpack(int64_t first, int64_t count, const Tensor& out) const;
  int64_t bytes() const;
  // Null: none of ggml's blocks, there is only unpack().
  virtual const InterleavedMatrix* interleaved() const { return nullptr; }
  // What a product's definition computes with (ops/packed_linear_ref). Only where there is an interleaved form.
  virtual BlockCodes codes(int64_t first, int64_t count) const;

 private:
  virtual void unpack_checked(int64_t first, int64_t count, const Tensor& out) const = 0;
};

// DeepSeek's 8 bit blocks (fp8_block.h). `parts`: matrices of one shape, the rows of each below those of the one before (experts).
std::shared_ptr<const PackedMatrix> pack_fp8_blocks(std::vector<Fp8Blocks> parts);

// A quantized tensor of a GGUF file; its last axis are the columns. Null for types that are not quantized: there is nothing to unpack.
// `row_of`: as read_gguf_tensor has it.
std::shared_ptr<const PackedMatrix> pack_gguf_tensor(const GgufFile& file, const GgufTensor& tensor, const RowOrder& row_of = {});

}  // namespace r1::tensor
