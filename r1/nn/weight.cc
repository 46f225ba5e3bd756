#include "r1/nn/weight.h"

#include "r1/base/error.h"
#include "r1/ops/device_matrix.h"
#include "r1/ops/embedding.h"
#include "r1/ops/linear.h"
#include "r1/ops/logprob.h"
#include "r1/ops/packed_linear.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/packed.h"

namespace r1::nn {

namespace {

// Shape and dtype without memory.
Tensor shadow(at::IntArrayRef shape, at::ScalarType dtype) {
  return aten::empty(shape, at::TensorOptions().device(at::kMeta).dtype(dtype));
}

}  // namespace

Weight::Weight(at::IntArrayRef shape, const Placement& placement)
    : device_(placement.device), plain_(placement.deferred ? shadow(shape, placement.dtype) : new_weight(shape, placement)) {}

std::string Weight::format() const {
  return on_device_ ? on_device_->format() : packed_ ? packed_->format() : "plain";
}

int64_t Weight::packed_bytes() const {
  return on_device_ ? on_device_->bytes() : packed_ ? packed_->bytes() : 0;
}

const void* Weight::address() const {
  if (on_device_) return on_device_->codes().const_data_ptr();
  return plain_.is_meta() ? nullptr : plain_.const_data_ptr();
}

Tensor Weight::dense() const {
  return defined() ? rows(0, sizes()[0]) : plain_;
}

Tensor Weight::rows(int64_t first, int64_t count) const {
  if (!packed()) {
    check(!plain_.is_meta() || device_.is_meta(), "[weight] a weight of shape ", sizes(), " was never loaded");
    return count == sizes()[0] ? plain_ : plain_.narrow(0, first, count);
  }
  std::vector<int64_t> shape = sizes().vec();
  shape[0] = count;
  const int64_t below = rows_below();
  if (on_device_) return ops::unpack_rows(*on_device_, first * below, count * below, plain_.scalar_type()).view(shape);
  const Tensor out = aten::empty({count * below, shape.back()}, at::TensorOptions(plain_.scalar_type()));
  packed_->unpack(first * below, count * below, out);
  return out.view(shape).to(device_);
}

int64_t Weight::rows_below() const {
  int64_t below = 1;
  for (size_t i = 1; i + 1 < sizes().size(); ++i) below *= sizes()[i];
  return below;
}

bool Weight::multiplies_packed(const Tensor& x) const {
  return packed_ && device_.is_cpu() && ops::has_packed_linear(*packed_, x);
}

bool Weight::multiplies_freely(const Tensor& x) const {
  return multiplies_packed(x) && (!has_input() || packed_->rounds_inputs());
}

Tensor Weight::product(const Tensor& x_TI, int64_t first, int64_t count, const Tensor& bias_O) const {
  const int64_t below = rows_below();
  const Tensor x = multiplies_freely(x_TI) ? x_TI : input(x_TI, sizes().size() > 2 ? first : 0);
  if (on_device_ && ops::has_device_linear(*on_device_, x)) return ops::device_linear(x, *on_device_, first * below, count * below, bias_O);
  if (multiplies_packed(x)) return ops::packed_linear(x, *packed_, first * below, count * below, bias_O);
  return ops::linear(x, rows(first, count).view({count * below, sizes().back()}), bias_O);
}

Tensor Weight::logits(const Tensor& x_RD) const {
  if (on_device_ && ops::has_device_linear(*on_device_, x_RD)) return ops::device_linear(x_RD, *on_device_, 0, sizes()[0], {}, at::kFloat);
  if (multiplies_packed(x_RD)) return ops::packed_linear_fp32(x_RD, *packed_, 0, sizes()[0]);
  return ops::linear_logits(x_RD, dense());
}

Tensor Weight::logprob(const Tensor& x_TD, const Tensor& targets_T) const {
  if (multiplies_packed(x_TD)) return ops::packed_logprob(x_TD, *packed_, targets_T);
  return ops::linear_logprob(x_TD, dense(), targets_T).logprob_T;
}

Tensor Weight::lookup(const Tensor& ids_T) const {
  if (!packed()) return ops::embedding(ids_T, dense());
  if (on_device_) return ops::unpack_rows(*on_device_, ids_T, plain_.scalar_type());
  const Tensor ids = ids_T.to(at::kCPU).contiguous(), out = aten::empty({ids.size(0), sizes()[1]}, at::TensorOptions(plain_.scalar_type()));
  const int64_t* id = ids.const_data_ptr<int64_t>();
  for (int64_t t = 0; t < ids.size(0); ++t) packed_->unpack(id[t], 1, out.narrow(0, t, 1));
  return out.to(device_);
}

void Weight::check_packed(int64_t rows, int64_t columns) const {
  check(columns == sizes().back() && rows * columns == plain_.numel(), "[weight] expected a packed matrix of ", sizes(), ", got ", rows,
        " rows of ", columns);
  check(!plain_.requires_grad(), "[weight] expected a weight that is not trained: a packed one has no gradient");
}

void Weight::pack(std::shared_ptr<const ops::DeviceMatrix> packed) {
  check_packed(packed->rows(), packed->columns());
  on_device_ = std::move(packed), packed_ = nullptr;
  plain_ = shadow(sizes(), plain_.scalar_type());
}

void Weight::pack(std::shared_ptr<const tensor::PackedMatrix> packed) {
  check_packed(packed->rows(), packed->columns());
  packed_ = std::move(packed), on_device_ = nullptr;
  plain_ = shadow(sizes(), plain_.scalar_type());
}

void Weight::make_plain() {
  packed_ = nullptr, on_device_ = nullptr;
  if (plain_.is_meta() && !device_.is_meta())
    plain_ = aten::empty(sizes(), at::TensorOptions().device(device_).dtype(plain_.scalar_type()));
}

}  // namespace r1::nn
