// Two questions about the MLP and its norm on the CPU, one JSON object a line with the ratio that answers it:
//   layer_norm_gelu   what one fused op saves against layer_norm and gelu, forward and with backward; fp32
//   sparse_mlp        at which sparsity and for how many tokens the MLP with each token's strongest neurons only is faster than dense
//                     products; fp32 and bf16
// The sides of a ratio are timed in turns, round by round, and their fastest rounds compared, which other load disturbs least.
//   bench_mlp [--threads 1] [--rounds 30] [--tokens 2048] [--d 576] [--ffn 1536]
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <chrono>
#include <cmath>
#include <functional>

#include "bench/bench.h"
#include "r1/ops/autograd.h"
#include "r1/ops/layer_norm.h"
#include "r1/ops/linear.h"
#include "r1/ops/linear_in.h"
#include "r1/ops/swiglu.h"
#include "r1/ops/topk_sparse.h"
#include "r1/tensor/aten.h"

namespace r1 {
namespace {

// Each side's fastest round, in milliseconds.
std::vector<double> fastest(int64_t rounds, const std::vector<std::function<void()>>& sides) {
  std::vector<double> best(sides.size(), INFINITY);
  for (int64_t i = 0; i < rounds + 2; ++i) {
    for (size_t side = 0; side < sides.size(); ++side) {
      const auto start = std::chrono::steady_clock::now();
      sides[side]();
      const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
      if (i >= 2) best[side] = std::min(best[side], ms);
    }
  }
  return best;
}

void fused_norm(int64_t rounds, int64_t tokens, int64_t dim) {
  const Tensor x = aten::randn({tokens, dim}), weight = aten::randn({dim}), bias = aten::randn({dim}), dy = aten::randn({tokens, dim});
  for (const auto form : {ops::GeluForm::kTanh, ops::GeluForm::kExact}) {
    const auto fused = [&](const Tensor& t) { return ops::layer_norm_gelu(t, weight, bias, 1e-5, form); };
    const auto apart = [&](const Tensor& t) { return ops::gelu(ops::layer_norm(t, weight, bias, 1e-5), form); };
    const auto forward = fastest(rounds, {[&] { fused(x); }, [&] { apart(x); }});
    const auto both_ways = [&](const std::function<Tensor(const Tensor&)>& f) {
      const Tensor leaf = x.detach().requires_grad_();
      ops::gradients({f(leaf)}, {dy}, {leaf});
    };
    const auto backward = fastest(rounds, {[&] { both_ways(fused); }, [&] { both_ways(apart); }});
    std::printf(
        "{\"what\":\"layer_norm_gelu\",\"form\":\"%s\",\"tokens\":%ld,\"dim\":%ld,\"fused_ms\":%.3f,\"two_ops_ms\":%.3f,\"gain\":%.2f,"
        "\"fused_with_backward_ms\":%.3f,\"two_ops_with_backward_ms\":%.3f,\"gain_with_backward\":%.2f,\"threads\":%d}\n",
        form == ops::GeluForm::kTanh ? "tanh" : "exact", long(tokens), long(dim), forward[0], forward[1], forward[1] / forward[0],
        backward[0], backward[1], backward[1] / backward[0], at::get_num_threads());
  }
}

struct SparseCase {
  int64_t rounds, dim, inner;
  at::ScalarType type;
};

// Against the layer's own form for many tokens, which has its bits (`masked`), and against the SwiGLU MLP of all neurons (`dense`).
void sparse_mlp(const SparseCase& c, int64_t tokens, double sparsity) {
  const at::NoGradGuard no_grad;
  const Tensor x = aten::randn({tokens, c.dim}).to(c.type), down_DF = aten::randn({c.dim, c.inner}).to(c.type);
  const ops::SparseMlpWeights w{aten::randn({c.inner, c.dim}).to(c.type), aten::randn({c.inner, c.dim}).to(c.type),
                                down_DF.t().contiguous()};
  const int64_t keep = std::llround((1 - sparsity) * double(c.inner));
  const auto sparse = [&] { ops::sparse_mlp(x, w, keep); };
  const auto masked = [&] {
    const Tensor gate = ops::linear_ordered(x, w.gate_FD), on = ops::swiglu(gate, ops::linear_ordered(x, w.up_FD));
    ops::linear_in(on * ops::topk_mask(gate, keep), w.down_FD);
  };
  const auto dense = [&] { ops::linear(ops::swiglu(ops::linear(x, w.gate_FD), ops::linear(x, w.up_FD)), down_DF); };
  const auto ms = fastest(c.rounds, {sparse, masked, dense});
  std::printf(
      "{\"what\":\"sparse_mlp\",\"type\":\"%s\",\"dim\":%ld,\"inner\":%ld,\"tokens\":%ld,\"sparsity\":%.1f,\"sparse_ms\":%.4f,"
      "\"masked_ms\":%.4f,\"dense_ms\":%.4f,\"gain_on_masked\":%.2f,\"gain\":%.2f,\"taken\":%s,\"threads\":%d}\n",
      c.type == at::kFloat ? "fp32" : "bf16", long(c.dim), long(c.inner), long(tokens), sparsity, ms[0], ms[1], ms[2], ms[1] / ms[0],
      ms[2] / ms[0], ops::has_sparse_mlp(x, w, keep) ? "true" : "false", at::get_num_threads());
  std::fflush(stdout);
}

void sparse_mlps(int64_t rounds, int64_t dim, int64_t inner) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16})
    for (const int64_t tokens : {1, 2, 3, 4, 6, 8})
      for (const double sparsity : {0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9}) sparse_mlp({rounds, dim, inner, type}, tokens, sparsity);
}

void run(const bench::Arguments& a) {
  at::set_num_threads(int(a.number("threads")));
  const int64_t rounds = a.number("rounds"), dim = a.number("d");
  fused_norm(rounds, a.number("tokens"), dim);
  sparse_mlps(rounds, dim, a.number("ffn"));
  sparse_mlps(rounds, 2048, 8192);  // beyond any cache
}

}  // namespace
}  // namespace r1

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] {
    r1::run({argc, argv, {{"threads", "1"}, {"rounds", "30"}, {"tokens", "2048"}, {"d", "576"}, {"ffn", "1536"}}});
  });
}
