#include "r1/ops/packed_linear.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/kernels/cpu/packed_linear.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

void check_map(const Tensor& x_TI, const tensor::PackedMatrix& weight, int64_t first, int64_t count, const Tensor& bias_O) {
  check(has_packed_linear(weight, x_TI), "[packed_linear] expected x of fp32 or bf16 on the CPU and a matrix with a product, got ",
        x_TI.scalar_type(), " on ", x_TI.device(), " and ", weight.format());
  check(x_TI.dim() == 2 && x_TI.size(1) == weight.columns(), "[packed_linear] expected x [T, ", weight.columns(), "], got ", x_TI.sizes());
  check(first >= 0 && count >= 0 && first + count <= weight.rows(), "[packed_linear] expected outputs of ", weight.rows(), ", got [", first,
        ", ", first + count, ")");
  check(!bias_O.defined() || (bias_O.dim() == 1 && bias_O.size(0) == count && is_kernel_float(bias_O.scalar_type())),
        "[packed_linear] expected bias [", count, "], got ", bias_O.sizes());
  check(!needs_grad({x_TI, bias_O}), "[packed_linear] has no gradient: run it under no_grad");
}

kernels::ConstRows from_column(kernels::ConstRows rows, int64_t column) {
  if (rows.data) rows.data = static_cast<const std::byte*>(rows.data) + column * kernels::size_of(rows.type);
  return rows;
}
kernels::Rows from_column(kernels::Rows rows, int64_t column) {
  rows.data = static_cast<std::byte*>(rows.data) + column * kernels::size_of(rows.type);
  return rows;
}

// The products that make up y [T, count]: one, or one for each part of the matrix that the range touches. x and bias contiguous.
void add_products(std::vector<kernels::PackedProduct>& all, const Tensor& x_TI, const tensor::PackedMatrix& weight, int64_t first,
                  const Tensor& bias_O, const Tensor& y_TO) {
  const int64_t count = y_TO.size(1), tokens = x_TI.size(0);
  const kernels::ConstRows x = const_rows(x_TI), bias = bias_O.defined() ? const_rows(bias_O) : kernels::ConstRows{};
  kernels::Rows y = rows(y_TO);
  y.row_stride = count;
  if (const tensor::InterleavedMatrix* w = weight.interleaved()) {
    all.push_back(kernels::PackedLinear{
        .x = x, .form = w->form, .w = w->data, .first = first, .bias = bias, .y = y, .rows = tokens, .in = x_TI.size(1), .out = count});
    return;
  }
  for (int64_t done = 0; done < count;) {
    const int64_t part = (first + done) / weight.part_rows(), begin = (first + done) % weight.part_rows();
    const int64_t here = std::min(count - done, weight.part_rows() - begin);
    const kernels::ConstRows b = from_column(bias, done);
    const kernels::Rows out = from_column(y, done);
    if (const IntegerRows* w = weight.integers(part)) {
      all.push_back(kernels::IntegerLinear{.x = x, .w = *w, .first = begin, .bias = b, .y = out, .rows = tokens, .out = here});
    } else {
      all.push_back(
          kernels::FloatLinear{.x = x, .w = *weight.floats(part), .first = begin, .bias = b, .y = out, .rows = tokens, .out = here});
    }
    done += here;
  }
}

Tensor product(const Tensor& x_TI, const tensor::PackedMatrix& weight, int64_t first, int64_t count, const Tensor& bias_O,
               at::ScalarType type) {
  check_map(x_TI, weight, first, count, bias_O);
  const Tensor x = x_TI.contiguous(), bias = bias_O.defined() ? bias_O.contiguous() : bias_O;
  const Tensor y_TO = aten::empty({x.size(0), count}, x.options().dtype(type));
  std::vector<kernels::PackedProduct> products;
  add_products(products, x, weight, first, bias, y_TO);
  kernels::packed_products(products);
  return y_TO;
}

}  // namespace

bool has_packed_linear(const tensor::PackedMatrix& weight, const Tensor& x_TI) {
  return weight.has_product() && has_cpu_kernels(x_TI);
}

Tensor packed_linear(const Tensor& x_TI, const tensor::PackedMatrix& weight, int64_t first, int64_t count, const Tensor& bias_O) {
  return product(x_TI, weight, first, count, bias_O, x_TI.scalar_type());
}

Tensor packed_linear_fp32(const Tensor& x_TI, const tensor::PackedMatrix& weight, int64_t first, int64_t count) {
  return product(x_TI, weight, first, count, {}, at::kFloat);
}

std::vector<Tensor> packed_linear_joint(const Tensor& x_TI, std::span<const PackedMap> maps) {
  const Tensor x = x_TI.contiguous();
  std::vector<Tensor> y, biases;
  std::vector<kernels::PackedProduct> products;
  for (const PackedMap& map : maps) {
    check_map(x_TI, *map.weight, 0, map.weight->rows(), map.bias_O);
    biases.push_back(map.bias_O.defined() ? map.bias_O.contiguous() : map.bias_O);
    y.push_back(aten::empty({x.size(0), map.weight->rows()}, x.options()));
    add_products(products, x, *map.weight, 0, biases.back(), y.back());
  }
  kernels::packed_products(products);
  return y;
}

}  // namespace r1::ops
