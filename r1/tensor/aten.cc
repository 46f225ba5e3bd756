#include "r1/tensor/aten.h"

#include <ATen/ops/_cudnn_attention_backward.h>
#include <ATen/ops/_cudnn_attention_forward.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/_grouped_mm.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/erf.h>
#include <ATen/ops/floor_divide.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/max.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/one_hot.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/remainder.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/sign.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

namespace r1::aten {

Tensor arange(const Scalar& end, TensorOptions options) {
  return at::arange(end, options);
}
Tensor arange(const Scalar& start, const Scalar& end, TensorOptions options) {
  return at::arange(start, end, options);
}
Tensor arange(const Scalar& start, const Scalar& end, const Scalar& step, TensorOptions options) {
  return at::arange(start, end, step, options);
}
Tensor empty(IntArrayRef size, TensorOptions options) {
  return at::empty(size, options);
}
Tensor full(IntArrayRef size, const Scalar& value, TensorOptions options) {
  return at::full(size, value, options);
}
Tensor ones(IntArrayRef size, TensorOptions options) {
  return at::ones(size, options);
}
Tensor zeros(IntArrayRef size, TensorOptions options) {
  return at::zeros(size, options);
}
Tensor scalar_tensor(const Scalar& value, TensorOptions options) {
  return at::scalar_tensor(value, options);
}
Tensor randn(IntArrayRef size, TensorOptions options) {
  return at::randn(size, options);
}
Tensor randint(int64_t high, IntArrayRef size, TensorOptions options) {
  return at::randint(high, size, options);
}
Tensor empty_like(const Tensor& x, TensorOptions options, std::optional<at::MemoryFormat> format) {
  return at::empty_like(x, options, format);
}
Tensor full_like(const Tensor& x, const Scalar& value, TensorOptions options) {
  return at::full_like(x, value, options);
}
Tensor ones_like(const Tensor& x, TensorOptions options) {
  return at::ones_like(x, options);
}
Tensor zeros_like(const Tensor& x, TensorOptions options) {
  return at::zeros_like(x, options);
}
Tensor abs(const Tensor& x) {
  return at::abs(x);
}
Tensor erf(const Tensor& x) {
  return at::erf(x);
}
Tensor floor_divide(const Tensor& x, const Scalar& y) {
  return at::floor_divide(x, y);
}
Tensor gelu(const Tensor& x, std::string_view approximate) {
  return at::gelu(x, approximate);
}
Tensor isfinite(const Tensor& x) {
  return at::isfinite(x);
}
Tensor isnan(const Tensor& x) {
  return at::isnan(x);
}
Tensor maximum(const Tensor& x, const Tensor& y) {
  return at::maximum(x, y);
}
Tensor minimum(const Tensor& x, const Tensor& y) {
  return at::minimum(x, y);
}
void mul_out(Tensor& out, const Tensor& x, const Tensor& y) {
  at::mul_out(out, x, y);
}
Tensor pow(const Scalar& x, const Tensor& exponent) {
  return at::pow(x, exponent);
}
Tensor remainder(const Tensor& x, const Scalar& y) {
  return at::remainder(x, y);
}
Tensor rsqrt(const Tensor& x) {
  return at::rsqrt(x);
}
Tensor sigmoid(const Tensor& x) {
  return at::sigmoid(x);
}
Tensor sign(const Tensor& x) {
  return at::sign(x);
}
Tensor silu(const Tensor& x) {
  return at::silu(x);
}
Tensor sqrt(const Tensor& x) {
  return at::sqrt(x);
}
Tensor tanh(const Tensor& x) {
  return at::tanh(x);
}
Tensor where(const Tensor& condition, const Tensor& x, const Tensor& y) {
  return at::where(condition, x, y);
}
Tensor where(const Tensor& condition, const Tensor& x, const Scalar& y) {
  return at::where(condition, x, y);
}
Tensor argmax(const Tensor& x, std::optional<int64_t> dim, bool keepdim) {
  return at::argmax(x, dim, keepdim);
}
Tensor cumsum(const Tensor& x, int64_t dim, std::optional<ScalarType> dtype) {
  return at::cumsum(x, dim, dtype);
}
Tensor logsumexp(const Tensor& x, IntArrayRef dim, bool keepdim) {
  return at::logsumexp(x, dim, keepdim);
}
Tensor mean(const Tensor& x, OptionalIntArrayRef dim, bool keepdim, std::optional<ScalarType> dtype) {
  return at::mean(x, dim, keepdim, dtype);
}
Tensor softmax(const Tensor& x, int64_t dim, std::optional<ScalarType> dtype) {
  return at::softmax(x, dim, dtype);
}
Tensor searchsorted(const Tensor& sorted, const Tensor& values, bool out_int32, bool right) {
  return at::searchsorted(sorted, values, out_int32, right);
}
std::tuple<Tensor, Tensor> max(const Tensor& x, int64_t dim, bool keepdim) {
  return at::max(x, dim, keepdim);
}
std::tuple<Tensor, Tensor> sort(const Tensor& x, int64_t dim, bool descending) {
  return at::sort(x, dim, descending);
}
std::tuple<Tensor, Tensor> sort(const Tensor& x, std::optional<bool> stable, int64_t dim, bool descending) {
  return at::sort(x, stable, dim, descending);
}
Tensor cat(TensorList tensors, int64_t dim) {
  return at::cat(tensors, dim);
}
Tensor constant_pad_nd(const Tensor& x, IntArrayRef pad, const Scalar& value) {
  return at::constant_pad_nd(x, pad, value);
}
Tensor gather(const Tensor& x, int64_t dim, const Tensor& index) {
  return at::gather(x, dim, index);
}
Tensor index_select(const Tensor& x, int64_t dim, const Tensor& index) {
  return at::index_select(x, dim, index);
}
Tensor one_hot(const Tensor& x, int64_t num_classes) {
  return at::one_hot(x, num_classes);
}
Tensor stack(TensorList tensors, int64_t dim) {
  return at::stack(tensors, dim);
}
bool allclose(const Tensor& x, const Tensor& y, double rtol, double atol) {
  return at::allclose(x, y, rtol, atol);
}
bool equal(const Tensor& x, const Tensor& y) {
  return at::equal(x, y);
}
Tensor addmm(const Tensor& x, const Tensor& a, const Tensor& b, const Scalar& beta, const Scalar& alpha) {
  return at::addmm(x, a, b, beta, alpha);
}
Tensor bmm(const Tensor& a, const Tensor& b) {
  return at::bmm(a, b);
}
Tensor bmm(const Tensor& a, const Tensor& b, ScalarType out_dtype) {
  return at::bmm(a, b, out_dtype);
}
Tensor linear(const Tensor& x, const Tensor& weight, const MaybeTensor& bias) {
  return at::linear(x, weight, bias);
}
Tensor matmul(const Tensor& a, const Tensor& b) {
  return at::matmul(a, b);
}
Tensor mm(const Tensor& a, const Tensor& b) {
  return at::mm(a, b);
}
Tensor mm(const Tensor& a, const Tensor& b, ScalarType out_dtype) {
  return at::mm(a, b, out_dtype);
}
void mm_out(Tensor& out, const Tensor& a, const Tensor& b) {
  at::mm_out(out, a, b);
}
void mm_out(Tensor& out, const Tensor& a, const Tensor& b, ScalarType out_dtype) {
  at::mm_out(out, a, b, out_dtype);
}
void addmm_out(Tensor& out, const Tensor& x, const Tensor& a, const Tensor& b, const Scalar& beta, const Scalar& alpha) {
  at::addmm_out(out, x, a, b, beta, alpha);
}
void addmm_out(Tensor& out, const Tensor& x, const Tensor& a, const Tensor& b, ScalarType out_dtype, const Scalar& beta,
               const Scalar& alpha) {
  at::addmm_out(out, x, a, b, out_dtype, beta, alpha);
}
Tensor _grouped_mm(const Tensor& a, const Tensor& b, const MaybeTensor& offs) {
  return at::_grouped_mm(a, b, offs);
}
std::tuple<Tensor, Tensor, Tensor> linalg_svd(const Tensor& x, bool full_matrices) {
  return at::linalg_svd(x, full_matrices);
}
Tensor linalg_vector_norm(const Tensor& x, const Scalar& ord, OptionalIntArrayRef dim, bool keepdim, std::optional<ScalarType> dtype) {
  return at::linalg_vector_norm(x, ord, dim, keepdim, dtype);
}
Tensor layer_norm(const Tensor& x, IntArrayRef normalized_shape, const MaybeTensor& weight, const MaybeTensor& bias, double eps) {
  return at::layer_norm(x, normalized_shape, weight, bias, eps);
}
Tensor rms_norm(const Tensor& x, IntArrayRef normalized_shape, const MaybeTensor& weight, std::optional<double> eps) {
  return at::rms_norm(x, normalized_shape, weight, eps);
}
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> _flash_attention_forward(const Tensor& q, const Tensor& k, const Tensor& v,
                                                                            const MaybeTensor& cum_seq_q, const MaybeTensor& cum_seq_k,
                                                                            int64_t max_q, int64_t max_k, double dropout_p, bool is_causal,
                                                                            bool return_debug_mask, std::optional<double> scale,
                                                                            std::optional<int64_t> window_size_left,
                                                                            std::optional<int64_t> window_size_right) {
  return at::_flash_attention_forward(q, k, v, cum_seq_q, cum_seq_k, max_q, max_k, dropout_p, is_causal, return_debug_mask, scale,
                                      window_size_left, window_size_right);
}
std::tuple<Tensor, Tensor, Tensor> _flash_attention_backward(const Tensor& grad_out, const Tensor& q, const Tensor& k, const Tensor& v,
                                                             const Tensor& out, const Tensor& logsumexp, const Tensor& cum_seq_q,
                                                             const Tensor& cum_seq_k, int64_t max_q, int64_t max_k, double dropout_p,
                                                             bool is_causal, const Tensor& rng_state, const Tensor& unused,
                                                             std::optional<double> scale, std::optional<int64_t> window_size_left,
                                                             std::optional<int64_t> window_size_right) {
  return at::_flash_attention_backward(grad_out, q, k, v, out, logsumexp, cum_seq_q, cum_seq_k, max_q, max_k, dropout_p, is_causal,
                                       rng_state, unused, scale, window_size_left, window_size_right);
}
std::tuple<Tensor, Tensor, Tensor, Tensor> _cudnn_attention_forward(const Tensor& q, const Tensor& k, const Tensor& v, int64_t max_q,
                                                                    int64_t max_k, bool compute_log_sumexp, double dropout_p,
                                                                    bool is_causal, std::optional<double> scale) {
  const auto all = at::_cudnn_attention_forward(q, k, v, /*attn_bias=*/{}, /*cum_seq_q=*/{}, /*cum_seq_k=*/{}, max_q, max_k,
                                                compute_log_sumexp, dropout_p, is_causal, /*return_debug_mask=*/false, scale);
  return {std::get<0>(all), std::get<1>(all), std::get<6>(all), std::get<7>(all)};
}
std::tuple<Tensor, Tensor, Tensor> _cudnn_attention_backward(const Tensor& grad_out, const Tensor& q, const Tensor& k, const Tensor& v,
                                                             const Tensor& out, const Tensor& logsumexp, const Tensor& philox_seed,
                                                             const Tensor& philox_offset, int64_t max_q, int64_t max_k, double dropout_p,
                                                             bool is_causal, std::optional<double> scale) {
  return at::_cudnn_attention_backward(grad_out, q, k, v, out, logsumexp, philox_seed, philox_offset, /*attn_bias=*/{}, /*cum_seq_q=*/{},
                                       /*cum_seq_k=*/{}, max_q, max_k, dropout_p, is_causal, scale);
}

}  // namespace r1::aten
