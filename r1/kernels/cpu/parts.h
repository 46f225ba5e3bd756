// A range in as many parts as there are threads.
#pragma once

#include <algorithm>
#include <cstdint>

namespace r1::kernels {

// work(begin, end) for [0, size); parts begin at multiples of 16. OpenMP where threads > 1.
template <class Work>
void in_parts(int64_t size, int64_t threads, Work work) {
  const auto bound = [&](int64_t i) { return std::min(size, (size + 15) / 16 * i / threads * 16); };
#pragma omp parallel for schedule(static) num_threads(int(threads)) if (threads > 1)
  for (int64_t i = 0; i < threads; ++i) work(bound(i), bound(i + 1));
}

}  // namespace r1::kernels
