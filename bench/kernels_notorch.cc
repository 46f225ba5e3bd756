// How near the CPU kernels come to the machine: GFLOP/s against this core's fma ceiling, GB/s of weights against a plain read. Prints one
// JSON object a line. Usage: bench_kernels_notorch [threads] [name filter]
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "r1/base/rng.h"
#include "r1/kernels/cpu/gemm_f32.h"
#include "r1/kernels/cpu/isa.h"

using namespace r1::kernels;

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::vector<float> random_floats(int64_t n, uint64_t seed) {
  r1::Rng rng(seed);
  std::vector<float> v(n);
  uint64_t x = rng.bits() | 1;
  for (float& f : v) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    f = float(int64_t(x) >> 40) * 0x1p-23f;
  }
  return v;
}

const char* filter = "";

// Median seconds of at least 5 runs and 0.3 s.
double median_seconds(const std::function<void()>& f) {
  f();
  std::vector<double> times;
  for (double start = now(); times.size() < 5 || now() - start < 0.3;) {
    const double t = now();
    f();
    times.push_back(now() - t);
  }
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

void measure(const std::string& name, double flops, double bytes, const std::function<void()>& f) {
  if (!strstr(name.c_str(), filter)) return;
  const double s = median_seconds(f);
  std::printf("{\"kernel\": \"%s\", \"isa\": \"%s\", \"threads\": %d, \"us\": %.1f, \"gflops\": %.1f, \"gb_s\": %.1f}\n", name.c_str(),
              std::string(isa_name(active_isa())).c_str(), omp_get_max_threads(), s * 1e6, flops / s / 1e9, bytes / s / 1e9);
  std::fflush(stdout);
}

void gemms() {
  struct Size {
    int64_t in, out;
  };
  for (Size z : {Size{576, 576}, Size{896, 4864}, Size{4864, 896}, Size{896, 50000}}) {
    const auto w = random_floats(z.in * z.out, 1);
    for (int64_t m : {1, 2, 4, 8, 16, 64, 256, 1024}) {
      if (z.out > 40000 && m > 64) continue;
      const auto x = random_floats(m * z.in, 2), dy = random_floats(m * z.out, 3);
      std::vector<float> y(m * z.out), dx(m * z.in), dw(z.in * z.out);
      const double flops = 2.0 * m * z.in * z.out, bytes = 4.0 * z.in * z.out;
      const std::string size = " " + std::to_string(m) + "x" + std::to_string(z.in) + "x" + std::to_string(z.out);
      measure("linear_forward" + size, flops, bytes,
              [&] { linear_forward({.x = x.data(), .w = w.data(), .y = y.data(), .rows = m, .in = z.in, .out = z.out}); });
      if (m < 64) continue;
      measure("linear_grad_x" + size, flops, bytes,
              [&] { linear_grad_x({.dy = dy.data(), .w = w.data(), .dx = dx.data(), .rows = m, .in = z.in, .out = z.out}); });
      measure("linear_grad_w" + size, flops, bytes,
              [&] { linear_grad_w({.dy = dy.data(), .x = x.data(), .dw = dw.data(), .rows = m, .in = z.in, .out = z.out}); });
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) omp_set_num_threads(std::atoi(argv[1]));
  if (argc > 2) filter = argv[2];
  if (const char* isa = std::getenv("R1_ISA"))
    for (Isa i : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512})
      if (isa_name(i) == isa) set_isa(i);
  gemms();
}
