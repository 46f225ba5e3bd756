// Threads that work beside the training.
#pragma once

#include <ATen/Parallel.h>
#include <omp.h>

namespace r1::train {

// For the begin of such a thread: what it computes with libtorch takes this one thread and no team of its own, which would push the training
// aside.
inline void keep_to_one_thread() {
  at::get_num_threads();  // libtorch's first look in a thread sets its number
  omp_set_num_threads(1);
}

}  // namespace r1::train
