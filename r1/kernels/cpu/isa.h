// Which instruction set the CPU kernels run on: AVX-512, AVX2 with FMA, or plain C++; picked once at run time.
// In fp32 the three give the same bits (cpu/simd.h), so the choice is about speed only. set_isa() exists for tests and benchmarks.
#pragma once

#include <string_view>
#include <type_traits>

namespace r1::kernels {

enum class Isa { kScalar, kAvx2, kAvx512 };

// True when this machine (and this build) can run it.
bool isa_available(Isa isa);
// True when kAvx512 may also use the bf16 dot product (Zen 4, Cooper Lake and later).
bool has_bf16_dot();
// The best one available.
Isa best_isa();
// The one in use: best_isa() unless set.
Isa active_isa();
// True when the kernels multiply bf16 with that instruction: it is there, and kAvx512 is in use.
bool uses_bf16_dot();
// Throws when it is not available. Not to be called while kernels run.
void set_isa(Isa isa);
std::string_view isa_name(Isa isa);

// Calls f(std::integral_constant<Isa, I>) for the active set; f calls a kernel's specialisation for I.
template <class F>
void with_isa(F&& f) {
#if defined(__x86_64__)
  switch (active_isa()) {
    case Isa::kAvx512:
      return f(std::integral_constant<Isa, Isa::kAvx512>());
    case Isa::kAvx2:
      return f(std::integral_constant<Isa, Isa::kAvx2>());
    case Isa::kScalar:
      break;
  }
#endif
  f(std::integral_constant<Isa, Isa::kScalar>());
}

}  // namespace r1::kernels
