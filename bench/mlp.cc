// Two questions about the MLP and its norm on the CPU, fp32, one JSON object a line with the ratio that answers it:
//   layer_norm_gelu   what one fused op saves against layer_norm and gelu, forward and with backward
//   sparse_mlp        at which sparsity one token's MLP with the strongest neurons only is faster than the dense one
// Both sides of a ratio are timed in turns, round by round, and their fastest rounds compared, which other load disturbs least.
//   bench_mlp [--threads 1] [--rounds 30] [--tokens 2048] [--d 576] [--ffn 1536]
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn.h>

#include <chrono>
#include <cmath>

#include "bench/bench.h"
#include "r1/ops/autograd.h"
#include "r1/ops/layer_norm.h"
#include "r1/ops/linear.h"
#include "r1/ops/swiglu.h"
#include "r1/ops/topk_sparse.h"

namespace r1 {
namespace {

// The fastest rounds of the two, in milliseconds.
std::pair<double, double> compare(int64_t rounds, const std::function<void()>& a, const std::function<void()>& b) {
  double best[2] = {INFINITY, INFINITY};
  const std::function<void()>* sides[] = {&a, &b};
  for (int64_t i = 0; i < rounds + 2; ++i) {
    for (int side = 0; side < 2; ++side) {
      const auto start = std::chrono::steady_clock::now();
      (*sides[side])();
      const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
      if (i >= 2) best[side] = std::min(best[side], ms);
    }
  }
  return {best[0], best[1]};
}

void fused_norm(int64_t rounds, int64_t tokens, int64_t dim) {
  const Tensor x = at::randn({tokens, dim}), weight = at::randn({dim}), bias = at::randn({dim}), dy = at::randn({tokens, dim});
  for (const auto form : {ops::GeluForm::kTanh, ops::GeluForm::kExact}) {
    const auto fused = [&](const Tensor& t) { return ops::layer_norm_gelu(t, weight, bias, 1e-5, form); };
    const auto apart = [&](const Tensor& t) { return ops::gelu(ops::layer_norm(t, weight, bias, 1e-5), form); };
    const auto forward = compare(
        rounds, [&] { fused(x); }, [&] { apart(x); });
    const auto both_ways = [&](const std::function<Tensor(const Tensor&)>& f) {
      const Tensor leaf = x.detach().requires_grad_();
      ops::gradients({f(leaf)}, {dy}, {leaf});
    };
    const auto backward = compare(
        rounds, [&] { both_ways(fused); }, [&] { both_ways(apart); });
    std::printf(
        "{\"what\":\"layer_norm_gelu\",\"form\":\"%s\",\"tokens\":%ld,\"dim\":%ld,\"fused_ms\":%.3f,\"two_ops_ms\":%.3f,\"gain\":%.2f,"
        "\"fused_with_backward_ms\":%.3f,\"two_ops_with_backward_ms\":%.3f,\"gain_with_backward\":%.2f,\"threads\":%d}\n",
        form == ops::GeluForm::kTanh ? "tanh" : "exact", long(tokens), long(dim), forward.first, forward.second,
        forward.second / forward.first, backward.first, backward.second, backward.second / backward.first, at::get_num_threads());
  }
}

void sparse_mlp(int64_t rounds, int64_t dim, int64_t inner) {
  const at::NoGradGuard no_grad;
  const Tensor x = at::randn({1, dim}), down_DF = at::randn({dim, inner});
  const ops::SparseMlpWeights w{at::randn({inner, dim}), at::randn({inner, dim}), down_DF.t().contiguous()};
  const auto dense = [&] { ops::linear(ops::swiglu(ops::linear(x, w.gate_FD), ops::linear(x, w.up_FD)), down_DF); };
  for (const double sparsity : {0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9}) {
    const int64_t keep = std::llround((1 - sparsity) * double(inner));
    const auto [sparse_ms, dense_ms] = compare(
        rounds, [&] { ops::sparse_mlp(x, w, keep); }, dense);
    std::printf(
        "{\"what\":\"sparse_mlp\",\"dim\":%ld,\"inner\":%ld,\"sparsity\":%.1f,\"sparse_ms\":%.4f,\"dense_ms\":%.4f,\"gain\":%.2f,"
        "\"threads\":%d}\n",
        long(dim), long(inner), sparsity, sparse_ms, dense_ms, dense_ms / sparse_ms, at::get_num_threads());
  }
}

void run(const bench::Arguments& a) {
  at::set_num_threads(int(a.number("threads")));
  const int64_t rounds = a.number("rounds"), dim = a.number("d");
  fused_norm(rounds, a.number("tokens"), dim);
  sparse_mlp(rounds, dim, a.number("ffn"));
  sparse_mlp(rounds, 2048, 8192);  // beyond any cache
}

}  // namespace
}  // namespace r1

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] {
    r1::run({argc, argv, {{"threads", "1"}, {"rounds", "30"}, {"tokens", "2048"}, {"d", "576"}, {"ffn", "1536"}}});
  });
}
