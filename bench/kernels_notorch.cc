// How near the CPU kernels come to the machine: GFLOP/s against this core's fma ceiling, GB/s of weights against a plain read. Prints one
// JSON object a line. Usage: [R1_ISA=avx2] bench_kernels_notorch [threads] [name filter]
#include <omp.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "r1/base/rng.h"
#include "r1/kernels/cpu/attention.h"
#include "r1/kernels/cpu/bf16.h"
#include "r1/kernels/cpu/gemm_bf16.h"
#include "r1/kernels/cpu/gemm_f32.h"
#include "r1/kernels/cpu/isa.h"
#include "r1/kernels/cpu/norm.h"
#include "r1/kernels/cpu/optimizer.h"
#include "r1/kernels/cpu/packed_linear.h"
#include "r1/kernels/cpu/softmax.h"
#include "r1/kernels/cpu/swiglu.h"

using namespace r1::kernels;

namespace {

// One thread: its own time, so that a neighbour on the core does not count. More: the clock on the wall.
double now() {
  timespec t;
  clock_gettime(omp_get_max_threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
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
// Whether some kernel of this size may be asked for: sizes of no interest need not be filled.
bool is_wanted(const std::string& size) {
  const char* blank = strchr(filter, ' ');
  return !*filter || (blank ? size.starts_with(blank) || strstr(size.c_str(), filter) : true);
}

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
  for (Size z : {Size{128, 128}, Size{128, 352}, Size{352, 128}, Size{576, 576}, Size{896, 4864}, Size{4864, 896}, Size{896, 50000}}) {
    const auto w = random_floats(z.in * z.out, 1);
    for (int64_t m : {1, 2, 4, 8, 16, 64, 256, 1024, 2048}) {
      const std::string size = " " + std::to_string(m) + "x" + std::to_string(z.in) + "x" + std::to_string(z.out);
      if ((z.out > 40000 && m > 64) || !is_wanted(size)) continue;
      const auto x = random_floats(m * z.in, 2), dy = random_floats(m * z.out, 3);
      std::vector<float> y(m * z.out), dx(m * z.in), dw(z.in * z.out);
      const double flops = 2.0 * m * z.in * z.out, bytes = 4.0 * z.in * z.out;
      measure("linear_forward" + size, flops, bytes,
              [&] { linear_forward({.x = x.data(), .w = w.data(), .y = y.data(), .rows = m, .in = z.in, .out = z.out}); });
      std::vector<uint16_t> w16(w.size()), x16(x.size()), y16(y.size());
      f32_to_bf16(w.data(), w16.data(), int64_t(w.size())), f32_to_bf16(x.data(), x16.data(), int64_t(x.size()));
      measure("linear_bf16" + size, flops, bytes / 2, [&] {
        linear_forward_bf16({.x = x16.data(), .w = w16.data(), .y = {y16.data(), Float::kBf16}, .rows = m, .in = z.in, .out = z.out});
      });
      if (m < 64) continue;
      measure("linear_grad_x" + size, flops, bytes,
              [&] { linear_grad_x({.dy = dy.data(), .w = w.data(), .dx = dx.data(), .rows = m, .in = z.in, .out = z.out}); });
      measure("linear_grad_w" + size, flops, bytes,
              [&] { linear_grad_w({.dy = dy.data(), .x = x.data(), .dw = dw.data(), .rows = m, .in = z.in, .out = z.out}); });
      std::vector<uint16_t> dy16(dy.size()), dx16(dx.size()), dw16(dw.size());
      f32_to_bf16(dy.data(), dy16.data(), int64_t(dy.size()));
      const ConstRows dy_rows{dy16.data(), Float::kBf16};
      measure("linear_bf16_grad_x" + size, flops, bytes, [&] {
        linear_grad_x_mixed(
            {.dy = dy_rows, .w = {w16.data(), Float::kBf16}, .dx = {dx16.data(), Float::kBf16}, .rows = m, .in = z.in, .out = z.out});
      });
      measure("linear_bf16_grad_w" + size, flops, bytes, [&] {
        linear_grad_w_mixed(
            {.dy = dy_rows, .x = {x16.data(), Float::kBf16}, .dw = {dw16.data(), Float::kBf16}, .rows = m, .in = z.in, .out = z.out});
      });
    }
  }
}

// Products with weights in ggml's blocks. The weights of all sizes are larger than the caches, so that few rows read memory.
void packed_products() {
  if (*filter && !strstr("packed_linear_q8_0 packed_linear_q4_0 packed_linear_q4_1 packed_linear_q5_0 packed_linear_q5_1 "
                         "packed_linear_q4_k packed_linear_q5_k packed_linear_q6_k",
                         filter))
    return;
  const std::pair<r1::BlockForm, const char*> forms[] = {
      {r1::BlockForm::kQ8_0, "q8_0"}, {r1::BlockForm::kQ4_0, "q4_0"}, {r1::BlockForm::kQ4_1, "q4_1"}, {r1::BlockForm::kQ5_0, "q5_0"},
      {r1::BlockForm::kQ5_1, "q5_1"}, {r1::BlockForm::kQ4_K, "q4_k"}, {r1::BlockForm::kQ5_K, "q5_k"}, {r1::BlockForm::kQ6_K, "q6_k"}};
  for (const auto& [form, name] : forms) {
    const int64_t in = form < r1::BlockForm::kQ4_K ? 896 : 4864, out = form < r1::BlockForm::kQ4_K ? 151936 : 28672;
    const std::vector<std::byte> w(r1::interleaved_bytes(form, out, in), std::byte(0x11));
    for (int64_t m : {1, 4, 8, 64, 512}) {
      const int64_t cols = m > 8 ? 4864 : out;
      const std::string size = " " + std::to_string(m) + "x" + std::to_string(in) + "x" + std::to_string(cols);
      const auto x = random_floats(m * in, 2);
      std::vector<float> y(m * cols);
      measure(std::string("packed_linear_") + name + size, 2.0 * m * in * cols, double(r1::interleaved_bytes(form, cols, in)),
              [&] { packed_linear({.x = {x.data()}, .form = form, .w = w.data(), .y = {y.data()}, .rows = m, .in = in, .out = cols}); });
    }
  }
}

// Causal attention of packed sequences; flops count the visible half only.
void attentions() {
  struct Size {
    int64_t heads, kv_heads, dim, length, sequences;
  };
  for (Size z : {Size{14, 2, 64, 512, 2}, Size{9, 3, 64, 2048, 1}, Size{12, 2, 128, 1024, 1}, Size{4, 4, 32, 64, 32}}) {
    const AttentionShape shape{.heads = z.heads, .kv_heads = z.kv_heads, .head_dim = z.dim, .v_dim = z.dim, .scale = 0.125f};
    const int64_t t = z.length * z.sequences;
    const auto q = random_floats(t * z.heads * z.dim, 1), k = random_floats(t * z.kv_heads * z.dim, 2),
               v = random_floats(t * z.kv_heads * z.dim, 3), dout = random_floats(t * z.heads * z.dim, 4);
    std::vector<float> out(q.size()), lse(t * z.heads), dq(q.size()), dk(k.size()), dv(v.size());
    std::vector<int32_t> cu;
    for (int64_t i = 0; i <= z.sequences; ++i) cu.push_back(int32_t(i * z.length));
    const double flops = 4.0 * double(z.heads * z.dim * z.sequences) * double(z.length) * double(z.length + 1) / 2;
    const std::string size = " " + std::to_string(z.sequences) + "x" + std::to_string(z.length) + " heads " + std::to_string(z.heads) +
                             "/" + std::to_string(z.kv_heads) + "x" + std::to_string(z.dim);
    measure("attention_forward" + size, flops, 0, [&] {
      attention_forward({.shape = shape,
                         .q = {q.data()},
                         .k = {k.data()},
                         .v = {v.data()},
                         .out = {out.data()},
                         .lse = lse.data(),
                         .cu_seqlens = cu.data(),
                         .sequences = z.sequences});
    });
    measure("attention_backward" + size, 2.5 * flops, 0, [&] {
      attention_backward({.shape = shape,
                          .q = {q.data()},
                          .k = {k.data()},
                          .v = {v.data()},
                          .out = {out.data()},
                          .lse = lse.data(),
                          .dout = {dout.data()},
                          .dq = {dq.data()},
                          .dk = {dk.data()},
                          .dv = {dv.data()},
                          .cu_seqlens = cu.data(),
                          .sequences = z.sequences});
    });
    // One new token a sequence behind length - 1 cached ones.
    const int64_t blocks = (z.length + 63) / 64;
    for (Float type : {Float::kF32, Float::kBf16}) {
      const size_t bytes = attention_block_bytes(64, z.kv_heads, z.dim, z.dim, type);
      std::vector<char> memory(bytes * blocks * z.sequences);
      std::vector<int32_t> table;
      for (int64_t i = 0; i < blocks * z.sequences; ++i) table.push_back(int32_t(i));
      const KvPool pool{memory.data(), type, 64};
      std::vector<PagedSequence> sequences;
      for (int64_t i = 0; i < z.sequences; ++i) sequences.push_back({i * z.length, z.length, z.length, table.data() + i * blocks});
      append_kv(shape, pool, {k.data()}, {v.data()}, sequences.data(), z.sequences);
      for (int64_t i = 0; i < z.sequences; ++i) sequences[i].q_begin = i, sequences[i].q_rows = 1;
      measure(
          std::string("attention_decode ") + (type == Float::kF32 ? "fp32" : "bf16") + size,
          4.0 * double(z.heads * z.dim * z.sequences * z.length), double(bytes * blocks * z.sequences), [&] {
            attention_forward_paged(
                {.shape = shape, .q = {q.data()}, .pool = pool, .out = {out.data()}, .sequences = sequences.data(), .count = z.sequences});
          });
    }
  }
}

void rows() {
  const int64_t t = 512, d = 896, f = 4864, vocab = 50000;
  const auto x = random_floats(t * f, 1), w = random_floats(d, 2);
  std::vector<float> y(t * f), rstd(t), lse(t), z = random_floats(64 * vocab, 3);
  measure("rms_norm 512x896", 0, 8.0 * t * d, [&] {
    rms_norm({.x = {x.data()}, .weight = {w.data()}, .y = {y.data()}, .rstd = rstd.data(), .rows = t, .dim = d, .eps = 1e-6f});
  });
  measure("swiglu 256x4864", 0, 12.0 * t / 2 * f,
          [&] { swiglu({.gate = {x.data()}, .up = {x.data() + t / 2 * f}, .y = {y.data()}, .rows = t / 2, .dim = f}); });
  measure("log_prob 64x50000", 0, 4.0 * 64 * vocab, [&] { log_prob({.logits = z.data(), .rows = 64, .vocab = vocab, .lse = lse.data()}); });
  std::vector<float> m(x.size()), v(x.size());
  measure("adamw 2.5M", 0, 28.0 * double(x.size()), [&] {
    adamw({.weight = y.data(),
           .grad = x.data(),
           .m = m.data(),
           .v = v.data(),
           .n = int64_t(x.size()),
           .lr = 1e-3,
           .beta1 = 0.9,
           .beta2 = 0.95,
           .eps = 1e-8,
           .weight_decay = 0.1,
           .step = 3});
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) omp_set_num_threads(std::atoi(argv[1]));
  if (argc > 2) filter = argv[2];
  if (const char* isa = std::getenv("R1_ISA"))
    for (Isa i : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512})
      if (isa_name(i) == isa) set_isa(i);
  gemms();
  packed_products();
  attentions();
  rows();
}
