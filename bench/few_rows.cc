// What the pieces of a decode step of few sequences cost on a GPU, each a hundred times in a CUDA graph, with weights that come from memory as in
// a step: microseconds, and for products bytes of weights a second beside ATen's product. One JSON object a line.
// bench_few_rows [--rows 1]
#include <ATen/core/grad_mode.h>

#include "bench/bench.h"
#include "r1/ops/add_norm.h"
#include "r1/ops/linear.h"
#include "r1/ops/qkv_heads.h"
#include "r1/ops/swiglu.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/cuda_graph.h"
#include "r1/tensor/dtype.h"

namespace {

using namespace r1;

constexpr int kTimes = 100;

Tensor random(at::IntArrayRef shape) {
  return aten::randn(shape, at::TensorOptions().dtype(at::kBFloat16).device(at::kCUDA)) * 0.05;
}

double microseconds(const std::function<void(int)>& body) {
  for (int i = 0; i < 3; ++i) body(i);
  tensor::GraphMemory memory;
  tensor::CudaGraph graph;
  graph.capture(at::kCUDA, memory, [&] {
    for (int i = 0; i < kTimes; ++i) body(i);
  });
  const Tensor flag = aten::zeros({1}, at::TensorOptions().device(at::kCUDA));
  std::vector<double> times;
  for (int round = 0; round < 7; ++round) {
    flag.to(at::kCPU);
    timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    graph.replay();
    flag.to(at::kCPU);  // waits
    clock_gettime(CLOCK_MONOTONIC, &to);
    times.push_back(double(to.tv_sec - from.tv_sec) * 1e6 + double(to.tv_nsec - from.tv_nsec) * 1e-3);
  }
  return bench::median(times) / kTimes;
}

void product(int64_t rows, int64_t in, int64_t out) {
  const int64_t bytes = in * out * 2, copies = std::clamp<int64_t>(400'000'000 / bytes, 1, kTimes);
  std::vector<Tensor> weights;
  for (int64_t i = 0; i < copies; ++i) weights.push_back(random({out, in}));
  const Tensor x = random({rows, in});
  const double ours = microseconds([&](int i) { ops::linear(x, weights[size_t(i % copies)]); });
  const double theirs = microseconds([&](int i) { aten::linear(x, weights[size_t(i % copies)]); });
  bench::print({{"piece", "product"},
                {"rows", rows},
                {"in", in},
                {"out", out},
                {"us", ours},
                {"tb_s", double(bytes) / ours * 1e-6},
                {"aten_over_ours", theirs / ours}});
}

void others(int64_t rows, int64_t dim, int64_t inner, const ops::HeadsShape& heads) {
  const Tensor x = random({rows, dim}), delta = random({rows, dim}), weight = random({dim}), gate_up = random({rows, 2 * inner});
  const auto say = [&](const char* piece, double us) { bench::print({{"piece", piece}, {"rows", rows}, {"dim", dim}, {"us", us}}); };
  say("add_rms_norm", microseconds([&](int) { ops::add_rms_norm(x, delta, weight, 1e-6); }));
  say("swiglu", microseconds([&](int) { ops::swiglu_joint(gate_up); }));
  const Tensor qkv = random({rows, (heads.heads + 2 * heads.kv_heads) * heads.head_dim});
  const ops::RotaryTable table = ops::rotary_table(ops::rotary_frequencies(heads.head_dim, 1e4, {}), 4096, at::kCUDA);
  for (const int32_t context : {96, 1000}) {
    ops::Sequences s;
    s.cu_seqlens = {0};
    for (int32_t i = 0; i < rows; ++i) {
      s.cu_seqlens.push_back(i + 1);
      s.context_lens.push_back(context);
      s.block_tables.emplace_back();
      for (int32_t b = 0; b <= context / 16; ++b) s.block_tables.back().push_back(i * 64 + b);
    }
    s = ops::sequences_on(at::kCUDA, std::move(s));
    const Tensor cache = aten::zeros({rows * 64, ops::paged_attention_bytes(heads.kv_heads, heads.head_dim, 16, at::kCUDA, at::kBFloat16)},
                                     at::TensorOptions().dtype(at::kByte).device(at::kCUDA));
    say(context < 100 ? "heads and attention, 96 cached" : "heads and attention, 1000 cached",
        microseconds([&](int) { ops::paged_qkv_attention(qkv, heads, nullptr, &table, cache, s, 0.1); }));
  }
}

void run(const bench::Arguments& arguments) {
  const at::NoGradGuard no_grad;
  const int64_t rows = arguments.number("rows");
  for (const auto& [in, out] : std::vector<std::pair<int64_t, int64_t>>{
           {896, 1152}, {896, 896}, {896, 9728}, {4864, 896}, {896, 151936}, {1536, 2048}, {1536, 1536}, {1536, 17920}, {8960, 1536}})
    product(rows, in, out);
  others(rows, 896, 4864, {14, 2, 64});
  others(rows, 1536, 8960, {12, 2, 128});
}

}  // namespace

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] { run({argc, argv, {{"rows", "1"}}}); });
}
