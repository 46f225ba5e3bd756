// What do the trainer's own bits cost in latent attention? A decode step of the engine's form, exact (keys and values of all cached tokens
// made again) and absorbed (queries against the latents), over the length of the context:
//   bench_mla [--preset tiny-v3 --sequences 8 --threads 1 --rounds 5 --dtype float32 --layers 0]        (layers 0: the preset's)
// Prints one JSON object a line: {"context", "sequences", "exact_ms", "absorbed_ms", "ratio", "cache_bytes", "apart"}: median CPU time of
// the process for a step, the cache of all sequences, and the largest difference of a logit between the two.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include "bench/bench.h"
#include "r1/model/presets.h"
#include "r1/model/transformer.h"
#include "r1/tensor/aten.h"

namespace r1 {
namespace {

double median_ms(int64_t rounds, const std::function<void()>& f) {
  f();
  std::vector<double> ms;
  for (int64_t i = 0; i < rounds; ++i) {
    const double start = bench::cpu_ms();
    f();
    ms.push_back(bench::cpu_ms() - start);
  }
  return bench::median(std::move(ms));
}

// Sequences whose caches hold random tokens, and one new token each.
struct Decoding {
  model::Transformer& model;
  std::vector<nn::LayerCache> caches;
  ops::Sequences paged;

  Decoding(model::Transformer& m, int64_t sequences, int64_t length) : model(m) {
    const int64_t blocks = length / 16 + 1;
    for (int i = 0; i < m.num_caches(); ++i) caches.push_back(aten::zeros({sequences * blocks, m.cache_bytes(i, 16)}, at::kByte));
    paged.context_lens.assign(size_t(sequences), 0);
    for (int64_t s = 0; s < sequences; ++s) {
      paged.block_tables.emplace_back();
      for (int64_t b = 0; b < blocks; ++b) paged.block_tables.back().push_back(int32_t(b * sequences + s));
    }
    feed(aten::randint(m.config().vocab_size, {sequences * length}, at::kLong), length);
    paged.context_lens.assign(size_t(sequences), int32_t(length));
  }
  // ids [sequences * tokens] behind what is cached.
  Tensor feed(const Tensor& ids, int64_t tokens) {
    paged.cu_seqlens = {0};
    for (size_t s = 0; s < paged.context_lens.size(); ++s) paged.cu_seqlens.push_back(int32_t(paged.cu_seqlens.back() + tokens));
    const nn::LayerContext context{ops::sequences_on(at::kCPU, paged)};
    return model.hidden(ids, context, &caches);
  }
};

void run(const bench::Arguments& a) {
  const at::NoGradGuard no_grad;
  at::set_num_threads(int(a.number("threads")));
  model::ModelConfig config = model::preset(a.text("preset"));
  if (a.number("layers")) config.num_hidden_layers = a.number("layers");
  model::Transformer model(config, at::kCPU, tensor::parse_dtype(a.text("dtype")));
  model.init_weights(1);
  const int64_t sequences = a.number("sequences"), rounds = a.number("rounds");
  for (const int64_t length : {64, 256, 512, 1008}) {
    if (length >= config.max_position_embeddings) break;
    Decoding decoding(model, sequences, length);
    const Tensor ids = aten::randint(config.vocab_size, {sequences}, at::kLong);
    const auto step = [&](bool exact) {
      decoding.paged.exact = exact;
      return model.logits(decoding.feed(ids, 1));
    };
    const double apart = (step(true) - step(false)).abs().max().item<double>();
    const double exact = median_ms(rounds, [&] { step(true); }), absorbed = median_ms(rounds, [&] { step(false); });
    int64_t bytes = 0;
    for (const Tensor& cache : decoding.caches) bytes += int64_t(cache.nbytes());
    std::printf(
        "{\"context\": %ld, \"sequences\": %ld, \"exact_ms\": %.3f, \"absorbed_ms\": %.3f, \"ratio\": %.2f, \"cache_bytes\": %ld, "
        "\"apart\": %.2g}\n",
        long(length), long(sequences), exact, absorbed, exact / absorbed, long(bytes), apart);
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace r1

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] {
    r1::run({argc,
             argv,
             {{"preset", "tiny-v3"}, {"sequences", "8"}, {"threads", "1"}, {"rounds", "5"}, {"dtype", "float32"}, {"layers", "0"}}});
  });
}
