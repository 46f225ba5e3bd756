// A matrix that stays in memory as small as its file has it: ggml's blocks, small integers (tensor/integers), 8 bit blocks and 16 bit floats,
// 2:4. What is unpacked of it has the bits that loading the same file unpacked gives. It lies as products want it, rows side by side
// (base/interleaved_rows, integer_rows, float_rows), and is multiplied as it is (ops/packed_linear).
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "r1/base/float_rows.h"
#include "r1/base/gguf_file.h"
#include "r1/base/integer_rows.h"
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
// Codes are whole numbers. Columns are the stored ones: in another order, filled up, where `order_I` and `columns` say so (integer_rows).
struct BlockCodes {
  int64_t elements;                  // of a block
  Tensor code_OI, scale_OB;          // fp32
  Tensor offset_code_OI, offset_OB;  // fp32, or undefined
  Tensor order_I = {};               // int64, or undefined
  InputRounding rounding = InputRounding::kBlock;
  float input_scale = 0;  // kFixed
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
  // Where products read it: at most one of these is not null; none: there is only unpack(). Matrices of experts that lie apart are asked for
  // by part, each of part_rows() rows.
  virtual const InterleavedMatrix* interleaved() const { return nullptr; }
  virtual const IntegerRows* integers(int64_t) const { return nullptr; }
  virtual const FloatRows* floats(int64_t) const { return nullptr; }
  virtual int64_t part_rows() const { return rows(); }
  bool has_product() const { return interleaved() || integers(0) || floats(0); }
  // Whether the product rounds its inputs as the file wants them rounded: nobody else has to.
  bool rounds_inputs() const { return integers(0) && integers(0)->rounding != InputRounding::kBlock; }
  // Whether it rounds them as no file asks for.
  bool rounds_by_blocks() const { return interleaved() || (integers(0) && !rounds_inputs()); }
  // What a product's definition computes with (ops/packed_linear_ref). Only where there are blocks or integers; rows of one part.
  virtual BlockCodes codes(int64_t first, int64_t count) const;

 private:
  virtual void unpack_checked(int64_t first, int64_t count, const Tensor& out) const = 0;
};

// DeepSeek's 8 bit blocks (fp8_block.h). `parts`: matrices of one shape, the rows of each below those of the one before (experts). A matrix with
// a NaN in it has no product.
std::shared_ptr<const PackedMatrix> pack_fp8_blocks(std::vector<Fp8Blocks> parts);
// Floats of 16 bits (bfloat16, float16) or 32, parts likewise of one dtype; where all of them are 2:4, without their zeros.
std::shared_ptr<const PackedMatrix> pack_floats(std::vector<Tensor> parts);
// Whether of any four neighbours in a row [O, I] at most two are not zero (2:4).
bool is_sparse24(const Tensor& weight_OI);

// A quantized tensor of a GGUF file; its last axis are the columns. Null for types that are not quantized: there is nothing to unpack.
// `row_of`: as read_gguf_tensor has it.
std::shared_ptr<const PackedMatrix> pack_gguf_tensor(const GgufFile& file, const GgufTensor& tensor, const RowOrder& row_of = {});

}  // namespace r1::tensor
