// Sequences of one length, which a device gives to cuDNN, against the definition in fp64: grouped heads, every head size it is used for,
// views of one tensor.
#include <gtest/gtest.h>

#include "op_test.h"
#include "r1/ops/attention.h"
#include "r1/ops/attention_impl.h"

namespace r1::ops {
namespace {

struct Case {
  std::vector<int32_t> lengths;
  int64_t heads, kv_heads, head_dim;
};

void expect_as_defined(const Case& c, at::Device device) {
  int64_t tokens = 0;
  for (const int32_t n : c.lengths) tokens += n;
  const Sequences there = sequences_of(device, c.lengths);
  const Tensors inputs{randn({tokens, c.heads, c.head_dim}, 1), randn({tokens, c.kv_heads, c.head_dim}, 2),
                       randn({tokens, c.kv_heads, c.head_dim}, 3)};
  const double scale = 0.3;
  expect_op_equals_ref([&](const Tensors& t) { return attention(t[0], t[1], t[2], there, scale); },
                       [&](const Tensors& t) { return attention_ref(t[0], t[1], t[2], there, scale); }, inputs, device,
                       {{at::kBFloat16, 2e-2, 3e-2}});
}

TEST(AttentionOfOneLength, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  for (const Case& c : {Case{{256, 256, 256}, 4, 4, 64}, Case{{320, 320}, 6, 2, 128}, Case{{512}, 7, 1, 64}, Case{{256, 256}, 2, 1, 32},
                        Case{{256, 256}, 4, 2, 80}}) {
    const Tensor q = aten::zeros({1, c.heads, c.head_dim}, at::TensorOptions().dtype(at::kBFloat16).device(at::kCUDA));
    EXPECT_TRUE(has_cudnn_attention(q, q, sequences_of(at::kCUDA, c.lengths), {}));
    expect_as_defined(c, at::kCUDA);
  }
}

TEST(AttentionOfOneLength, OthersGoAnotherWayCuda) {
  SKIP_WITHOUT_CUDA();
  const Tensor q = aten::zeros({1, 4, 64}, at::TensorOptions().dtype(at::kBFloat16).device(at::kCUDA));
  const auto goes = [&](const std::vector<int32_t>& lengths, const Window& window = {}) {
    return has_cudnn_attention(q, q, sequences_of(at::kCUDA, lengths), window);
  };
  EXPECT_TRUE(goes({256, 256}));
  EXPECT_FALSE(goes({256, 192}));
  EXPECT_FALSE(goes({257, 257})) << "lengths that hardly come again";
  EXPECT_FALSE(goes({64, 64})) << "short";
  EXPECT_FALSE(goes({256}, 16)) << "a window";
  EXPECT_FALSE(has_cudnn_attention(q.to(at::kFloat), q, sequences_of(at::kCUDA, {256}), {}));
  for (const Case& c : {Case{{256, 192}, 4, 2, 64}, Case{{257, 257}, 4, 2, 64}}) expect_as_defined(c, at::kCUDA);
}

// q, k and v side by side in one tensor, as a joint map makes them.
TEST(AttentionOfOneLength, TakesViewsCuda) {
  SKIP_WITHOUT_CUDA();
  const int64_t N = 4, K = 2, H = 64, T = 512;
  const Sequences s = sequences_of(at::kCUDA, {256, 256});
  const auto parts = [&](const Tensor& x) { return Tensors{x.narrow(1, 0, N), x.narrow(1, N, K), x.narrow(1, N + K, K)}; };
  expect_op_equals_ref(
      [&](const Tensors& t) {
        const Tensors p = parts(t[0]);
        return attention(p[0], p[1], p[2], s, 0.125);
      },
      [&](const Tensors& t) {
        const Tensors p = parts(t[0]);
        return attention_ref(p[0], p[1], p[2], s, 0.125);
      },
      {randn({T, N + 2 * K, H}, 1)}, at::kCUDA, {{at::kBFloat16, 2e-2, 3e-2}});
}

}  // namespace
}  // namespace r1::ops
