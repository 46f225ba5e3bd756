#include "r1/ops/running_mean.h"
#include "r1/tensor/aten.h"

#include "op_test.h"

namespace r1::ops {
namespace {

const std::vector<int32_t> kLengths{0, 1, 20, 20, 27};

void test_running_mean(at::Device device) {
  const auto on = [](const Tensor& t) { return sequences_on(t.device(), kLengths); };
  expect_op_equals_ref([&](const Tensors& t) { return running_mean(t[0], on(t[0])); },
                       [&](const Tensors& t) { return running_mean_ref(t[0], on(t[0])); }, {randn({27, 19}, 1)}, device);
}
TEST(RunningMean, EqualsItsDefinition) {
  test_running_mean(at::kCPU);
}
TEST(RunningMean, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_running_mean(at::kCUDA);
}
TEST(RunningMean, GradientOfTheDefinition) {
  expect_ref_gradient([](const Tensors& t) { return running_mean_ref(t[0], sequences_on(at::kCPU, {0, 2, 6})); }, {randn({6, 3}, 1)});
}
TEST(RunningMean, ByHand) {
  const Tensor c = running_mean(aten::tensor({1.0f, 5.0f, 0.0f, 7.0f}).view({4, 1}), sequences_on(at::kCPU, {0, 3, 4}));
  EXPECT_TRUE(aten::equal(c.flatten(), aten::tensor({1.0f, 3.0f, 2.0f, 7.0f})));
  EXPECT_THROW(running_mean(aten::zeros({3, 1}), sequences_on(at::kCPU, {0, 4})), Error);
}

// The paged form in chunks of any size, among other sequences, gives the rows of the training form; bit for bit on the CPU.
void test_paged(at::Device device, bool same_bits) {
  const Tensor x = randn({40, 12}, 5).to(device, at::kFloat), want = running_mean(x, sequences_on(device, {0, 40}));
  const Tensor other = randn({3, 12}, 6).to(device, at::kFloat);
  for (const bool reference : {false, true}) {
    const Tensor cache = aten::full({8, paged_running_mean_bytes(12, 8)}, 0xFF, at::TensorOptions().dtype(at::kByte).device(device));
    int32_t fed = 0;
    Tensors rows;
    for (const int32_t count : {1, 7, 1, 9, 22}) {
      const Sequences s = sequences_on(
          device, {.cu_seqlens = {0, 3, 3 + count}, .block_size = 8, .context_lens = {0, fed}, .block_tables = {{2}, {7, 0, 5, 1, 6}}});
      const Tensor both = aten::cat({other, x.narrow(0, fed, count)}, 0);
      rows.push_back((reference ? paged_running_mean_ref(both, cache, s) : paged_running_mean(both, cache, s)).narrow(0, 3, count));
      fed += count;
    }
    const Tensor got = aten::cat(rows, 0);
    EXPECT_LT(distance(got, want), 1e-5);
    EXPECT_TRUE(!same_bits || reference || aten::equal(got, want));
  }
}
TEST(RunningMean, PagedRowsAreTheTrainersRows) {
  test_paged(at::kCPU, true);
}
TEST(RunningMean, PagedRowsAreTheTrainersRowsCuda) {
  SKIP_WITHOUT_CUDA();
  test_paged(at::kCUDA, false);
}
TEST(RunningMean, ChecksTheCache) {
  const Sequences s = sequences_on(at::kCPU, {.cu_seqlens = {0, 1}, .block_size = 8, .context_lens = {0}, .block_tables = {{3}}});
  EXPECT_THROW(paged_running_mean(aten::zeros({1, 4}), aten::zeros({3, 128}, at::kByte), s), Error);
  EXPECT_THROW(paged_running_mean(aten::zeros({1, 4}), aten::zeros({4, 64}, at::kByte), s), Error);
  EXPECT_THROW(running_mean(aten::zeros({1, 4}), s), Error);
}

}  // namespace
}  // namespace r1::ops
