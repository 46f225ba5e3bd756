#include "r1/ops/hybrid_attention.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "r1/base/error.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

struct Mixed {
  const Tensor &local, &global, &logit;  // [T, N, H] twice, [T, 1]
};

// Calls row(t, gate, local row, global row) for every token; rows are of one dtype, and a row's arithmetic is its own.
template <class T, class F>
void for_each_row(const Mixed& m, F&& row) {
  const int64_t tokens = m.local.size(0), width = m.local.numel() / std::max<int64_t>(1, tokens);
  const T *local = m.local.const_data_ptr<T>(), *global = m.global.const_data_ptr<T>(), *logit = m.logit.const_data_ptr<T>();
  at::parallel_for(0, tokens, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, width)), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) row(t, 1 / (1 + std::exp(-float(logit[t]))), local + t * width, global + t * width, width);
  });
}

template <class T>
void mix_rows(const Mixed& m, const Tensor& out) {
  T* y = out.mutable_data_ptr<T>();
  for_each_row<T>(m, [&](int64_t t, float gate, const T* local, const T* global, int64_t width) {
    for (int64_t i = 0; i < width; ++i) y[t * width + i] = T(float(global[i]) + gate * (float(local[i]) - float(global[i])));
  });
}

template <class T>
void mix_rows_backward(const Mixed& m, const Tensor& dout, const Tensors& grads) {
  const T* dy = dout.const_data_ptr<T>();
  T *dlocal = grads[0].mutable_data_ptr<T>(), *dglobal = grads[1].mutable_data_ptr<T>(), *dlogit = grads[2].mutable_data_ptr<T>();
  for_each_row<T>(m, [&](int64_t t, float gate, const T* local, const T* global, int64_t width) {
    float sum = 0;
    for (int64_t i = 0; i < width; ++i) {
      const float d = dy[t * width + i];
      dlocal[t * width + i] = T(gate * d);
      dglobal[t * width + i] = T((1 - gate) * d);
      sum += d * (float(local[i]) - float(global[i]));
    }
    dlogit[t] = T(gate * (1 - gate) * sum);
  });
}

Tensors mix_backward(const Tensor& dout, const Tensors& saved) {
  const Mixed m{saved[0], saved[1], saved[2]};
  const Tensors grads{aten::empty_like(m.local), aten::empty_like(m.global), aten::empty_like(m.logit)};
  if (m.local.scalar_type() == at::kFloat)
    mix_rows_backward<float>(m, dout.contiguous(), grads);
  else
    mix_rows_backward<at::BFloat16>(m, dout.contiguous(), grads);
  return grads;
}

// ATen's sigmoid of a row depends on the row's place among the vector lanes, hence the loop of our own on the CPU.
Tensor mix(const Tensor& local_TNH, const Tensor& global_TNH, const Tensor& logit_T1) {
  if (!has_cpu_kernels(local_TNH)) {
    const Tensor gate_T11 = aten::sigmoid(logit_T1).unsqueeze(-1);
    return gate_T11 * local_TNH + (1 - gate_T11) * global_TNH;
  }
  Tensor local, global, logit, out;
  {
    const at::NoGradGuard no_grad;
    local = local_TNH.contiguous(), global = global_TNH.contiguous(), logit = logit_T1.contiguous();
    out = aten::empty_like(local);
    if (out.scalar_type() == at::kFloat)
      mix_rows<float>({local, global, logit}, out);
    else
      mix_rows<at::BFloat16>({local, global, logit}, out);
  }
  if (!needs_grad({local_TNH, global_TNH, logit_T1})) return out;
  return differentiable("hybrid_mix", out, {local_TNH, global_TNH, logit_T1}, {local, global, logit},
                        [](const Tensor& dout, const Tensors& saved, const Wanted&) { return mix_backward(dout, saved); });
}

void check_gate(const Tensor& q_TNH, const Tensor& logit_T1, const Window& window) {
  check(logit_T1.dim() == 2 && logit_T1.size(0) == q_TNH.size(0) && logit_T1.size(1) == 1 && logit_T1.scalar_type() == q_TNH.scalar_type(),
        "[hybrid_attention] expected gate logits [", q_TNH.size(0), ", 1] of ", q_TNH.scalar_type(), ", got ", logit_T1.scalar_type(), " ",
        logit_T1.sizes());
  check(window.tokens > 0, "[hybrid_attention] expected a window of at least one token, got ", window.tokens);
}

}  // namespace

Tensor hybrid_attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& logit_T1, const Sequences& sequences,
                        double scale, const Window& window) {
  check_gate(q_TNH, logit_T1, window);
  return mix(attention(q_TNH, k_TKH, v_TKH, sequences, scale, window), attention(q_TNH, k_TKH, v_TKH, sequences, scale), logit_T1);
}

Tensor paged_hybrid_attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& logit_T1, const Tensor& cache,
                              const Sequences& sequences, double scale, const Window& window) {
  check_gate(q_TNH, logit_T1, window);
  const Tensor local_TNH =
      paged_attention(q_TNH, k_TKH, v_TKH, cache, sequences, scale, window);  // appends; the second finds the same there
  return mix(local_TNH, paged_attention(q_TNH, k_TKH, v_TKH, cache, sequences, scale), logit_T1);
}

}  // namespace r1::ops
