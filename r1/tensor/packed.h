// A matrix that stays in memory as its file has it, values and scales apart (8 bit blocks, ggml's blocks), and is unpacked when it is
// used. What is unpacked has the bits that loading the same file unpacked gives, so this is the definition that products straight from
// the packed form are held against.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "r1/base/gguf_file.h"
#include "r1/tensor/fp8_block.h"
#include "r1/tensor/gguf.h"
#include "r1/tensor/tensor.h"

namespace r1::tensor {

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

 private:
  virtual void unpack_checked(int64_t first, int64_t count, const Tensor& out) const = 0;
};

// DeepSeek's 8 bit blocks (fp8_block.h). `parts`: matrices of one shape, the rows of each below those of the one before (experts).
std::shared_ptr<const PackedMatrix> pack_fp8_blocks(std::vector<Fp8Blocks> parts);

// A quantized tensor of a GGUF file; its last axis are the columns. Null for types that are not quantized: there is nothing to unpack.
// `row_of`: as read_gguf_tensor has it.
std::shared_ptr<const PackedMatrix> pack_gguf_tensor(const GgufFile& file, const GgufTensor& tensor, const RowOrder& row_of = {});

}  // namespace r1::tensor
