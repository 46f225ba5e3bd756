// GELU and its slope on vectors. Only for *.simd.cc.
#pragma once

#include "r1/kernels/cpu/gelu.h"
#include "r1/kernels/cpu/simd.h"

namespace r1::kernels {
namespace {

// Error below 1.3e-7. Chebyshev interpolations: of erf(x) / x in x^2 up to 1, and of the logarithm of 1 - erf from 0.9 to 4.
R1_INLINE F16 erf(F16 x) {
  const F16 t = x * x;
  F16 p = set1(7.875875047e-05f);
  p = fma(p, t, set1(-8.016864282e-04f));
  p = fma(p, t, set1(5.189087423e-03f));
  p = fma(p, t, set1(-2.685421201e-02f));
  p = fma(p, t, set1(1.128359472e-01f));
  p = fma(p, t, set1(-3.761262667e-01f));
  p = fma(p, t, set1(1.128379166e+00f));
  const F16 a = min(set1(4.0f), abs(x));
  F16 q = set1(-1.393305976e-05f);
  q = fma(q, a, set1(3.288907035e-04f));
  q = fma(q, a, set1(-3.522564534e-03f));
  q = fma(q, a, set1(2.297191370e-02f));
  q = fma(q, a, set1(-1.041488145e-01f));
  q = fma(q, a, set1(-6.379538299e-01f));
  q = fma(q, a, set1(-1.126762475e+00f));
  q = fma(q, a, set1(-5.042945189e-04f));
  const F16 far = set1(1.0f) - exp(q);
  return select(abs(x) < set1(1.0f), x * p, select(x < zero(), zero() - far, far));
}

constexpr float kTanhScale = 1.5957691216f, kTanhCubic = 0.044715f;  // 2 sqrt(2 / pi)

// What x is multiplied by.
R1_INLINE F16 gelu_gate(F16 x, GeluForm form) {
  if (form == GeluForm::kTanh) return sigmoid(set1(kTanhScale) * fma(set1(kTanhCubic) * x, x * x, x));
  return fma(set1(0.5f), erf(x * set1(0.70710678f)), set1(0.5f));
}

R1_INLINE F16 gelu(F16 x, GeluForm form) {
  return x * gelu_gate(x, form);
}

R1_INLINE F16 gelu_slope(F16 x, GeluForm form) {
  const F16 s = gelu_gate(x, form);
  if (form == GeluForm::kTanh) {
    const F16 du = set1(kTanhScale) * fma(set1(3 * kTanhCubic) * x, x, set1(1.0f));
    return fma(x * du, s * (set1(1.0f) - s), s);
  }
  return fma(x * set1(0.39894228f), exp(set1(-0.5f) * (x * x)), s);
}

}  // namespace
}  // namespace r1::kernels
