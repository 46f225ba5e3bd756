// The one door to libtorch's operators: the functions and arithmetic signs on tensors that r1 uses. Each function is the one of the same
// name in namespace at (docs at pytorch.org under torch.<name>), argument for argument and with ATen's defaults; overloads that nobody
// calls are left out, and what is a method of Tensor (x.sum(), x.to()) needs nothing from here. Errors are libtorch's (c10::Error).
//
// Why a door: any <ATen/ops/x.h> doubles what a file reads (150,000 lines become 247,000), these declarations add next to nothing. They are
// defined in aten.cc, which alone includes those headers (a guard test holds that). A new operator is a line here and a line there.
#pragma once

#include <ATen/ops/from_blob.h>
#include <ATen/ops/tensor.h>

#include <concepts>
#include <optional>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "r1/tensor/tensor.h"

namespace r1::aten {

// Types as ATen's signatures have them.
using at::IntArrayRef;
using at::OptionalIntArrayRef;
using at::Scalar;
using at::ScalarType;
using at::TensorList;
using at::TensorOptions;
using MaybeTensor = std::optional<Tensor>;  // an undefined tensor counts as none

// ---- new tensors
using at::from_blob;  // borrows the memory
using at::tensor;     // from numbers, a list or a vector of them; the dtype is that of the numbers unless given
Tensor arange(const Scalar& end, TensorOptions options = {});
Tensor arange(const Scalar& start, const Scalar& end, TensorOptions options = {});
Tensor arange(const Scalar& start, const Scalar& end, const Scalar& step, TensorOptions options = {});
Tensor empty(IntArrayRef size, TensorOptions options = {});
Tensor full(IntArrayRef size, const Scalar& value, TensorOptions options = {});
Tensor ones(IntArrayRef size, TensorOptions options = {});
Tensor zeros(IntArrayRef size, TensorOptions options = {});
Tensor scalar_tensor(const Scalar& value, TensorOptions options = {});
Tensor randn(IntArrayRef size, TensorOptions options = {});
Tensor randint(int64_t high, IntArrayRef size, TensorOptions options = at::kLong);

Tensor empty_like(const Tensor& x, TensorOptions options = {}, std::optional<at::MemoryFormat> format = std::nullopt);
Tensor full_like(const Tensor& x, const Scalar& value, TensorOptions options = {});
Tensor ones_like(const Tensor& x, TensorOptions options = {});
Tensor zeros_like(const Tensor& x, TensorOptions options = {});

// ---- element by element
Tensor abs(const Tensor& x);
Tensor erf(const Tensor& x);
Tensor floor_divide(const Tensor& x, const Scalar& y);
Tensor gelu(const Tensor& x, std::string_view approximate = "none");
Tensor isfinite(const Tensor& x);
Tensor isnan(const Tensor& x);
Tensor maximum(const Tensor& x, const Tensor& y);
Tensor minimum(const Tensor& x, const Tensor& y);
void mul_out(Tensor& out, const Tensor& x, const Tensor& y);  // rounded to out's dtype
Tensor pow(const Scalar& x, const Tensor& exponent);
Tensor remainder(const Tensor& x, const Scalar& y);
Tensor rsqrt(const Tensor& x);
Tensor sigmoid(const Tensor& x);
Tensor sign(const Tensor& x);
Tensor silu(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor where(const Tensor& condition, const Tensor& x, const Tensor& y);
Tensor where(const Tensor& condition, const Tensor& x, const Scalar& y);

// ---- along a dimension
Tensor argmax(const Tensor& x, std::optional<int64_t> dim = std::nullopt, bool keepdim = false);
Tensor cumsum(const Tensor& x, int64_t dim, std::optional<ScalarType> dtype = std::nullopt);
Tensor logsumexp(const Tensor& x, IntArrayRef dim, bool keepdim = false);
Tensor mean(const Tensor& x, OptionalIntArrayRef dim, bool keepdim = false, std::optional<ScalarType> dtype = std::nullopt);
Tensor softmax(const Tensor& x, int64_t dim, std::optional<ScalarType> dtype = std::nullopt);
Tensor searchsorted(const Tensor& sorted, const Tensor& values, bool out_int32 = false, bool right = false);
std::tuple<Tensor, Tensor> max(const Tensor& x, int64_t dim, bool keepdim = false);  // values, indices
std::tuple<Tensor, Tensor> sort(const Tensor& x, int64_t dim = -1, bool descending = false);
std::tuple<Tensor, Tensor> sort(const Tensor& x, std::optional<bool> stable, int64_t dim = -1, bool descending = false);

// ---- rows picked and put together
Tensor cat(TensorList tensors, int64_t dim = 0);
Tensor constant_pad_nd(const Tensor& x, IntArrayRef pad, const Scalar& value = 0);
Tensor gather(const Tensor& x, int64_t dim, const Tensor& index);
Tensor index_select(const Tensor& x, int64_t dim, const Tensor& index);
Tensor one_hot(const Tensor& x, int64_t num_classes = -1);
Tensor stack(TensorList tensors, int64_t dim = 0);

// ---- whole tensors compared
bool allclose(const Tensor& x, const Tensor& y, double rtol = 1e-05, double atol = 1e-08);
bool equal(const Tensor& x, const Tensor& y);

// ---- products; out_dtype is CUDA's, the sum kept in it
Tensor addmm(const Tensor& x, const Tensor& a, const Tensor& b, const Scalar& beta = 1, const Scalar& alpha = 1);  // beta x + alpha a b
Tensor bmm(const Tensor& a, const Tensor& b);
Tensor bmm(const Tensor& a, const Tensor& b, ScalarType out_dtype);
Tensor linear(const Tensor& x, const Tensor& weight, const MaybeTensor& bias = {});
Tensor matmul(const Tensor& a, const Tensor& b);
Tensor mm(const Tensor& a, const Tensor& b);
Tensor mm(const Tensor& a, const Tensor& b, ScalarType out_dtype);
void mm_out(Tensor& out, const Tensor& a, const Tensor& b);
void mm_out(Tensor& out, const Tensor& a, const Tensor& b, ScalarType out_dtype);
// out = beta x + alpha a b; x may be out.
void addmm_out(Tensor& out, const Tensor& x, const Tensor& a, const Tensor& b, const Scalar& beta = 1, const Scalar& alpha = 1);
void addmm_out(Tensor& out, const Tensor& x, const Tensor& a, const Tensor& b, ScalarType out_dtype, const Scalar& beta = 1,
               const Scalar& alpha = 1);
Tensor _grouped_mm(const Tensor& a, const Tensor& b, const MaybeTensor& offs = {});

// ---- linear algebra, norms
std::tuple<Tensor, Tensor, Tensor> linalg_svd(const Tensor& x, bool full_matrices = true);  // U, S, V^H
Tensor linalg_vector_norm(const Tensor& x, const Scalar& ord = 2, OptionalIntArrayRef dim = std::nullopt, bool keepdim = false,
                          std::optional<ScalarType> dtype = std::nullopt);
Tensor layer_norm(const Tensor& x, IntArrayRef normalized_shape, const MaybeTensor& weight = {}, const MaybeTensor& bias = {},
                  double eps = 1e-05);
Tensor rms_norm(const Tensor& x, IntArrayRef normalized_shape, const MaybeTensor& weight = {}, std::optional<double> eps = std::nullopt);

// ---- ATen's own kernels (CUDA), not part of its public interface: they may change with libtorch's version
// Documents one after another: q [T, N, H], k and v [L, K, H], cum_seq_* their starts and ends, int32. Returns out, logsumexp, the
// generator's state (two tensors) and a debug mask.
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> _flash_attention_forward(
    const Tensor& q, const Tensor& k, const Tensor& v, const MaybeTensor& cum_seq_q, const MaybeTensor& cum_seq_k, int64_t max_q,
    int64_t max_k, double dropout_p, bool is_causal, bool return_debug_mask, std::optional<double> scale = std::nullopt,
    std::optional<int64_t> window_size_left = std::nullopt, std::optional<int64_t> window_size_right = std::nullopt);
// Returns dq, dk, dv.
std::tuple<Tensor, Tensor, Tensor> _flash_attention_backward(const Tensor& grad_out, const Tensor& q, const Tensor& k, const Tensor& v,
                                                             const Tensor& out, const Tensor& logsumexp, const Tensor& cum_seq_q,
                                                             const Tensor& cum_seq_k, int64_t max_q, int64_t max_k, double dropout_p,
                                                             bool is_causal, const Tensor& rng_state, const Tensor& unused,
                                                             std::optional<double> scale = std::nullopt,
                                                             std::optional<int64_t> window_size_left = std::nullopt,
                                                             std::optional<int64_t> window_size_right = std::nullopt);
// cuDNN's attention of sequences of one length: q [B, N, T, H], k and v [B, K, T, H] with K dividing N, strided as they like but for the
// last axis. Returns out (laid out as q), logsumexp and the generator's state (two tensors); ATen's further results are empty without
// documents one after another, which its form for those does not take well.
std::tuple<Tensor, Tensor, Tensor, Tensor> _cudnn_attention_forward(const Tensor& q, const Tensor& k, const Tensor& v, int64_t max_q,
                                                                    int64_t max_k, bool compute_log_sumexp, double dropout_p,
                                                                    bool is_causal, std::optional<double> scale = std::nullopt);
// Returns dq, dk, dv, laid out as q, k, v.
std::tuple<Tensor, Tensor, Tensor> _cudnn_attention_backward(const Tensor& grad_out, const Tensor& q, const Tensor& k, const Tensor& v,
                                                             const Tensor& out, const Tensor& logsumexp, const Tensor& philox_seed,
                                                             const Tensor& philox_offset, int64_t max_q, int64_t max_k, double dropout_p,
                                                             bool is_causal, std::optional<double> scale = std::nullopt);

// number - tensor and number / tensor start from this, as in ATen: the number in the tensor's shape and dtype.
inline Tensor filled_like(const Scalar& value, const Tensor& like) {
  return empty_like(like, {}, at::MemoryFormat::Preserve).fill_(value);
}

}  // namespace r1::aten

// ---- signs. What <ATen/TensorOperators.h> gives, call for call, found from namespace r1 and all within it. As templates they step back
// where a file sees ATen's as well (through libtorch's own headers): nothing is ambiguous there.
namespace r1 {

template <class T>
concept IsTensor = std::same_as<T, Tensor>;
template <class T>
concept IsNumber = std::is_arithmetic_v<T> || std::same_as<T, at::Scalar>;

#define R1_TENSOR_SIGN(sign, tensor_first, number_first) \
  template <IsTensor T>                                  \
  Tensor operator sign(const T& x, const T& y) {         \
    return tensor_first;                                 \
  }                                                      \
  template <IsNumber N>                                  \
  Tensor operator sign(const Tensor& x, const N& y) {    \
    return tensor_first;                                 \
  }                                                      \
  template <IsNumber N>                                  \
  Tensor operator sign(const N& x, const Tensor& y) {    \
    return number_first;                                 \
  }
R1_TENSOR_SIGN(+, x.add(y), y.add(x))
R1_TENSOR_SIGN(-, x.sub(y), aten::filled_like(x, y).sub_(y))
R1_TENSOR_SIGN(*, x.mul(y), y.mul(x))
R1_TENSOR_SIGN(/, x.div(y), aten::filled_like(x, y).div_(y))
R1_TENSOR_SIGN(&, x.bitwise_and(y), y.bitwise_and(x))
R1_TENSOR_SIGN(|, x.bitwise_or(y), y.bitwise_or(x))
R1_TENSOR_SIGN(<, x.lt(y), y.gt(x))
R1_TENSOR_SIGN(<=, x.le(y), y.ge(x))
R1_TENSOR_SIGN(>, x.gt(y), y.lt(x))
R1_TENSOR_SIGN(>=, x.ge(y), y.le(x))
R1_TENSOR_SIGN(==, x.eq(y), y.eq(x))
R1_TENSOR_SIGN(!=, x.ne(y), y.ne(x))
#undef R1_TENSOR_SIGN

}  // namespace r1
