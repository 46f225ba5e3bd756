// What do products of 8 bit floats bring? A linear map forward and backward (dx, dweight) with casts and all, in bf16 and in 8 bits, on the
// shapes of a layer; one JSON object a line: {"in", "out", "bf16_ms", "fp8_ms", "ratio", "bf16_tflops", "fp8_tflops"}.
//   bench_linear_fp8 [--tokens 16384 --d 2048 --ffn 5632 --repeat 20]
#include <ATen/DeviceAccelerator.h>

#include <chrono>

#include "bench/bench.h"
#include "r1/ops/autograd.h"
#include "r1/ops/linear.h"
#include "r1/ops/linear_fp8.h"
#include "r1/tensor/aten.h"

namespace r1 {
namespace {

using Clock = std::chrono::steady_clock;

double ms_of(int64_t repeat, const std::function<void()>& f) {
  for (int i = 0; i < 3; ++i) f();
  at::accelerator::synchronizeDevice(0);
  const auto start = Clock::now();
  for (int64_t i = 0; i < repeat; ++i) f();
  at::accelerator::synchronizeDevice(0);
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count() / double(repeat);
}

void run(const bench::Arguments& a) {
  const int64_t T = a.number("tokens"), d = a.number("d"), ffn = a.number("ffn");
  const auto options = at::TensorOptions().dtype(at::kBFloat16).device(at::kCUDA);
  for (const auto& [in, out] : std::vector<std::pair<int64_t, int64_t>>{{d, 3 * d}, {d, d}, {d, 2 * ffn}, {ffn, d}}) {
    const Tensor x = aten::randn({T, in}, options).requires_grad_(), w = aten::randn({out, in}, options).requires_grad_(),
                 dy = aten::randn({T, out}, options);
    const auto time = [&](auto&& linear) { return ms_of(a.number("repeat"), [&] { ops::gradients({linear(x, w)}, {dy}, {x, w}); }); };
    const double plain = time([](const Tensor& x_TI, const Tensor& w_OI) { return ops::linear(x_TI, w_OI); });
    const double fp8 = time([](const Tensor& x_TI, const Tensor& w_OI) { return ops::linear_fp8(x_TI, w_OI); });
    const double flops = 6 * double(T) * double(in) * double(out);
    bench::print({{"in", in},
                  {"out", out},
                  {"bf16_ms", plain},
                  {"fp8_ms", fp8},
                  {"ratio", plain / fp8},
                  {"bf16_tflops", flops / plain / 1e9},
                  {"fp8_tflops", flops / fp8 / 1e9}});
  }
}

}  // namespace
}  // namespace r1

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] { r1::run({argc, argv, {{"tokens", "16384"}, {"d", "2048"}, {"ffn", "5632"}, {"repeat", "20"}}}); });
}
