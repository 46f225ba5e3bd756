
#include "r1/tensor/aten.h"
#include "r1/train/trainer.h"

namespace r1::train {

// -sum_t w_t log p(target_t) / denominator. With w_t = 1 on every learned token this is HF's mean cross entropy over the whole step.
LossSpec cross_entropy_loss() {
  LossSpec spec;
  spec.nll = true;
  spec.loss = [](const ForwardResult& forward, double denominator, LossMetrics&) {
    if (forward.nll.defined()) return forward.nll * (1.0 / denominator);
    return (forward.logprob_T * forward.loss_weight_T).sum() * (-1.0 / denominator);
  };
  spec.mtp = true;
  return spec;
}

}  // namespace r1::train
