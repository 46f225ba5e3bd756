// Log-probabilities of given tokens straight from hidden states: the head's product, log-softmax and pick, in chunks of tokens, so that
// [tokens x vocab] is never held. Forward saves only x, w, targets and the log-normaliser; backward recomputes each chunk's logits. Cross
// entropy, GRPO, KL and `r1 score` all stand on it.
//
//   logprob_T[t] = z[target] - logsumexp(z),  z = x_TD[t] . head_VD^T / temperature   (fp32 whatever the dtype of x and head)
//   entropy_T[t] = logsumexp(z) - sum(softmax(z) * z)                                  (no gradient)
//
// CPU fp32: row t is bitwise the same whatever T and the chunking (the engine's sampler calls the same kernel on its logits).
#pragma once

#include <functional>

#include "r1/tensor/tensor.h"

namespace r1::tensor {
class PackedMatrix;
}

namespace r1::ops {

struct LogProbs {
  Tensor logprob_T;  // fp32
  Tensor entropy_T;  // fp32, undefined unless asked for
};

// A head whose tokens are shared out among ranks, each of which calls the op with the same x and targets: the head given is that of the tokens
// [first, first + V). The largest logit and the sum of the exponentials are taken over the ranks, the target's logit comes from the rank that
// has it (Megatron-LM, arXiv 1909.08053, section 3). The results are the same on all ranks; the gradient of x is each rank's own term of a sum.
struct HeadShare {
  int64_t first = 0, vocabulary = 0;      // vocabulary: tokens of all ranks together
  std::function<void(Tensor&)> sum, max;  // over the ranks, in place, of a contiguous fp32 tensor
};

// targets_T int64; rows with target < 0 give 0 and no gradient. `share`: null, or of one of the ranks; not for fp64.
LogProbs linear_logprob(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, double temperature = 1.0,
                        bool want_entropy = false, const HeadShare* share = nullptr);
LogProbs linear_logprob_ref(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, double temperature = 1.0,
                            bool want_entropy = false);

// The same of a head in a packed form (ops/packed_linear): logprob_T at temperature 1, without a graph.
Tensor packed_logprob(const Tensor& x_TD, const tensor::PackedMatrix& head, const Tensor& targets_T);

// -sum_t weights_T[t] logprob_T[t], for losses that are no more than that. weights_T fp32, without a gradient.
struct Nll {
  Tensor sum;        // fp32 scalar, with graph
  Tensor logprob_T;  // fp32, without
};
// On CUDA the gradients of x and head are made in the forward, out of the logits that are there: a product less than linear_logprob with its
// backward. Until the backward they are held, x's in its dtype and head's in fp32.
Nll linear_nll(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, const Tensor& weights_T, double temperature = 1.0);
Nll linear_nll_ref(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, const Tensor& weights_T, double temperature = 1.0);

// Rows of logits that these hold at a time, of `tokens` in all: on CUDA up to 2 GB of them and their gradient, in chunks of one size.
int64_t logits_chunk_rows(int64_t tokens, int64_t vocab, at::Device device, at::ScalarType type);

// The logits themselves, fp32 [R, V]: what linear_logprob makes chunk by chunk and the engine's sampler reads. From 16 bit x and head they
// are summed and kept in fp32, except on a CPU with an instruction for bf16 products: there ATen rounds them to 16 bits once.
Tensor linear_logits(const Tensor& x_RD, const Tensor& head_VD);

}  // namespace r1::ops
