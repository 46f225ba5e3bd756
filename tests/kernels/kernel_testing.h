// Shared by the tests of r1/kernels: random inputs, bit views, and running a body on every instruction set and thread count.
#pragma once

#include <omp.h>

#include <cstdint>
#include <string>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/kernels/cpu/isa.h"
#include "r1/kernels/cpu/threads.h"

namespace r1::kernels {

inline std::vector<float> random_floats(int64_t n, uint64_t seed, float scale = 1) {
  std::vector<float> v(n);
  for (int64_t i = 0; i < n; ++i) v[i] = scale * float(2 * random_uniform(seed, 7, i) - 1);
  return v;
}

inline uint32_t bits(float x) {
  return __builtin_bit_cast(uint32_t, x);
}

// However little there is to do.
template <class F>
void with_threads(int n, F&& f) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(n);
  set_least_shared_work(0);
  f();
  set_least_shared_work(kLeastSharedWork);
  omp_set_num_threads(before);
}

inline std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512})
    if (isa_available(isa)) isas.push_back(isa);
  return isas;
}

// f(where) on every instruction set of this machine, with 1 and with 2 threads.
template <class F>
void for_each_isa_and_threads(F&& f) {
  for (Isa isa : available_isas())
    for (int threads : {1, 2}) {
      set_isa(isa);
      with_threads(threads, [&] { f(str(isa_name(isa), " x ", threads)); });
    }
  set_isa(best_isa());
}

}  // namespace r1::kernels
