// Do attention's gradients live? Trains one small network a norm and a softmax scale on the bytes of a text, and prints for each layer the
// norm of the gradient at the query weights, on one probe batch, as training goes on. `scale` 1 is attention without 1 / sqrt(head size):
// its scores are eight times as large, the softmax saturates, and a norm has to keep the gradient from vanishing.
//   bench_norms --text FILE [--steps 150] [--tokens 1024] [--seed 1] [--threads 1]
// One JSON object a line: norm, scale, step, loss of the probe, query gradient by layer, and its smallest over its largest layer.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "bench/bench.h"
#include "r1/base/file.h"
#include "r1/base/rng.h"
#include "r1/model/transformer.h"
#include "r1/tensor/aten.h"
#include "r1/train/forward.h"
#include "r1/train/trainer.h"

namespace r1 {
namespace {

constexpr int64_t kLength = 128;

model::ModelConfig config_of(const std::string& norm, double scale) {
  model::ModelConfig c;
  c.vocab_size = 256;
  c.hidden_size = 128;
  c.intermediate_size = 256;
  c.num_hidden_layers = 6;
  c.num_attention_heads = 2;  // of size 64
  c.max_position_embeddings = kLength;
  c.tie_word_embeddings = true;
  c.norm = norm;
  c.attn.scale = scale;
  return c;
}

// Rows of the text from random places.
data::Batch batch_of(const std::string& text, uint64_t seed, int64_t step, int64_t tokens) {
  Rng rng(seed, uint64_t(step));
  data::Batch batch;
  batch.cu_seqlens = {0};
  while (int64_t(batch.ids.size()) < tokens) {
    const size_t at = rng.below(text.size() - size_t(kLength) - 1);
    for (int64_t i = 0; i < kLength; ++i) {
      batch.ids.push_back(uint8_t(text[at + size_t(i)]));
      batch.targets.push_back(uint8_t(text[at + size_t(i) + 1]));
      batch.loss_weight.push_back(1);
      batch.positions.push_back(int32_t(i));
    }
    batch.cu_seqlens.push_back(int32_t(batch.ids.size()));
  }
  return batch;
}

void probe(model::Transformer& model, const data::Batch& batch, const std::string& norm, double scale, int64_t step) {
  model.set_requires_grad(true);
  const at::AutoGradMode grad_mode(true);
  const auto spec = train::cross_entropy_loss();
  std::map<std::string, double> metrics;
  const Tensor loss = spec.loss(train::forward(model, batch, {}), double(batch.ids.size()), metrics);
  loss.backward();
  std::string layers;
  double least = INFINITY, most = 0;
  for (int i = 0; i < model.num_layers(); ++i) {
    const double g = model::find_weight(model.weights(), str("layers.", i, ".attention.q")).tensor->grad().norm().item<double>();
    least = std::min(least, g), most = std::max(most, g);
    char text[32];
    std::snprintf(text, sizeof text, "%s%.3g", i ? "," : "", g);
    layers += text;
  }
  for (auto& row : model.weights()) row.tensor->mutable_grad() = Tensor();
  std::printf("{\"norm\":\"%s\",\"scale\":%g,\"step\":%ld,\"loss\":%.4f,\"query_gradient\":[%s],\"least_over_most\":%.3f}\n", norm.c_str(),
              scale, long(step), loss.item<double>(), layers.c_str(), least / most);
  std::fflush(stdout);
}

void run(const bench::Arguments& a) {
  if (a.text("text").empty()) fail_usage("bench_norms: --text FILE is missing");
  at::set_num_threads(int(a.number("threads")));
  const std::string text = read_file(a.text("text"));
  const int64_t steps = a.number("steps"), tokens = a.number("tokens");
  const auto seed = uint64_t(a.number("seed"));
  const data::Batch fixed = batch_of(text, 999, 0, tokens);
  for (const double scale : {0.125, 1.0}) {
    for (const char* norm : {"none", "rms", "layer", "power"}) {
      model::Transformer model(config_of(norm, scale), at::kCPU, at::kFloat);
      model.init_weights(seed);
      train::TrainerConfig config;
      config.learning_rate = 2e-3;
      config.warmup_steps = 20;
      config.max_grad_norm = 1;
      train::Trainer trainer(model, config, steps, seed);
      for (int64_t step = 0; step <= steps; ++step) {
        if (step % (steps / 3) == 0) probe(model, fixed, norm, scale, step);
        if (step == steps) break;
        const std::vector<data::Batch> batches{batch_of(text, seed, step, tokens)};
        trainer.step(batches, train::cross_entropy_loss());
      }
    }
  }
}

}  // namespace
}  // namespace r1

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] {
    r1::run({argc, argv, {{"steps", "150"}, {"tokens", "1024"}, {"seed", "1"}, {"threads", "1"}, {"text", ""}}});
  });
}
