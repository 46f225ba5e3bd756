// What do the variants of attention cost as texts grow? One attention layer (d 128, 4 heads of 32) on one sequence:
//   bench_attention_variants [--lengths 1024,4096,16384,32768] [--only full,lsh] [--threads 1]
// One JSON object a line: {"bench": "attention_layer", "variant", "tokens", "forward_ms", "train_ms", "memory_mb"}: processor time of a
// forward without a graph, of forward and backward, and what the latter added to the peak of resident memory. Every measurement is a
// process of its own. "scores" is the definition of full attention, which holds [heads, T, T] scores: up to 8192 tokens only, as it wants
// gigabytes. At the end "growth": the exponent of forward_ms between the first and the last length, of each variant. Whole networks over
// lengths: bench_variants --lengths.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "bench/bench.h"
#include "r1/base/config_io.h"
#include "r1/model/layers.h"
#include "r1/nn/gqa.h"
#include "r1/ops/autograd.h"
#include "r1/tensor/aten.h"

namespace r1 {
namespace {

struct Variant {
  const char* name;
  std::vector<std::pair<const char*, const char*>> changes;
};
const std::vector<Variant>& variants() {
  static const std::vector<Variant> all{
      {"full", {}},
      {"scores", {}},
      {"blockwise", {{"attention", "blockwise"}}},
      {"window 512", {{"attn.window", "512"}}},
      {"hybrid", {{"attention", "hybrid"}}},
      {"lsh", {{"attention", "lsh"}}},
      {"dynamic_window", {{"attention", "dynamic_window"}}},
  };
  return all;
}

model::ModelConfig config_of(const Variant& variant, int64_t tokens) {
  model::ModelConfig c;
  c.vocab_size = 128;
  c.hidden_size = 128;
  c.intermediate_size = 352;
  c.num_hidden_layers = 1;
  c.num_attention_heads = 4;
  c.max_position_embeddings = tokens;
  std::vector<Setting> changes;
  for (const auto& [key, value] : variant.changes) changes.push_back({key, key, value});
  apply_settings(c, changes);
  model::finish_config(c);
  return c;
}

// Full attention by its definition.
class Scores : public nn::Gqa {
 public:
  using Gqa::Gqa;

 protected:
  Tensor attend(const Tensor&, const Heads& h, const nn::LayerContext& context, const nn::LayerCache*) const override {
    return ops::attention_ref(h.q_TNH, h.k_TKH, h.v_TKH, context.sequences, scale());
  }
};

std::unique_ptr<nn::AttentionLayer> layer_of(const Variant& variant, const model::ModelConfig& config, model::LayerFactory& factory) {
  if (variant.name != std::string("scores")) return std::move(factory.block(0).attention);
  const nn::GqaShape shape{.dim = 128, .heads = 4, .kv_heads = 4, .head_dim = 32};
  const auto table = ops::rotary_table(ops::rotary_frequencies(32, 10000, {}), config.max_position_embeddings, at::kCPU);
  return std::make_unique<Scores>(shape, std::make_shared<ops::RotaryTable>(table), nn::Placement{});
}

Json layer_cost(const Variant& variant, int64_t tokens) {
  const model::ModelConfig config = config_of(variant, tokens);
  model::LayerFactory factory(config, {});
  const auto layer = layer_of(variant, config, factory);
  std::vector<nn::Parameter> weights;
  layer->parameters(nn::ParameterList(weights));
  std::vector<Tensor> inputs{aten::randn({tokens, 128})};
  for (const nn::Parameter& w : weights) {
    w.tensor->copy_(aten::randn(w.tensor->sizes()) * 0.1);
    w.tensor->set_requires_grad(true);
    inputs.push_back(*w.tensor);
  }
  inputs[0].set_requires_grad(true);
  const nn::LayerContext context{ops::sequences_of(at::kCPU, {int32_t(tokens)})};
  const auto pass = [&](bool train) {
    const at::AutoGradMode grad_mode(train);
    const Tensor y = (*layer)(inputs[0], context, nullptr);
    if (train) ops::gradients({y}, {aten::ones_like(y)}, inputs);
  };
  const double before = bench::peak_mb(), start = bench::cpu_ms();
  pass(true);
  const double trained = bench::cpu_ms(), after = bench::peak_mb();
  pass(false);
  return {{"bench", "attention_layer"},  {"variant", variant.name},    {"tokens", tokens}, {"forward_ms", bench::cpu_ms() - trained},
          {"train_ms", trained - start}, {"memory_mb", after - before}};
}

void run(const bench::Arguments& arguments) {
  const std::vector<std::string> only = bench::split(arguments.text("only"));
  for (const Variant& variant : variants()) {
    if (!only.empty() && std::find(only.begin(), only.end(), variant.name) == only.end()) continue;
    std::vector<std::pair<double, double>> points;
    for (const std::string& length : bench::split(arguments.text("lengths"))) {
      const int64_t tokens = std::stoll(length);
      if (variant.name == std::string("scores") && tokens > 8192) continue;
      const Json line = bench::in_child([&] {
        at::set_num_threads(int(arguments.number("threads")));
        return layer_cost(variant, tokens);
      });
      bench::print(line);
      points.push_back({double(tokens), line.at("forward_ms").get<double>()});
    }
    if (points.size() < 2) continue;
    const double exponent = std::log(points.back().second / points[0].second) / std::log(points.back().first / points[0].first);
    bench::print(
        {{"bench", "growth"}, {"variant", variant.name}, {"from", points[0].first}, {"to", points.back().first}, {"exponent", exponent}});
  }
}

}  // namespace
}  // namespace r1

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] { r1::run({argc, argv, {{"lengths", "1024,4096,16384,32768"}, {"only", ""}, {"threads", "1"}}}); });
}
