#include "r1/kernels/cpu/threads.h"

#include <omp.h>

#include <atomic>

namespace r1::kernels {

namespace {
std::atomic<double> least{kLeastSharedWork};
}  // namespace

int threads_for(double operations) {
  return operations < least.load(std::memory_order_relaxed) ? 1 : omp_get_max_threads();
}

void set_least_shared_work(double operations) {
  least = operations;
}

}  // namespace r1::kernels
