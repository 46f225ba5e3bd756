#include "r1/kernels/cpu/isa.h"

#include <atomic>

#include "r1/base/error.h"

namespace r1::kernels {

bool isa_available(Isa isa) {
#if defined(__x86_64__)
  switch (isa) {
    case Isa::kAvx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl") && isa_available(Isa::kAvx2);
    case Isa::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    case Isa::kScalar:
      return true;
  }
#endif
  return isa == Isa::kScalar;
}

bool has_bf16_dot() {
#if defined(__x86_64__)
  return isa_available(Isa::kAvx512) && __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

Isa best_isa() {
  for (Isa isa : {Isa::kAvx512, Isa::kAvx2})
    if (isa_available(isa)) return isa;
  return Isa::kScalar;
}

namespace {
std::atomic<Isa>& active() {
  static std::atomic<Isa> isa{best_isa()};
  return isa;
}
}  // namespace

Isa active_isa() {
  return active().load(std::memory_order_relaxed);
}

bool uses_bf16_dot() {
  return active_isa() == Isa::kAvx512 && has_bf16_dot();
}

void set_isa(Isa isa) {
  check(isa_available(isa), "[set_isa] expected an instruction set of this machine, got ", isa_name(isa));
  active().store(isa);
}

std::string_view isa_name(Isa isa) {
  switch (isa) {
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kScalar:
      break;
  }
  return "scalar";
}

}  // namespace r1::kernels
