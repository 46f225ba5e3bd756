// Where the time of one training step and one decode step goes, on the demo's model (d 128, 4 layers, 4 heads, FFN 352, vocabulary 117,
// fp32):
//   bench_ops [--d 128 --layers 4 --heads 4 --ffn 352 --vocab 117 --tokens 2048 --length 256 --decode 256 --context 64 --threads 2 --rounds
//   10 --dtype float32 --only ops|train|decode]
// Prints one JSON object a line: {"what", "ms", "min_ms", "cpu_ms", ...}: median and least wall
// time of the rounds, median of the process time (with --threads 1 what a busy machine leaves comparable). The forward's parts are timed
// alone, op by op, on the shapes of the step; "train_step" and "decode_step" are the whole thing (no optimizer).
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <chrono>

#include "bench/bench.h"
#include "r1/model/footprint.h"
#include "r1/model/transformer.h"
#include "r1/ops/attention.h"
#include "r1/ops/autograd.h"
#include "r1/ops/embedding.h"
#include "r1/ops/linear.h"
#include "r1/ops/logprob.h"
#include "r1/ops/norm.h"
#include "r1/ops/rotary.h"
#include "r1/ops/swiglu.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/dtype.h"

namespace r1 {
namespace {

class Bench {
 public:
  explicit Bench(int64_t rounds) : rounds_(rounds) {}
  // flops 0: not a matter of arithmetic.
  void time(const std::string& what, double flops, const std::function<void()>& f) const {
    f();
    std::vector<double> ms, cpu_ms;
    for (int64_t i = 0; i < rounds_; ++i) {
      const auto start = std::chrono::steady_clock::now();
      const double cpu = bench::cpu_ms();
      f();
      cpu_ms.push_back(bench::cpu_ms() - cpu);
      ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    }
    const double least = *std::min_element(ms.begin(), ms.end());
    std::printf("{\"what\":\"%s\",\"ms\":%.4f,\"min_ms\":%.4f,\"cpu_ms\":%.4f,\"gflops\":%.1f,\"threads\":%d}\n", what.c_str(),
                bench::median(ms), least, bench::median(cpu_ms), flops / least / 1e6, at::get_num_threads());
  }
  // An op's forward, and its backward alone.
  void op(const std::string& what, double flops, const ops::Tensors& inputs, const std::function<Tensor(const ops::Tensors&)>& f) const {
    {
      const at::NoGradGuard no_grad;
      time(what, flops, [&] { f(inputs); });
    }
    ops::Tensors leaves;
    for (const Tensor& t : inputs) leaves.push_back(t.detach().clone().requires_grad_());
    Tensor dout;
    time(what + "_with_backward", 3 * flops, [&] {
      const Tensor y = f(leaves);
      if (!dout.defined()) dout = aten::randn(y.sizes(), y.options().requires_grad(false));
      ops::gradients({y}, {dout}, leaves);
    });
  }

 private:
  int64_t rounds_;
};

model::ModelConfig config_of(const bench::Arguments& a) {
  model::ModelConfig c;
  c.vocab_size = a.number("vocab");
  c.hidden_size = a.number("d");
  c.intermediate_size = a.number("ffn");
  c.num_hidden_layers = a.number("layers");
  c.num_attention_heads = a.number("heads");
  c.tie_word_embeddings = true;
  model::finish_config(c);
  return c;
}

nn::LayerContext packed(int64_t tokens, int64_t length) {
  std::vector<int32_t> cu_seqlens{0};
  for (int64_t t = length; t < tokens; t += length) cu_seqlens.push_back(int32_t(t));
  cu_seqlens.push_back(int32_t(tokens));
  return {ops::sequences_on(at::kCPU, std::move(cu_seqlens))};
}

void time_ops(const Bench& bench, const model::ModelConfig& c, int64_t tokens, int64_t length, at::ScalarType type) {
  const auto randn = [&](at::IntArrayRef shape) { return aten::randn(shape).to(type); };
  const int64_t d = c.hidden_size, f = c.intermediate_size, h = c.head_dim, n = c.num_attention_heads;
  const auto linear = [](const ops::Tensors& t) { return ops::linear(t[0], t[1]); };
  bench.op("linear_d_d", 2.0 * tokens * d * d, {randn({tokens, d}), randn({d, d})}, linear);
  bench.op("linear_d_ffn", 2.0 * tokens * d * f, {randn({tokens, d}), randn({f, d})}, linear);
  bench.op("linear_ffn_d", 2.0 * tokens * d * f, {randn({tokens, f}), randn({d, f})}, linear);
  bench.op("rms_norm", 0, {randn({tokens, d}), randn({d})}, [](const ops::Tensors& t) { return ops::rms_norm(t[0], t[1], 1e-6); });
  bench.op("swiglu", 0, {randn({tokens, f}), randn({tokens, f})}, [](const ops::Tensors& t) { return ops::swiglu(t[0], t[1]); });
  const auto context = packed(tokens, length);
  const auto table = ops::rotary_table(ops::rotary_frequencies(h, 10000, {}), 4096, at::kCPU);
  bench.op("rotary", 0, {randn({tokens, n, h})},
           [&](const ops::Tensors& t) { return ops::rotary(t[0], table, context.sequences.positions_T); });
  bench.op("attention", 2.0 * tokens * (length + 1) * n * h, {randn({tokens, n, h}), randn({tokens, n, h}), randn({tokens, n, h})},
           [&](const ops::Tensors& t) { return ops::attention(t[0], t[1], t[2], context.sequences, 0.2); });
  const Tensor ids = aten::randint(c.vocab_size, {tokens}, at::kLong);
  bench.op("embedding", 0, {randn({c.vocab_size, d})}, [&](const ops::Tensors& t) { return ops::embedding(ids, t[0]); });
  bench.op("linear_logprob", 2.0 * tokens * d * c.vocab_size, {randn({tokens, d}), randn({c.vocab_size, d})},
           [&](const ops::Tensors& t) { return ops::linear_logprob(t[0], t[1], ids).logprob_T; });
  bench.op("residual_add", 0, {randn({tokens, d}), randn({tokens, d})}, [](const ops::Tensors& t) { return t[0] + t[1]; });
}

void time_training(const Bench& bench, model::Transformer& model, int64_t tokens, int64_t length) {
  const Tensor ids = aten::randint(model.config().vocab_size, {tokens}, at::kLong);
  const auto context = packed(tokens, length);
  const double flops = 6.0 * double(model::parameter_count(model.config())) * double(tokens);
  {
    const at::NoGradGuard no_grad;
    bench.time("train_forward_no_grad", flops / 3, [&] { ops::linear_logprob(model.hidden(ids, context), model.head(), ids); });
  }
  model.set_requires_grad(true);
  for (const bool checkpointing : {false, true}) {
    bench.time(checkpointing ? "train_step_checkpointed" : "train_step", flops, [&] {
      const Tensor x = model.hidden(ids, context, nullptr, {.activation_checkpointing = checkpointing});
      (-ops::linear_logprob(x, model.head(), ids).logprob_T.mean()).backward();
      for (auto& row : model.weights()) row.tensor->mutable_grad() = Tensor();
    });
  }
  model.set_requires_grad(false);
}

void time_decode(const Bench& bench, model::Transformer& model, int64_t sequences, int64_t context_len) {
  const at::NoGradGuard no_grad;
  const int64_t per_sequence = context_len / 16 + 1;
  std::vector<nn::LayerCache> caches;
  for (int i = 0; i < model.num_caches(); ++i)
    caches.push_back(aten::zeros({sequences * per_sequence, model.cache_bytes(i, 16)}, at::kByte));
  ops::Sequences paged{.cu_seqlens = {0}};
  for (int64_t s = 0; s < sequences; ++s) {
    paged.context_lens.push_back(int32_t(context_len));
    paged.block_tables.emplace_back();
    for (int64_t b = 0; b < per_sequence; ++b) paged.block_tables.back().push_back(int32_t(b * sequences + s));
    paged.cu_seqlens.push_back(int32_t(s + 1));
  }
  const nn::LayerContext context{ops::sequences_on(at::kCPU, paged)};
  const Tensor ids = aten::randint(model.config().vocab_size, {sequences}, at::kLong);
  const double flops = 2.0 * double(model::parameter_count(model.config())) * double(sequences);
  bench.time(str("decode_step_", sequences), flops, [&] { model.logits(model.hidden(ids, context, &caches)); });
}

void run(const bench::Arguments& a) {
  at::set_num_threads(int(a.number("threads")));
  const Bench bench(a.number("rounds"));
  const model::ModelConfig config = config_of(a);
  const auto dtype = tensor::parse_dtype(a.text("dtype"));
  const int64_t tokens = a.number("tokens"), length = a.number("length");
  const std::string only = a.text("only");
  const auto wanted = [&](const char* part) { return only.empty() || only == part; };
  if (wanted("ops")) time_ops(bench, config, tokens, length, dtype);
  model::Transformer model(config, at::kCPU, dtype);
  model.init_weights(1);
  if (wanted("train")) time_training(bench, model, tokens, length);
  if (!wanted("decode")) return;
  for (const int64_t n : {int64_t{1}, int64_t{8}, int64_t{64}, a.number("decode")}) time_decode(bench, model, n, a.number("context"));
}

}  // namespace
}  // namespace r1

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] {
    r1::run({argc,
             argv,
             {{"d", "128"},
              {"layers", "4"},
              {"heads", "4"},
              {"ffn", "352"},
              {"vocab", "117"},
              {"tokens", "2048"},
              {"length", "256"},
              {"decode", "256"},
              {"context", "64"},
              {"threads", "2"},
              {"rounds", "10"},
              {"dtype", "float32"},
              {"only", ""}}});
  });
}
