// How even is the load of the experts, and what does evening it cost? Trains tiny-v3 on the bytes of a text under one rule of balance:
//   bench_experts TEXT [--rule bias | none | context --steps 500 --threads 1]
//     bias     DeepSeek-V3's: the bias of the choice moves by gamma 0.003 a step, sequence-wise loss with alpha 1e-4
//     none     no bias update, no balance loss
//     context  gate context_sigmoid, balance loss alpha sum (p_i - 1/N)^2 with alpha 0.01, no bias update
// Prints one JSON object a line, every 25 steps: {"rule", "step", "loss", "load": [of each layer], "bias_range", "balance_loss"}: the loss
// of that step (its text is the same under every rule), and the busiest expert's load over the mean and the range of the biases, averaged
// over the last 25 steps or so.
#include <ATen/Parallel.h>

#include <cmath>

#include "bench/bench.h"
#include "r1/base/file.h"
#include "r1/base/rng.h"
#include "r1/model/presets.h"
#include "r1/train/trainer.h"

namespace r1 {
namespace {

constexpr int kSequences = 8, kLength = 256;

model::ModelConfig config_of(const std::string& rule) {
  model::ModelConfig c = model::preset("tiny-v3");
  c.vocab_size = 256;
  c.num_nextn_predict_layers = 0;
  c.moe.bias_update_speed = rule == "bias" ? 0.003 : 0;
  if (rule == "none") c.moe.aux_loss_coef = 0;
  if (rule == "context") {
    c.moe.gate = "context_sigmoid";
    c.moe.aux_loss = "square";
    c.moe.aux_loss_coef = 0.01;
  }
  model::finish_config(c);
  return c;
}

// Windows of the text anywhere, a sequence each.
data::Batch next_batch(const std::string& text, Rng& rng) {
  data::Batch b;
  b.cu_seqlens = {0};
  for (int q = 0; q < kSequences; ++q) {
    const size_t at = rng.below(text.size() - kLength - 1);
    for (int i = 0; i < kLength; ++i) {
      const bool last = i + 1 == kLength;
      b.ids.push_back(uint8_t(text[at + size_t(i)]));
      b.targets.push_back(last ? -1 : uint8_t(text[at + size_t(i) + 1]));
      b.loss_weight.push_back(last ? 0 : 1);
      b.positions.push_back(i);
    }
    b.cu_seqlens.push_back(int32_t(b.ids.size()));
  }
  return b;
}

// Means with weights that fade by 0.96 a step.
struct Fading {
  double sum = 0, weight = 0;
  void add(double value) {
    sum = 0.96 * sum + 0.04 * value;
    weight = 0.96 * weight + 0.04;
  }
  double mean() const { return sum / weight; }
};

void train(const std::string& text, const std::string& rule, int64_t steps) {
  model::Transformer model(config_of(rule), at::kCPU, at::kFloat);
  model.init_weights(1);
  train::TrainerConfig config;
  config.learning_rate = 3e-3;
  config.warmup_steps = 20;
  train::Trainer trainer(model, config, steps, 1);
  Rng rng(5);
  std::map<std::string, Fading> said;
  for (int64_t step = 1; step <= steps; ++step) {
    const data::Batch batch = next_batch(text, rng);
    const train::StepResult r = trainer.step(std::span(&batch, 1), train::cross_entropy_loss());
    for (const auto& [name, value] : r.layers) said[name].add(value);
    if (step % 25 != 0) continue;
    Json line = {{"rule", rule}, {"step", step}, {"loss", r.loss}, {"load", Json::array()}};
    for (const char* layer : {"1", "2", "3"}) line["load"].push_back(said.at(std::string("moe/max_load_over_mean/") + layer).mean());
    line["bias_range"] = said.at("moe/bias_range").mean();
    line["balance_loss"] = r.layers.at("moe/balance_loss");
    bench::print(line);
  }
}

void run(const bench::Arguments& a) {
  if (a.words().empty()) fail_usage("usage: bench_experts TEXT [--rule bias|none|context --steps N --threads N]");
  const std::string& rule = a.text("rule");
  if (rule != "bias" && rule != "none" && rule != "context") fail_usage("--rule is bias, none or context, not ", rule);
  at::set_num_threads(int(a.number("threads")));
  const std::string text = read_file(a.words()[0]);
  check(text.size() > 2 * kLength, a.words()[0], ": expected a text of more than ", 2 * kLength, " bytes");
  train(text, rule, a.number("steps"));
}

}  // namespace
}  // namespace r1

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] { r1::run({argc, argv, {{"rule", "bias"}, {"steps", "500"}, {"threads", "1"}}, 1}); });
}
