
#include <array>
#include <cmath>

#include "r1/ops/dropout.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

constexpr int64_t kLow32 = 0xFFFFFFFF;

// The 64 bits of a * x for 32 bit unsigned x (in int64 tensors), as high and low words. The product wraps to negative; the bits are right.
std::pair<Tensor, Tensor> multiply(int64_t a, const Tensor& x) {
  const Tensor product = x * a;
  return {product.__rshift__(32).bitwise_and(kLow32), product.bitwise_and(kLow32)};
}

// base/rng.h's philox4x32 on tensors of counters.
std::array<Tensor, 4> philox(std::array<Tensor, 4> c, uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const auto [a_high, a_low] = multiply(0xD2511F53, c[0]);
    const auto [b_high, b_low] = multiply(0xCD9E8D57, c[2]);
    c = {b_high.bitwise_xor(c[1]).bitwise_xor(int64_t(key0)), b_low, a_high.bitwise_xor(c[3]).bitwise_xor(int64_t(key1)), a_low};
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return c;
}

}  // namespace

Tensor dropout_mask_ref(at::IntArrayRef shape, at::Device device, double p, uint64_t seed, uint64_t stream) {
  const int64_t count = c10::multiply_integers(shape);
  const auto options = at::TensorOptions().dtype(at::kLong).device(device);
  const Tensor i = aten::arange((count + 3) / 4, options);
  const auto same = [&](uint64_t value) { return aten::full_like(i, int64_t(value & kLow32)); };
  const auto words =
      philox({i.bitwise_and(kLow32), i.__rshift__(32), same(stream), same(stream >> 32)}, uint32_t(seed), uint32_t(seed >> 32));
  const Tensor bits = aten::stack({words[0], words[1], words[2], words[3]}, 1).flatten().narrow(0, 0, count);
  const int64_t threshold = int64_t(std::ceil(p * 4294967296.0));
  return (bits >= threshold).to(at::kFloat).mul(1 / (1 - p)).view(shape);
}

Tensor dropout_ref(const Tensor& x, double p, uint64_t seed, uint64_t stream) {
  return x * dropout_mask_ref(x.sizes(), x.device(), p, seed, stream).to(x.scalar_type());
}

}  // namespace r1::ops
