// linear_logprob on CUDA: products by cuBLAS, what lies between them by kernels/cuda/softmax, chunk by chunk through one buffer of logits
// and, where x is bf16, one of their gradient in that type, which the products after it read.
#include <ATen/core/grad_mode.h>

#include "r1/kernels/cuda/softmax.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/ops/cuda_kernels.h"
#include "r1/ops/logprob_impl.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// cuBLAS is slow, some eightfold, at sizes that are no multiple of 8: such a vocabulary (50,257) goes in two products, the second of the few
// words left. f(first word, words).
template <class F>
void for_words(int64_t vocab, F f) {
  const int64_t most = vocab / 16 * 16;
  if (most > 0) f(int64_t{0}, most);
  if (most < vocab) f(most, vocab - most);
}

// Rows of the logits of `tokens` texts' tokens, a chunk at a time.
class Chunks {
 public:
  // `gradient`: there is to be room for the logits' gradient.
  Chunks(const Tensor& x_TD, const Tensor& head_VD, bool gradient)
      : x_(x_TD),
        head_(head_VD),
        vocab_(head_VD.size(0)),
        rows_(logits_chunk_rows(x_TD.size(0), vocab_, x_TD.device(), x_TD.scalar_type())) {
    // Rows start where vector loads and cuBLAS' fast kernels want them.
    const int64_t width = (vocab_ + 15) / 16 * 16;
    logits_ = aten::empty({rows_, width}, x_TD.options().dtype(at::kFloat)).narrow(1, 0, vocab_);
    if (gradient) gradient_ = narrow_type() ? aten::empty({rows_, width}, x_TD.options()).narrow(1, 0, vocab_) : logits_;
  }

  // f(first row, rows) for each, its logits being made.
  template <class F>
  void for_each(F f) {
    for (int64_t begin = 0; begin < x_.size(0); begin += rows_) {
      const int64_t count = std::min(rows_, x_.size(0) - begin);
      const Tensor x_CD = x_.narrow(0, begin, count);
      for_words(vocab_, [&](int64_t first, int64_t words) {
        Tensor z_CW = logits(count).narrow(1, first, words);
        const Tensor head_DW = head_.narrow(0, first, words).t();
        if (narrow_type())
          aten::mm_out(z_CW, x_CD, head_DW, at::kFloat);
        else
          aten::mm_out(z_CW, x_CD, head_DW);
      });
      f(begin, count);
    }
  }
  Tensor logits(int64_t count) const { return logits_.narrow(0, 0, count); }
  Tensor gradient(int64_t count) const { return gradient_.narrow(0, 0, count); }
  int64_t stride() const { return logits_.stride(0); }

 private:
  bool narrow_type() const { return x_.scalar_type() != at::kFloat; }

  const Tensor &x_, &head_;
  int64_t vocab_, rows_;
  Tensor logits_, gradient_;  // [rows, vocab] of wider rows
};

// The gradients of x and head, out of those of the logits.
class GradientSums {
 public:
  GradientSums(const Tensor& x_TD, const Tensor& head_VD, bool want_x, bool want_head) : x_(x_TD), head_(head_VD) {
    if (want_x) dx_TD = aten::empty(x_TD.sizes(), x_TD.options());
    if (want_head) dhead_VD = aten::empty(head_VD.sizes(), head_VD.options().dtype(at::kFloat));
    if (want_head && x_TD.size(0) == 0) dhead_VD.zero_();
  }

  void add(const Tensor& dz_CV, int64_t begin, int64_t count) {
    const double before = begin == 0 ? 0 : 1;  // what is there is added to, but for the first chunk
    const Tensor x_CD = x_.narrow(0, begin, count);
    for_words(head_.size(0), [&](int64_t first, int64_t words) {
      const Tensor dz_CW = dz_CV.narrow(1, first, words);
      if (dx_TD.defined()) {
        Tensor dx_CD = dx_TD.narrow(0, begin, count);
        const Tensor head_WD = head_.narrow(0, first, words);
        if (first == 0)
          aten::mm_out(dx_CD, dz_CW, head_WD);
        else
          aten::addmm_out(dx_CD, dx_CD, dz_CW, head_WD);
      }
      if (dhead_VD.defined()) {
        Tensor dhead_WD = dhead_VD.narrow(0, first, words);
        if (x_.scalar_type() == at::kFloat)
          aten::addmm_out(dhead_WD, dhead_WD, dz_CW.t(), x_CD, before);
        else
          aten::addmm_out(dhead_WD, dhead_WD, dz_CW.t(), x_CD, at::kFloat, before);
      }
    });
  }

  Tensor dx_TD, dhead_VD;  // undefined unless wanted

 private:
  const Tensor &x_, &head_;
};

kernels::Rows gradient_rows(const Tensor& dz_CV) {
  return {.data = dz_CV.mutable_data_ptr(), .type = kernel_float(dz_CV.scalar_type()), .row_stride = dz_CV.stride(0)};
}

}  // namespace

LogProbForward linear_logprob_cuda(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, double temperature,
                                   bool want_entropy) {
  const int64_t tokens = x_TD.size(0);
  const auto options = x_TD.options().dtype(at::kFloat);
  LogProbForward f{{aten::empty({tokens}, options), want_entropy ? aten::empty({tokens}, options) : Tensor()},
                   aten::empty({tokens}, options)};
  if (tokens == 0) return f;
  Chunks chunks(x_TD, head_VD, /*gradient=*/false);
  chunks.for_each([&](int64_t begin, int64_t count) {
    kernels::cuda::log_prob({.logits = chunks.logits(count).const_data_ptr<float>(),
                             .rows = count,
                             .vocab = head_VD.size(0),
                             .row_stride = chunks.stride(),
                             .targets = targets_T.const_data_ptr<int64_t>() + begin,
                             .inv_temperature = float(1 / temperature),
                             .logprob = f.result.logprob_T.mutable_data_ptr<float>() + begin,
                             .lse = f.lse_T.mutable_data_ptr<float>() + begin,
                             .entropy = want_entropy ? f.result.entropy_T.mutable_data_ptr<float>() + begin : nullptr},
                            kernel_stream(x_TD.device()));
  });
  return f;
}

Tensors linear_logprob_backward_cuda(const Tensor& d_T, const Tensors& saved, const Wanted& want, double temperature) {
  const Tensor &x_TD = saved[0], &head_VD = saved[1], &targets_T = saved[2], &lse_T = saved[3];
  GradientSums sums(x_TD, head_VD, want[0], want[1]);
  if (x_TD.size(0) > 0) {
    Chunks chunks(x_TD, head_VD, /*gradient=*/true);
    chunks.for_each([&](int64_t begin, int64_t count) {
      const Tensor dz_CV = chunks.gradient(count);
      kernels::cuda::log_prob_gradient({.logits = chunks.logits(count).const_data_ptr<float>(),
                                        .rows = count,
                                        .vocab = head_VD.size(0),
                                        .row_stride = chunks.stride(),
                                        .targets = targets_T.const_data_ptr<int64_t>() + begin,
                                        .lse = lse_T.const_data_ptr<float>() + begin,
                                        .dlogprob = d_T.const_data_ptr<float>() + begin,
                                        .inv_temperature = float(1 / temperature),
                                        .gradient = gradient_rows(dz_CV)},
                                       kernel_stream(x_TD.device()));
      sums.add(dz_CV, begin, count);
    });
  }
  return {sums.dx_TD, sums.dhead_VD.defined() ? sums.dhead_VD.to(head_VD.scalar_type()) : Tensor()};
}

LogProbGradients linear_logprob_gradients_cuda(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, const Tensor& d_T,
                                               double temperature, bool want_x, bool want_head) {
  const at::NoGradGuard no_grad;
  const Tensor logprob_T = aten::empty({x_TD.size(0)}, x_TD.options().dtype(at::kFloat));
  GradientSums sums(x_TD, head_VD, want_x, want_head);
  if (x_TD.size(0) > 0) {
    Chunks chunks(x_TD, head_VD, /*gradient=*/true);
    chunks.for_each([&](int64_t begin, int64_t count) {
      const Tensor z_CV = chunks.logits(count), dz_CV = chunks.gradient(count);
      kernels::cuda::log_prob_and_gradient({.logits = z_CV.const_data_ptr<float>(),
                                            .rows = count,
                                            .vocab = head_VD.size(0),
                                            .row_stride = chunks.stride(),
                                            .targets = targets_T.const_data_ptr<int64_t>() + begin,
                                            .dlogprob = d_T.const_data_ptr<float>() + begin,
                                            .inv_temperature = float(1 / temperature),
                                            .logprob = logprob_T.mutable_data_ptr<float>() + begin,
                                            .gradient = gradient_rows(dz_CV)},
                                           kernel_stream(x_TD.device()));
      sums.add(dz_CV, begin, count);
    });
  }
  return {logprob_T, sums.dx_TD, sums.dhead_VD};
}

}  // namespace r1::ops
