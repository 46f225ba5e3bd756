// What do the variants of attention cost as texts grow? One attention layer (d 128, 4 heads of 32) on one sequence:
//   bench_attention_variants [--lengths 1024,4096,16384,32768] [--only full,lsh] [--threads 1] [--network 1]
// One JSON object a line: {"bench": "attention_layer", "variant", "tokens", "forward_ms", "train_ms", "memory_mb"}: processor time of a
// forward without a graph, of forward and backward, and what the latter added to the peak of resident memory. Every measurement is a
// process of its own. "scores" is the definition of full attention, which holds [heads, T, T] scores: up to 8192 tokens only, as it wants
// gigabytes. With --network 1 the same of a whole network of one layer (embedding, attention, MLP, head, vocabulary 128): what a training
// step holds. At the end "growth": the exponent of forward_ms between the first and the last length, of each variant.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <functional>
#include <map>
#include <sstream>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/base/json.h"
#include "r1/model/layers.h"
#include "r1/model/transformer.h"
#include "r1/nn/gqa.h"
#include "r1/ops/autograd.h"
#include "r1/ops/logprob.h"

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

double cpu_ms() {
  return 1e3 * double(std::clock()) / CLOCKS_PER_SEC;
}
double peak_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return double(usage.ru_maxrss) / 1024;
}

nn::AttentionContext one_sequence(int64_t tokens) {
  nn::AttentionContext context;
  context.cu_seqlens = {0, int32_t(tokens)};
  for (int64_t t = 0; t < tokens; ++t) context.positions.push_back(int32_t(t));
  return context;
}

struct Cost {
  double forward_ms = 0, train_ms = 0, memory_mb = 0;
};

// `f(true)` runs forward and backward, f(false) the forward under no_grad.
Cost cost_of(const std::function<void(bool)>& f) {
  Cost cost;
  double start = cpu_ms();
  const double before = peak_mb();
  f(true);
  cost.train_ms = cpu_ms() - start;
  cost.memory_mb = peak_mb() - before;
  start = cpu_ms();
  f(false);
  cost.forward_ms = cpu_ms() - start;
  return cost;
}

Cost layer_cost(const Variant& variant, int64_t tokens) {
  const model::ModelConfig config = config_of(variant, tokens);
  model::LayerFactory factory(config, {});
  const auto layer = layer_of(variant, config, factory);
  std::vector<nn::Parameter> weights;
  layer->parameters(nn::ParameterList(weights));
  std::vector<Tensor> inputs{at::randn({tokens, 128})};
  for (const nn::Parameter& w : weights) {
    w.tensor->copy_(at::randn(w.tensor->sizes()) * 0.1);
    w.tensor->set_requires_grad(true);
    inputs.push_back(*w.tensor);
  }
  inputs[0].set_requires_grad(true);
  const nn::LayerContext context = nn::layer_context(one_sequence(tokens), at::kCPU);
  return cost_of([&](bool train) {
    const at::AutoGradMode grad_mode(train);
    const Tensor y = (*layer)(inputs[0], context, nullptr);
    if (train) ops::gradients({y}, {at::ones_like(y)}, inputs);
  });
}

Cost network_cost(const Variant& variant, int64_t tokens) {
  model::Transformer model(config_of(variant, tokens), at::kCPU, at::kFloat);
  model.init_weights(1);
  model.set_requires_grad(true);
  const Tensor ids = at::randint(128, {tokens}, at::kLong);
  const nn::AttentionContext context = one_sequence(tokens);
  return cost_of([&](bool train) {
    const at::AutoGradMode grad_mode(train);
    const Tensor loss = -ops::linear_logprob(model.hidden(ids, context), model.head(), ids).logprob_T.mean();
    if (train) loss.backward();
  });
}

// In a process of its own, so that its peak of memory is its own.
Cost in_child(const std::function<Cost()>& f, int threads) {
  int ends[2];
  check(pipe(ends) == 0, "bench_attention_variants: no pipe");
  const pid_t child = fork();
  check(child >= 0, "bench_attention_variants: fork failed");
  if (child == 0) {
    at::set_num_threads(threads);
    const Cost cost = f();
    _exit(write(ends[1], &cost, sizeof cost) == sizeof cost ? 0 : 1);
  }
  close(ends[1]);
  Cost cost;
  const bool whole = read(ends[0], &cost, sizeof cost) == sizeof cost;
  close(ends[0]);
  waitpid(child, nullptr, 0);
  check(whole, "bench_attention_variants: a measurement died (out of memory?)");
  return cost;
}

std::vector<std::string> words_of(const std::string& list) {
  std::vector<std::string> words;
  std::istringstream in(list);
  for (std::string word; std::getline(in, word, ',');) words.push_back(word);
  return words;
}

int run(int argc, char** argv) {
  std::map<std::string, std::string> given{{"--lengths", "1024,4096,16384,32768"}, {"--only", ""}, {"--threads", "1"}, {"--network", "0"}};
  for (int i = 1; i < argc; i += 2) {
    if (!given.count(argv[i]) || i + 1 == argc) fail_usage("bench_attention_variants: unknown option or no value: ", argv[i]);
    given[argv[i]] = argv[i + 1];
  }
  const bool network = given["--network"] != "0";
  const std::vector<std::string> only = words_of(given["--only"]);
  for (const Variant& variant : variants()) {
    if (!only.empty() && std::find(only.begin(), only.end(), variant.name) == only.end()) continue;
    const bool scores = variant.name == std::string("scores");
    if (scores && network) continue;
    std::vector<std::pair<double, double>> points;
    for (const std::string& length : words_of(given["--lengths"])) {
      const int64_t tokens = std::stoll(length);
      if (scores && tokens > 8192) continue;
      const Cost cost =
          in_child([&] { return network ? network_cost(variant, tokens) : layer_cost(variant, tokens); }, std::stoi(given["--threads"]));
      const Json line = {{"bench", network ? "attention_network" : "attention_layer"},
                         {"variant", variant.name},
                         {"tokens", tokens},
                         {"forward_ms", cost.forward_ms},
                         {"train_ms", cost.train_ms},
                         {"memory_mb", cost.memory_mb}};
      std::printf("%s\n", dump_json(line).c_str());
      std::fflush(stdout);
      points.push_back({double(tokens), cost.forward_ms});
    }
    if (points.size() < 2) continue;
    const double exponent = std::log(points.back().second / points[0].second) / std::log(points.back().first / points[0].first);
    std::printf("%s\n", dump_json({{"bench", "growth"},
                                   {"variant", variant.name},
                                   {"from", points[0].first},
                                   {"to", points.back().first},
                                   {"exponent", exponent}})
                            .c_str());
  }
  return 0;
}

}  // namespace
}  // namespace r1

int main(int argc, char** argv) {
  try {
    return r1::run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
