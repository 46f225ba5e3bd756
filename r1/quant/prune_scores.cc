#include "r1/quant/prune_scores.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "r1/base/error.h"
#include "r1/ops/device_lists.h"
#include "r1/ops/logprob.h"
#include "r1/quant/prune_forward.h"
#include "r1/tensor/aten.h"

namespace r1::quant {

namespace {

using model::WeightRow;

const WeightRow& layer_row(const model::Transformer& model, int64_t layer, const char* name) {
  return model::find_weight(model.weights(), str("layers.", layer, ".", name));
}
const WeightRow* maybe_row(const model::Transformer& model, int64_t layer, const char* name) {
  const std::string whole = str("layers.", layer, ".", name);
  for (const WeightRow& row : model.weights())
    if (row.name == whole) return &row;
  return nullptr;
}

Tensor wide(const Tensor& t) {
  return t.detach().to(at::kCPU, at::kDouble);
}
// [rows * size, ...] -> sum of each `size` rows, over all else.
Tensor sums_of_rows(const Tensor& values, int64_t size) {
  return values.reshape({values.size(0) / size, -1}).sum(1);
}

Tensor l1_of_channels(const model::Transformer& model, int64_t layer) {
  Tensor sum = wide(*layer_row(model, layer, "mlp.down").tensor).abs().sum(0);
  for (const char* name : {"mlp.up", "mlp.gate"})
    if (const WeightRow* row = maybe_row(model, layer, name)) sum = sum + wide(*row->tensor).abs().sum(1);
  return sum;
}

Tensor l1_of_heads(const model::Transformer& model, int64_t layer) {
  const model::ModelConfig& c = model.config();
  const int64_t h = c.head_dim, q = h * c.num_attention_heads / c.num_key_value_heads;
  Tensor sum = sums_of_rows(wide(*layer_row(model, layer, "attention.o").tensor).abs().t(), q);
  sum = sum + sums_of_rows(wide(*layer_row(model, layer, "attention.q").tensor).abs(), q);
  for (const char* name : {"attention.k", "attention.v"}) sum = sum + sums_of_rows(wide(*layer_row(model, layer, name).tensor).abs(), h);
  return sum;
}

// Sums over the tokens of what each part adds, squared.
class Sizes {
 public:
  Sizes(model::Transformer& model, const WantedScores& wanted) : model_(model) {
    const model::ModelConfig& c = model.config();
    for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
      if (wanted.channels) watch(channels_, layer, "mlp.down", 1);
      if (wanted.kv_heads) watch(heads_, layer, "attention.o", c.head_dim * c.num_attention_heads / c.num_key_value_heads);
    }
  }
  ~Sizes() {
    for (WeightRow* row : watched_) row->weight->on_input({});
  }
  void put(PartScores& scores, int64_t tokens) const {
    const auto root = [&](const std::map<int64_t, Tensor>& sums, std::vector<Tensor>& out) {
      for (const auto& [layer, sum] : sums) {
        check(sum.defined(), "[prune] layer ", layer, " has been given no inputs");
        out.push_back((sum / double(tokens)).sqrt());
      }
    };
    root(channels_, scores.channels);
    root(heads_, scores.kv_heads);
  }

 private:
  void watch(std::map<int64_t, Tensor>& sums, int64_t layer, const char* name, int64_t size) {
    WeightRow& row = model::find_weight(model_.weights(), str("layers.", layer, ".", name));
    sums[layer];
    watched_.push_back(&row);
    row.weight->on_input([&sums, layer, &row, size](const Tensor& x_TI, int64_t) {
      Tensor& sum = sums[layer];
      const Tensor x = wide(x_TI), w = wide(*row.tensor);
      Tensor now;
      if (size == 1) {
        now = x.square().sum(0) * w.square().sum(0);
      } else {
        std::vector<Tensor> each;
        for (int64_t begin = 0; begin < x.size(1); begin += size)
          each.push_back(aten::matmul(x.narrow(1, begin, size), w.narrow(1, begin, size).t()).square().sum());
        now = aten::stack(each);
      }
      sum = sum.defined() ? sum + now : now;
      return x_TI;
    });
  }

  model::Transformer& model_;
  std::map<int64_t, Tensor> channels_, heads_;
  std::vector<WeightRow*> watched_;
};

PartScores activation_scores(model::Transformer& model, std::span<const data::Batch> batches, const WantedScores& wanted) {
  const at::NoGradGuard no_grad;
  Sizes sizes(model, wanted);
  int64_t tokens = 0;
  for (const data::Batch& batch : batches) {
    states_of(model, batch);
    tokens += batch.tokens();
  }
  PartScores scores;
  sizes.put(scores, tokens);
  return scores;
}

// sum_t h_c dL/dh_c = sum_j W[j, c] dL/dW[j, c], as y = W h.
PartScores gradient_scores(model::Transformer& model, std::span<const data::Batch> batches, const WantedScores& wanted) {
  const model::ModelConfig& c = model.config();
  const int64_t q = c.head_dim * c.num_attention_heads / c.num_key_value_heads;
  PartScores scores;
  std::vector<Tensor*> learned;
  for (WeightRow& row : model.weights())
    if (row.name.ends_with(".mlp.down") || row.name.ends_with(".attention.o")) learned.push_back(row.tensor);
  for (Tensor* tensor : learned) tensor->set_requires_grad(true);
  const auto add = [](std::vector<Tensor>& sums, size_t layer, const Tensor& now) {
    if (sums.size() <= layer) sums.resize(layer + 1);
    sums[layer] = sums[layer].defined() ? sums[layer] + now : now;
  };
  const at::AutoGradMode with_grad(true);
  for (const data::Batch& batch : batches) {
    loss_of(model, batch).sum.backward();
    for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
      const auto product = [&](const char* name) {
        const Tensor& w = *layer_row(model, layer, name).tensor;
        return (wide(w) * wide(w.grad())).sum(0);
      };
      if (wanted.channels) add(scores.channels, size_t(layer), product("mlp.down").abs());
      if (wanted.kv_heads) add(scores.kv_heads, size_t(layer), sums_of_rows(product("attention.o"), q).abs());
    }
    for (Tensor* tensor : learned) tensor->mutable_grad().reset();
  }
  for (Tensor* tensor : learned) tensor->set_requires_grad(false);
  return scores;
}

}  // namespace

PartScores part_scores(model::Transformer& model, std::span<const data::Batch> batches, const WantedScores& wanted) {
  if (wanted.by == "activation") return activation_scores(model, batches, wanted);
  if (wanted.by == "gradient") return gradient_scores(model, batches, wanted);
  check(wanted.by == "l1", "[prune] expected l1, activation or gradient, got ", wanted.by);
  PartScores scores;
  for (int64_t layer = 0; layer < model.config().num_hidden_layers; ++layer) {
    if (wanted.channels) scores.channels.push_back(l1_of_channels(model, layer));
    if (wanted.kv_heads) scores.kv_heads.push_back(l1_of_heads(model, layer));
  }
  return scores;
}

std::vector<double> angular_distances(model::Transformer& model, std::span<const data::Batch> batches, int64_t n) {
  const at::NoGradGuard no_grad;
  const int64_t layers = model.config().num_hidden_layers;
  check(n > 0 && n < layers, "[prune] expected 1 to ", layers - 1, " layers, got ", n);
  std::vector<double> sums(size_t(layers - n + 1));
  int64_t tokens = 0;
  for (const data::Batch& batch : batches) {
    std::vector<Tensor> states;
    states_of(model, batch, &states);
    for (int64_t l = 0; l + n <= layers; ++l) {
      const Tensor a = wide(states[size_t(l)]), b = wide(states[size_t(l + n)]);
      const Tensor cosine = (a * b).sum(1) / (a.square().sum(1) * b.square().sum(1)).sqrt().clamp_min(1e-300);
      sums[size_t(l)] += cosine.clamp(-1, 1).acos().sum().item<double>() / M_PI;
    }
    tokens += batch.tokens();
  }
  for (double& sum : sums) sum /= double(std::max<int64_t>(1, tokens));
  return sums;
}

std::vector<int64_t> largest(const Tensor& scores, int64_t count) {
  const Tensor s = scores.to(at::kCPU, at::kDouble).contiguous();
  const double* const values = s.const_data_ptr<double>();
  std::vector<int64_t> order(static_cast<size_t>(s.numel()));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return values[a] > values[b]; });
  order.resize(size_t(std::min<int64_t>(count, s.numel())));
  std::sort(order.begin(), order.end());
  return order;
}

double mean_loss(model::Transformer& model, std::span<const data::Batch> batches) {
  const at::NoGradGuard no_grad;
  double sum = 0, weight = 0;
  for (const data::Batch& batch : batches) {
    sum += loss_of(model, batch).sum.item<double>();
    for (const float w : batch.loss_weight) weight += w;
  }
  return weight > 0 ? sum / weight : 0;
}

}  // namespace r1::quant
