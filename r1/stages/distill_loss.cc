#include "r1/stages/distill_loss.h"

#include <ATen/core/grad_mode.h>

#include <charconv>
#include <cmath>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/ops/device_lists.h"
#include "r1/stages/teacher_logits.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/safetensors.h"
#include "r1/train/forward.h"

namespace r1::stages {

namespace {

constexpr uint64_t kMapStream = 0x6d617073;  // "maps"
constexpr const char* kMapFile = "hidden_maps.safetensors";

std::pair<int64_t, int64_t> parse_pair(const std::string& text) {
  std::pair<int64_t, int64_t> pair;
  const char *begin = text.data(), *end = begin + text.size();
  const auto first = std::from_chars(begin, end, pair.first);
  const bool colon = first.ec == std::errc() && first.ptr != end && *first.ptr == ':';
  const auto second = colon ? std::from_chars(first.ptr + 1, end, pair.second) : std::from_chars_result{begin, std::errc::invalid_argument};
  if (second.ec != std::errc() || second.ptr != end)
    fail_usage("hidden_layers: '", printable(text), "' is no pair of layers; write the student's and the teacher's, as 3:6");
  return pair;
}

std::vector<std::pair<int64_t, int64_t>> parse_pairs(const std::vector<std::string>& texts, const model::ModelConfig& student,
                                                     const model::ModelConfig& teacher) {
  std::vector<std::pair<int64_t, int64_t>> pairs;
  for (const std::string& text : texts) {
    pairs.push_back(parse_pair(text));
    const auto check_layer = [&](int64_t layer, const model::ModelConfig& of, const char* whose) {
      if (layer < 0 || layer > of.num_hidden_layers)
        fail_usage("hidden_layers: '", text, "' names layer ", layer, " of the ", whose, ", which has 0 (the embedding) to ",
                   of.num_hidden_layers);
    };
    check_layer(pairs.back().first, student, "student");
    check_layer(pairs.back().second, teacher, "teacher");
  }
  return pairs;
}

// The identity where it fits, else normal numbers that keep a vector's length.
Tensor first_map(int64_t from, int64_t to, uint64_t seed, uint64_t which) {
  Tensor map = aten::zeros({to, from}, at::kFloat);
  float* const values = map.mutable_data_ptr<float>();
  Rng rng = Rng(seed, kMapStream).split(which);
  for (int64_t i = 0; i < to; ++i) {
    for (int64_t j = 0; j < from; ++j) values[i * from + j] = from == to ? float(i == j) : float(rng.normal() / std::sqrt(double(to)));
  }
  return map;
}

// The rows that are learned from, where a device took all.
std::vector<int64_t> live_rows(const data::Batch& batch) {
  std::vector<int64_t> rows;
  for (size_t t = 0; t < batch.loss_weight.size(); ++t)
    if (batch.loss_weight[t] != 0) rows.push_back(int64_t(t));
  return rows;
}

class Loss {
 public:
  explicit Loss(const DistillLossParts& parts) : p_(parts) {}

  Tensor operator()(const train::ForwardResult& given, double denominator, train::LossMetrics& metrics) const {
    train::ForwardResult student = given;
    if (p_.stored && !student.states.rows_R.defined())
      student.states.rows_R = ops::uploaded<int64_t>(live_rows(*student.batch), student.states.x_TD.device());
    const auto learned = [&](const Tensor& t) { return train::learned_rows(student, t); };
    const Tensor weights_R = learned(student.loss_weight_T), x_RD = learned(student.states.x_TD),
                 targets_R = learned(student.states.targets_T);
    train::ForwardResult teacher;
    if (p_.teacher) {
      const at::NoGradGuard no_grad;
      train::ForwardArgs args{.only_weighted = true, .states = true, .layers = p_.maps != nullptr};
      teacher = train::forward(*p_.teacher, *student.batch, args);
    }
    const ops::DivergenceLoss loss = compare(x_RD, targets_R, weights_R, student, teacher);
    Tensor sum = loss.sum;
    std::vector<Tensor> said{(loss.divergence_T * weights_R).sum(), -(loss.logprob_T * weights_R).sum()};
    if (p_.maps) {
      const Tensor hidden = p_.maps->loss(student, teacher, weights_R);
      sum = sum + hidden * p_.hidden_weight;
      said.push_back(hidden.detach());
    }
    metrics.later(aten::stack(said).to(at::kDouble) / denominator, [this_has = said.size()](const double* values, train::LossMetrics& m) {
      constexpr const char* kNames[] = {"divergence", "cross_entropy", "hidden_loss"};
      for (size_t i = 0; i < this_has; ++i) m.sums[kNames[i]] += values[i], m.terms[kNames[i]] += values[i];
    });
    return sum * (1 / denominator);
  }

 private:
  ops::DivergenceLoss compare(const Tensor& x_RD, const Tensor& targets_R, const Tensor& weights_R, const train::ForwardResult& student,
                              const train::ForwardResult& teacher) const {
    const model::Transformer& model = *p_.student;
    const ops::DivergenceOptions& o = p_.divergence;
    if (o.divergence_weight == 0) {
      const Tensor logprob_R = ops::linear_logprob(x_RD, model.head(), targets_R).logprob_T;
      const Tensor nll = -(logprob_R * weights_R).sum();
      return {nll * o.ce_weight, aten::zeros_like(weights_R), logprob_R.detach()};
    }
    if (p_.stored)
      return ops::linear_divergence(x_RD, model.head(), targets_R, weights_R, p_.stored->rows(*student.batch, x_RD.device()), o);
    // A device that took all rows did so for both.
    const Tensor t_RE = train::learned_rows(student, teacher.states.x_TD);
    if (p_.top_k > 0)
      return ops::linear_divergence(x_RD, model.head(), targets_R, weights_R,
                                    ops::linear_top(t_RE, p_.teacher->head(), p_.top_k, o.temperature, o.vocab), o);
    return ops::linear_divergence(x_RD, model.head(), targets_R, weights_R, ops::TeacherStates{t_RE, p_.teacher->head()}, o);
  }

  DistillLossParts p_;
};

}  // namespace

void check_hidden_layers(const std::vector<std::string>& pairs, const model::ModelConfig& student, const model::ModelConfig& teacher) {
  parse_pairs(pairs, student, teacher);
}

HiddenMaps::HiddenMaps(const std::vector<std::string>& pairs, const model::ModelConfig& student, const model::ModelConfig& teacher,
                       tensor::Device device, uint64_t seed)
    : pairs_(parse_pairs(pairs, student, teacher)) {
  for (size_t i = 0; i < pairs_.size(); ++i) maps_.push_back(first_map(student.hidden_size, teacher.hidden_size, seed, i).to(device));
  for (size_t i = 0; i < maps_.size(); ++i) {
    model::WeightRow& row = rows_.emplace_back();
    row.name = row.hf_name = str("hidden_maps.", i);
    row.shape = maps_[i].sizes().vec();
    row.kind = model::WeightKind::kHead;  // by AdamW, without decay
    row.tensor = &maps_[i];
  }
}

Tensor HiddenMaps::loss(const train::ForwardResult& student, const train::ForwardResult& teacher, const Tensor& weights_R) const {
  Tensor sum = aten::zeros({}, weights_R.options());
  for (size_t i = 0; i < pairs_.size(); ++i) {
    const Tensor s_RD = train::learned_rows(student, student.states.layers[size_t(pairs_[i].first)]).to(at::kFloat);
    const Tensor t_RE = train::learned_rows(student, teacher.states.layers[size_t(pairs_[i].second)]).to(at::kFloat);
    const Tensor away_R = (aten::matmul(s_RD, maps_[i].t()) - t_RE).square().sum(-1);
    sum = sum + (away_R / t_RE.square().sum(-1).clamp_min(1e-12) * weights_R).sum();
  }
  return sum / double(pairs_.size());
}

void HiddenMaps::save(const std::filesystem::path& folder) const {
  if (maps_.empty()) return;
  std::vector<SafeSource> sources;
  for (const model::WeightRow& row : rows_) sources.push_back(tensor::safe_source(row.name, row.tensor->detach()));
  write_safetensors(folder / kMapFile, sources);
}

void HiddenMaps::load(const std::filesystem::path& folder) {
  if (maps_.empty()) return;
  const auto file = SafetensorsFile::open(folder / kMapFile);
  const at::NoGradGuard no_grad;
  for (const model::WeightRow& row : rows_) {
    const SafeTensor* stored = file.find(row.name);
    if (!stored || stored->shape != row.shape) fail(file.name(), ": ", row.name, " is missing or has another shape");
    tensor::read_safetensor_into(file, *stored, *row.tensor);
  }
}

train::LossSpec distill_loss(const DistillLossParts& parts) {
  train::LossSpec spec;
  spec.states = true;
  spec.layers = parts.maps != nullptr;
  spec.mtp = true;
  spec.loss = Loss(parts);
  return spec;
}

}  // namespace r1::stages
