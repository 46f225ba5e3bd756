#include "r1/quant/inverse_factor.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"

namespace r1::quant {

namespace {

// libtorch's word, once, that another name for cholesky() is preferred.
struct NoWarning : c10::WarningHandler {
  void process(const c10::Warning&) override {}
};

}  // namespace

Tensor inverse_factor(const Tensor& h_II, double& damping) {
  const double mean = h_II.diagonal().mean().item<double>();
  check(std::isfinite(mean), "the inputs of the calibration are not finite");
  NoWarning handler;
  const c10::WarningUtils::WarningHandlerGuard quiet(&handler);
  for (;; damping = std::max(damping * 10, 1e-6)) {
    try {
      Tensor h = h_II.clone();
      h.diagonal().add_(damping * mean);
      const Tensor factor = h.cholesky().cholesky_inverse().cholesky(/*upper=*/true);
      if (factor.isfinite().all().item<bool>()) return factor.contiguous();
    } catch (const c10::Error&) {  // not positive definite
    }
    check(damping < 10, "the inputs of the calibration have no inverse even with damping ", damping, "; give more calibration text");
  }
}

}  // namespace r1::quant
