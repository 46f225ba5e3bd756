// For tests of kernels/cuda: the device, and memory there from a list and back.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "r1/kernels/cuda/device.h"

namespace r1::kernels::cuda {

#define SKIP_WITHOUT_CUDA() \
  if (device_count() == 0) GTEST_SKIP() << "no CUDA device"

template <class T>
Buffer uploaded(const std::vector<T>& values) {
  Buffer buffer(0, values.size() * sizeof(T));
  buffer.upload(values.data(), buffer.bytes(), {});
  synchronize({});
  return buffer;
}
template <class T>
std::vector<T> downloaded(const Buffer& buffer) {
  std::vector<T> values(buffer.bytes() / sizeof(T));
  buffer.download(values.data(), buffer.bytes(), {});
  synchronize({});
  return values;
}

}  // namespace r1::kernels::cuda
