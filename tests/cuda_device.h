// Whether libtorch sees a GPU, for tests that need one. On a machine that has a GPU scripts/test_gpu.sh counts this skip as a failure.
#pragma once

#include <gtest/gtest.h>

#include "r1/tensor/dtype.h"

namespace r1 {

inline bool has_cuda() {
  return tensor::parse_device("auto").is_cuda();
}
#define SKIP_WITHOUT_CUDA() \
  if (!has_cuda()) GTEST_SKIP() << "no CUDA device"

}  // namespace r1
