// Whether the kernels between the products run at the memory's speed, on a GPU:
//   bench_elementwise [--tokens 32768 --rounds 20 --dtype bfloat16 --only norm,glu,rotary,sums,head]
// Prints one JSON object a line for each op and direction: {"what", "shape", "ms", "tb_s", "aten_ms", "ratio"}: median time, bytes that must
// be read and written (each tensor once) by that time, ATen's time for the same (its fastest operators, forward or its own backward), and
// how many times faster ours is. The last round's times are taken in turn, ours and ATen's, so that a clock that changes meets both. A copy
// of 1 GB gives the ceiling. "head" is products and what lies between them: tflops are those of the products that must be, 2 T D V each:
// one for log-probabilities, three for a step.
#include <ATen/DeviceAccelerator.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/Event.h>

#include "bench/bench.h"
#include "r1/ops/add_norm.h"
#include "r1/ops/autograd.h"
#include "r1/ops/column_sums.h"
#include "r1/ops/embedding.h"
#include "r1/ops/gelu.h"
#include "r1/ops/layer_norm.h"
#include "r1/ops/logprob.h"
#include "r1/ops/norm.h"
#include "r1/ops/rotary.h"
#include "r1/ops/swiglu.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/dtype.h"

namespace r1 {
namespace {

using ops::Tensors;
using Work = std::function<Tensors(const Tensors&)>;

class Bench {
 public:
  Bench(int64_t rounds, at::ScalarType type)
      : rounds_(rounds),
        options_(at::TensorOptions(type).device(at::kCUDA)),
        from_(aten::randn({1 << 28}, options_.dtype(at::kFloat))),
        to_(aten::empty_like(from_)) {}

  Tensor randn(at::IntArrayRef shape) const { return aten::randn(shape, options_); }

  // Forward and backward of ours and of ATen's, on the same inputs, all of which get gradients. Bytes: what each direction must move.
  void compare(const std::string& what, const std::string& shape, const Tensors& inputs, double forward_bytes, double backward_bytes,
               const Work& ours, const Work& theirs, double flops = 0) const {
    const Work work[2] = {ours, theirs};
    Tensors leaves;
    for (const Tensor& t : inputs) leaves.push_back(t.detach().requires_grad_());
    std::vector<double> forward[2], backward[2], both[2];
    Tensors douts;
    for (int64_t round = -3; round < rounds_; ++round) {
      for (int side = 0; side < 2; ++side) {
        if (!work[side]) continue;
        const double plain = ms([&] {
          const at::NoGradGuard no_grad;
          work[side](inputs);
        });
        Tensors outputs;
        const double graph = ms([&] { outputs = work[side](leaves); });
        if (douts.empty())
          for (const Tensor& t : outputs)
            douts.push_back(t.dim() == 0 ? aten::ones_like(t) : aten::randn(t.sizes(), t.options().requires_grad(false)));
        const double back = ms([&] { ops::gradients(outputs, douts, leaves); });
        if (round < 0) continue;
        forward[side].push_back(plain);
        backward[side].push_back(back);
        both[side].push_back(graph + back);
      }
    }
    line(what, shape, forward, forward_bytes, flops);
    line(what + "_backward", shape, backward, backward_bytes, flops * 2);
    if (flops > 0) line(what + "_step", shape, both, 0, flops * 3);
  }

  void compare_forward(const std::string& what, const std::string& shape, const Tensors& inputs, double bytes, const Work& ours,
                       const Work& theirs) const {
    const at::NoGradGuard no_grad;
    std::vector<double> times[2];
    for (int64_t round = -3; round < rounds_; ++round) {
      const double a = ms([&] { ours(inputs); }), b = ms([&] { theirs(inputs); });
      if (round >= 0) times[0].push_back(a), times[1].push_back(b);
    }
    line(what, shape, times, bytes, 0);
  }

  void copy() const {
    std::vector<double> times[2];
    for (int64_t round = -3; round < rounds_; ++round) {
      const double t = ms([&] { to_.copy_(from_); });
      if (round >= 0) times[0].push_back(t);
    }
    line("copy", "1 GB", times, 2.0 * (1 << 30), 0);
  }

 private:
  // The device's time. It is kept busy before, so that it never waits for the host.
  double ms(const std::function<void()>& f) const {
    const auto stream = at::accelerator::getCurrentStream(at::accelerator::getDeviceIndex());
    c10::Event begin(at::kCUDA, c10::EventFlag::BACKEND_DEFAULT), end(at::kCUDA, c10::EventFlag::BACKEND_DEFAULT);
    to_.copy_(from_);
    begin.record(stream);
    f();
    end.record(stream);
    end.synchronize();
    return begin.elapsedTime(end);
  }

  static void line(const std::string& what, const std::string& shape, const std::vector<double> (&times)[2], double bytes, double flops) {
    Json out{{"what", what}, {"shape", shape}, {"ms", bench::median(times[0])}};
    if (bytes > 0) out["tb_s"] = bytes / bench::median(times[0]) / 1e9;
    if (flops > 0) out["tflops"] = flops / bench::median(times[0]) / 1e9;
    if (!times[1].empty()) {
      out["aten_ms"] = bench::median(times[1]);
      out["ratio"] = bench::median(times[1]) / bench::median(times[0]);
    }
    bench::print(out);
  }

  int64_t rounds_;
  at::TensorOptions options_;
  Tensor from_, to_;
};

std::string shape_of(std::initializer_list<int64_t> sizes) {
  std::string text;
  for (const int64_t n : sizes) text += (text.empty() ? "" : " x ") + std::to_string(n);
  return text;
}

void norms(const Bench& bench, int64_t T, double e) {
  for (const int64_t D : {896, 1536, 2048}) {
    const double n = double(T) * double(D) * e;
    const Tensors in{bench.randn({T, D}), bench.randn({T, D}), bench.randn({D}), bench.randn({D})};
    bench.compare(
        "rms_norm", shape_of({T, D}), {in[0], in[2]}, 2 * n, 3 * n,
        [](const Tensors& t) { return Tensors{ops::rms_norm(t[0], t[1], 1e-6)}; },
        [](const Tensors& t) { return Tensors{aten::rms_norm(t[0], {t[0].size(-1)}, t[1], 1e-6)}; });
    bench.compare(
        "layer_norm", shape_of({T, D}), {in[0], in[2], in[3]}, 2 * n, 3 * n,
        [](const Tensors& t) { return Tensors{ops::layer_norm(t[0], t[1], t[2], 1e-6)}; },
        [](const Tensors& t) { return Tensors{aten::layer_norm(t[0], {t[0].size(-1)}, t[1], t[2], 1e-6)}; });
    bench.compare(
        "add_rms_norm", shape_of({T, D}), {in[0], in[1], in[2]}, 4 * n, 4 * n,
        [](const Tensors& t) {
          const ops::AddNormed r = ops::add_rms_norm(t[0], t[1], t[2], 1e-6);
          return Tensors{r.sum, r.normed};
        },
        [](const Tensors& t) {
          const Tensor sum = t[0] + t[1];
          return Tensors{sum, aten::rms_norm(sum, {sum.size(-1)}, t[2], 1e-6)};
        });
    bench.compare(
        "add_layer_norm", shape_of({T, D}), {in[0], in[1], in[2], in[3]}, 4 * n, 4 * n,
        [](const Tensors& t) {
          const ops::AddNormed r = ops::add_layer_norm(t[0], t[1], t[2], t[3], 1e-6);
          return Tensors{r.sum, r.normed};
        },
        [](const Tensors& t) {
          const Tensor sum = t[0] + t[1];
          return Tensors{sum, aten::layer_norm(sum, {sum.size(-1)}, t[2], t[3], 1e-6)};
        });
  }
  for (const int64_t H : {64, 128}) {
    const Tensors in{bench.randn({T, 16, H}), bench.randn({H})};
    const double n = double(T) * 16 * double(H) * e;
    bench.compare(
        "rms_norm_heads", shape_of({T, 16, H}), in, 2 * n, 3 * n, [](const Tensors& t) { return Tensors{ops::rms_norm(t[0], t[1], 1e-6)}; },
        [](const Tensors& t) { return Tensors{aten::rms_norm(t[0], {t[0].size(-1)}, t[1], 1e-6)}; });
  }
}

void gates(const Bench& bench, int64_t T, double e) {
  for (const int64_t F : {4864, 8960}) {
    const double n = double(T) * double(F) * e;
    const Tensors joint{bench.randn({T, 2 * F})};
    const auto gate = [F](const Tensor& t) { return t.narrow(1, 0, F); };
    const auto up = [F](const Tensor& t) { return t.narrow(1, F, F); };
    bench.compare(
        "swiglu_joint", shape_of({T, 2 * F}), joint, 3 * n, 5 * n, [](const Tensors& t) { return Tensors{ops::swiglu_joint(t[0])}; },
        [=](const Tensors& t) { return Tensors{aten::silu(gate(t[0])) * up(t[0])}; });
    bench.compare(
        "geglu_joint", shape_of({T, 2 * F}), joint, 3 * n, 5 * n,
        [](const Tensors& t) { return Tensors{ops::geglu_joint(t[0], ops::GeluForm::kTanh)}; },
        [=](const Tensors& t) { return Tensors{aten::gelu(gate(t[0]), "tanh") * up(t[0])}; });
    const Tensors two{bench.randn({T, F}), bench.randn({T, F})};
    bench.compare(
        "swiglu", shape_of({T, F}), two, 3 * n, 5 * n, [](const Tensors& t) { return Tensors{ops::swiglu(t[0], t[1])}; },
        [](const Tensors& t) { return Tensors{aten::silu(t[0]) * t[1]}; });
  }
  for (const auto form : {ops::GeluForm::kTanh, ops::GeluForm::kExact}) {
    const double n = double(T) * 3072 * e;
    const bool tanh = form == ops::GeluForm::kTanh;
    bench.compare(
        tanh ? "gelu_tanh" : "gelu", shape_of({T, 3072}), {bench.randn({T, 3072})}, 2 * n, 3 * n,
        [form](const Tensors& t) { return Tensors{ops::gelu(t[0], form)}; },
        [tanh](const Tensors& t) { return Tensors{aten::gelu(t[0], tanh ? "tanh" : "none")}; });
  }
}

// What comes back to a bias and to an embedding.
void sums(const Bench& bench, int64_t T, double e) {
  for (const int64_t O : {896, 1152, 3072}) {
    bench.compare_forward(
        "column_sums", shape_of({T, O}), {bench.randn({T, O})}, double(T) * double(O) * e,
        [](const Tensors& t) { return Tensors{ops::column_sums(t[0])}; }, [](const Tensors& t) { return Tensors{t[0].sum(0)}; });
  }
  const Tensor ids = aten::randint(151936, {T}, at::TensorOptions(at::kLong).device(at::kCUDA));
  const double table = 151936.0 * 896 * e, rows = double(T) * 896 * e;
  bench.compare(
      "embedding", shape_of({T, 151936, 896}), {bench.randn({151936, 896})}, 2 * rows, table + 2 * rows,
      [&](const Tensors& t) { return Tensors{ops::embedding(ids, t[0])}; },
      [&](const Tensors& t) { return Tensors{ops::embedding_ref(ids, t[0])}; });
}

void rotary(const Bench& bench, int64_t T, double e) {
  std::vector<int32_t> places(static_cast<size_t>(T));
  for (size_t t = 0; t < places.size(); ++t) places[t] = int32_t(t % 4096);
  const Tensor positions = aten::tensor(at::ArrayRef<int32_t>(places), at::kInt).to(at::kCUDA);
  for (const bool interleaved : {false, true}) {
    for (const int64_t H : {64, 128}) {
      const ops::RotaryTable table = ops::rotary_table(ops::rotary_frequencies(H, 1e6, {}), 4096, at::kCUDA, interleaved);
      const double n = double(T) * 14 * double(H) * e;
      bench.compare(
          interleaved ? "rotary_pairs" : "rotary", shape_of({T, 14, H}), {bench.randn({T, 14, H})}, 2 * n, 2 * n,
          [&](const Tensors& t) { return Tensors{ops::rotary(t[0], table, positions)}; },
          [&](const Tensors& t) { return Tensors{ops::rotary_ref(t[0], table, positions)}; });
    }
  }
}

// ATen's: the logits of all tokens at once, in the weights' type, as a plain training loop has them; too large for more than a part.
void head(const Bench& bench, int64_t T) {
  for (const auto& [D, V] : std::vector<std::pair<int64_t, int64_t>>{{896, 151936}, {1536, 151936}, {768, 50304}, {768, 50257}}) {
    const Tensors in{bench.randn({T, D}), bench.randn({V, D}) * 0.02};
    const Tensor targets = aten::randint(V, {T}, at::TensorOptions(at::kLong).device(at::kCUDA));
    const Tensor weights = aten::ones({T}, at::TensorOptions(at::kFloat).device(at::kCUDA));
    const double flops = 2.0 * double(T) * double(D) * double(V);
    bench.compare(
        "linear_logprob", shape_of({T, D, V}), in, 0, 0,
        [&](const Tensors& t) { return Tensors{ops::linear_logprob(t[0], t[1], targets).logprob_T.sum()}; }, {}, flops);
    bench.compare(
        "linear_nll", shape_of({T, D, V}), in, 0, 0,
        [&](const Tensors& t) { return Tensors{ops::linear_nll(t[0], t[1], targets, weights).sum}; }, {}, flops);
  }
}

}  // namespace
}  // namespace r1

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] {
    using namespace r1;
    const bench::Arguments a(argc, argv,
                             {{"tokens", "32768"}, {"rounds", "20"}, {"dtype", "bfloat16"}, {"only", "norm,glu,rotary,sums,head"}});
    tensor::parse_device("cuda");
    const at::ScalarType type = tensor::parse_dtype(a.text("dtype"));
    const Bench bench(a.number("rounds"), type);
    const double e = double(c10::elementSize(type));
    bench.copy();
    for (const std::string& part : bench::split(a.text("only"))) {
      if (part == "norm") norms(bench, a.number("tokens"), e);
      if (part == "glu") gates(bench, a.number("tokens"), e);
      if (part == "rotary") rotary(bench, a.number("tokens"), e);
      if (part == "sums") sums(bench, a.number("tokens"), e);
      if (part == "head") head(bench, a.number("tokens"));
    }
  });
}
