#include "r1/tensor/cuda_graph.h"

#include <gtest/gtest.h>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"
#include "tests/cuda_device.h"

namespace r1::tensor {
namespace {

TEST(CudaGraph, ReplaysOnNewNumbersCuda) {
  SKIP_WITHOUT_CUDA();
  const Tensor x = aten::ones({1000}, at::TensorOptions(at::kFloat).device(at::kCUDA));
  GraphMemory memory;
  CudaGraph graphs[2];
  Tensor y[2];
  for (int i = 0; i < 2; ++i) graphs[i].capture(at::kCUDA, memory, [&] { y[i] = (x * double(i + 2)).sum(); });
  for (const double value : {1.0, 3.0}) {
    x.fill_(value);
    for (int i = 0; i < 2; ++i) {
      graphs[i].replay();
      EXPECT_EQ(y[i].item<double>(), 1000 * value * (i + 2));
    }
  }
}

TEST(CudaGraph, WhatCannotBeCapturedIsAnErrorAndNoMoreCuda) {
  SKIP_WITHOUT_CUDA();
  const Tensor x = aten::ones({4}, at::TensorOptions(at::kFloat).device(at::kCUDA));
  GraphMemory memory;
  CudaGraph graph;
  EXPECT_ANY_THROW(graph.capture(at::kCUDA, memory, [&] { x.sum().item<double>(); }));
  EXPECT_EQ((x + 1).sum().item<double>(), 8) << "the device goes on";
  CudaGraph next;
  Tensor y;
  next.capture(at::kCUDA, memory, [&] { y = x * 2; });
  next.replay();
  EXPECT_EQ(y.sum().item<double>(), 8);
}

TEST(CudaGraph, ABuildOrMachineWithoutCudaSaysSo) {
  if (has_cuda()) GTEST_SKIP() << "there is a CUDA device";
  GraphMemory memory;
  CudaGraph graph;
  EXPECT_ANY_THROW(graph.capture(at::kCUDA, memory, [] {}));
}

}  // namespace
}  // namespace r1::tensor
