#include "r1/serve/intent_train.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <future>
#include <numeric>

#include "r1/base/error.h"
#include "r1/base/interrupt.h"
#include "r1/base/rng.h"
#include "r1/base/threads.h"
#include "r1/model/weights_io.h"
#include "r1/ops/autograd.h"
#include "r1/ops/dropout.h"
#include "r1/ops/linear.h"
#include "r1/ops/optimizer_step.h"
#include "r1/tensor/aten.h"

namespace r1::serve {
namespace {

using Rows = std::vector<std::vector<float>>;  // [messages][classes]

// What the encoder learns from: token ids, and how much of each class a message is.
struct Lesson {
  std::vector<std::vector<text::TokenId>> ids;
  Rows targets;
};

// ---- the encoder

// Messages of like length in a batch, batches in a random order: the same for the same seed.
std::vector<std::vector<size_t>> epoch_batches(const Lesson& lesson, int64_t batch_size, Rng rng) {
  constexpr int64_t kPool = 8;  // batches that are sorted together
  std::vector<size_t> order(lesson.ids.size());
  std::iota(order.begin(), order.end(), size_t(0));
  rng.shuffle(order);
  std::vector<std::vector<size_t>> batches;
  const size_t pool = size_t(batch_size * kPool), size = size_t(batch_size);
  for (size_t begin = 0; begin < order.size(); begin += pool) {
    const size_t end = std::min(order.size(), begin + pool);
    std::stable_sort(order.begin() + std::ptrdiff_t(begin), order.begin() + std::ptrdiff_t(end),
                     [&](size_t a, size_t b) { return lesson.ids[a].size() < lesson.ids[b].size(); });
    for (size_t i = begin; i < end; i += size)
      batches.emplace_back(order.begin() + std::ptrdiff_t(i), order.begin() + std::ptrdiff_t(std::min(end, i + size)));
  }
  rng.shuffle(batches);
  return batches;
}

// An encoder in training: it begins from the language model's weights again for every fold.
class EncoderTraining {
 public:
  EncoderTraining(const IntentTrainConfig& config, int64_t classes, tensor::Device device)
      : config_(config), classes_(classes), device_(device) {
    const fs::path path = model::find_model(config.model_name_or_path);
    tokenizer_ = std::make_unique<text::Tokenizer>(text::Tokenizer::load(path));
    encoder_ = std::make_unique<IntentEncoder>(IntentEncoder::first_layers(path, config.layers, device));
    check(tokenizer_->vocab_size() <= encoder_->model().config().vocab_size, path.string(), ": the tokenizer knows ",
          tokenizer_->vocab_size(), " tokens, the embedding has ", encoder_->model().config().vocab_size);
    for (const model::WeightRow& row : encoder_->model().weights()) start_.push_back(row.tensor->detach().clone());
  }

  std::vector<text::TokenId> ids_of(const std::string& message) const { return message_ids(*tokenizer_, message, config_.max_tokens); }

  void train(const Lesson& lesson, double epochs, uint64_t seed, const std::string& what, const IntentTrainProgress& told) {
    reset(seed);
    const int64_t an_epoch = int64_t(epoch_batches(lesson, config_.batch_size, Rng(seed)).size());
    const int64_t steps = std::max<int64_t>(1, int64_t(std::llround(epochs * double(an_epoch))));
    std::vector<std::vector<size_t>> batches;
    double loss = 0;
    for (int64_t step = 0; step < steps; ++step) {
      if (step % an_epoch == 0) batches = epoch_batches(lesson, config_.batch_size, Rng(seed, 1 + uint64_t(step / an_epoch)));
      const ops::Verdict verdict = update(lesson, batches[size_t(step % an_epoch)], step, steps, seed);
      check(verdict.good, "[intent] the loss of step ", step + 1, " is not finite: a lower learning_rate may help");
      loss = step ? 0.95 * loss + 0.05 * verdict.loss : verdict.loss;
      if (told && ((step + 1) % 20 == 0 || step + 1 == steps)) told({what, step + 1, steps, loss});
      check_interrupted(step);
    }
  }

  Rows probabilities(const std::vector<std::vector<text::TokenId>>& ids) const {
    const at::NoGradGuard no_grad;
    std::vector<size_t> order(ids.size());
    std::iota(order.begin(), order.end(), size_t(0));
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return ids[a].size() < ids[b].size(); });
    Rows out(ids.size());
    for (size_t begin = 0; begin < order.size(); begin += size_t(config_.batch_size)) {
      std::vector<std::vector<text::TokenId>> batch;
      const size_t end = std::min(order.size(), begin + size_t(config_.batch_size));
      for (size_t i = begin; i < end; ++i) batch.push_back(ids[order[i]]);
      const Tensor pooled = (*encoder_)(message_batch(batch, device_));
      const Tensor p = aten::softmax(ops::linear(pooled, head_CD_, bias_C_), -1).to(at::kCPU).contiguous();
      for (size_t i = begin; i < end; ++i) {
        const float* row = p.const_data_ptr<float>() + int64_t(i - begin) * classes_;
        out[order[i]].assign(row, row + classes_);
      }
    }
    return out;
  }

  IntentModel::Encoder finish() {
    for (const model::WeightRow& row : encoder_->model().weights()) row.tensor->requires_grad_(false);
    return {std::move(encoder_), std::move(tokenizer_), head_CD_.detach().clone(), bias_C_.detach().clone()};
  }

 private:
  // A tensor that learns, its moments, and how fast it may go.
  struct Parameter {
    Tensor w, m, v;
    bool head = false;
    double weight_decay = 0;
  };

  void reset(uint64_t seed) {
    const at::NoGradGuard no_grad;
    parameters_.clear();
    const auto add = [&](const Tensor& w, bool head, double decay) {
      w.requires_grad_(true);
      parameters_.push_back({w, aten::zeros_like(w), aten::zeros_like(w), head, decay});
    };
    const int64_t dim = encoder_->model().config().hidden_size;
    std::vector<float> head(size_t(classes_ * dim));
    Rng rng(seed, 0x4EAD);
    for (float& x : head) x = float(0.02 * rng.normal());
    head_CD_ = aten::tensor(head, at::kFloat).view({classes_, dim}).to(device_);
    bias_C_ = aten::zeros({classes_}, head_CD_.options());
    size_t i = 0;
    for (model::WeightRow& row : encoder_->model().weights()) {
      row.tensor->requires_grad_(false);
      row.tensor->copy_(start_[i++]);
      add(*row.tensor, row.name == "norm", row.kind == model::WeightKind::kMatrix ? config_.weight_decay : 0);
    }
    add(head_CD_, true, config_.weight_decay);
    add(bias_C_, true, 0);
  }

  ops::Verdict update(const Lesson& lesson, const std::vector<size_t>& batch, int64_t step, int64_t steps, uint64_t seed) {
    const at::AutoGradMode with_grad(true);
    std::vector<std::vector<text::TokenId>> ids;
    std::vector<float> targets;
    for (size_t i : batch) {
      ids.push_back(lesson.ids[i]);
      targets.insert(targets.end(), lesson.targets[i].begin(), lesson.targets[i].end());
    }
    const uint64_t noise = random_bits(seed, 0xD207, uint64_t(step));
    const Tensor pooled_BD = (*encoder_)(message_batch(ids, device_), {config_.dropout, noise});
    const Tensor logits_BC = ops::linear(ops::dropout(pooled_BD, config_.dropout, noise, uint64_t(1) << 32), head_CD_, bias_C_);
    const Tensor targets_BC = aten::tensor(targets, at::kFloat).view({int64_t(batch.size()), classes_}).to(device_);
    const Tensor loss = (aten::logsumexp(logits_BC, {1}) - (targets_BC * logits_BC).sum(1)).sum() / double(batch.size());
    std::vector<Tensor> weights;
    for (const Parameter& p : parameters_) weights.push_back(p.w);
    ops::Tensors gradients = ops::gradients({loss}, {aten::ones_like(loss)}, weights);
    const at::NoGradGuard no_grad;
    for (Tensor& g : gradients) {
      if (g.defined()) g = g.contiguous();
    }
    const Tensor verdict = ops::judge_gradients(gradients, loss.detach().to(at::kDouble), config_.max_grad_norm);
    step_parameters(gradients, verdict, step, steps);
    return ops::read_verdict(verdict);
  }

  // AdamW; the rate rises over the warm-up and falls to nothing along a line.
  void step_parameters(const ops::Tensors& gradients, const Tensor& verdict, int64_t step, int64_t steps) {
    const double warm = std::max(1.0, config_.warmup_ratio * double(steps));
    const double factor = std::min(double(step + 1) / warm, double(steps - step) / std::max(1.0, double(steps) - warm));
    for (const bool head : {false, true}) {
      std::vector<ops::AdamWRow> rows;
      for (size_t i = 0; i < parameters_.size(); ++i) {
        const Parameter& p = parameters_[i];
        if (p.head == head && gradients[i].defined()) rows.push_back({p.w.detach(), gradients[i], p.m, p.v, {}, p.weight_decay});
      }
      const double rate = head ? config_.head_learning_rate : config_.learning_rate;
      ops::adamw_steps(rows, {.lr = factor * rate, .beta1 = 0.9, .beta2 = 0.98, .epsilon = 1e-6, .t = step + 1}, verdict);
    }
  }

  static void check_interrupted(int64_t step) {
    if (interrupted()) throw Error(r1::str("stopped at step ", step + 1, "; nothing was saved"), ErrorKind::kInterrupted);
  }

  const IntentTrainConfig& config_;
  int64_t classes_;
  tensor::Device device_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  std::unique_ptr<IntentEncoder> encoder_;
  std::vector<Tensor> start_;  // of each weight row
  std::vector<Parameter> parameters_;
  Tensor head_CD_, bias_C_;
};

// ---- n-grams

struct Ngrams {
  api::NgramFeatures features;
  api::LinearClassifier linear;
};

Ngrams train_ngrams(const IntentTrainConfig& config, const api::IntentExamples& all, const std::vector<size_t>& chosen) {
  std::vector<std::string> text;
  std::vector<int32_t> label;
  for (size_t i : chosen) text.push_back(all.text[i]), label.push_back(all.label[i]);
  Ngrams n{api::NgramFeatures::fit(text, config.ngrams), {}};
  check(n.features.size() > 0, "[intent] no n-gram occurs in ", config.ngrams.min_count,
        " messages: set min_count to 1 or give more messages");
  std::vector<api::SparseVector> x;
  for (const std::string& message : text) x.push_back(n.features(message));
  n.linear = api::LinearClassifier::train(x, label, int64_t(all.labels.size()), int64_t(n.features.size()), config.linear,
                                          [](const api::LinearClassifier::Progress&) { return !interrupted(); });
  throw_if_interrupted();
  return n;
}

// ---- folds

// What models that have not seen a message think of it.
struct Opinions {
  Rows ngram_logits, encoder;
};

Rows smoothed(const api::IntentExamples& examples, double smoothing) {
  const size_t classes = examples.labels.size();
  Rows targets(examples.size(), std::vector<float>(classes, float(smoothing / double(classes))));
  for (size_t i = 0; i < examples.size(); ++i) targets[i][size_t(examples.label[i])] += float(1 - smoothing);
  return targets;
}

Lesson lesson_of(const Rows& targets, const std::vector<std::vector<text::TokenId>>& ids, const std::vector<size_t>& chosen) {
  Lesson lesson;
  for (size_t i : chosen) lesson.ids.push_back(ids[i]), lesson.targets.push_back(targets[i]);
  return lesson;
}

api::Fold fold_at(const IntentTrainConfig& config, const api::IntentExamples& examples, int64_t f) {
  return api::fold_of(examples.size(), f, config.folds, uint64_t(config.seed));
}

// Logits of n-grams of the other folds; as many folds at a time as there are threads.
Rows ngram_opinions(const IntentTrainConfig& config, const api::IntentExamples& examples) {
  Rows logits(examples.size());
  const auto ask = [&](int64_t f) {
    const api::Fold fold = fold_at(config, examples, f);
    const Ngrams n = train_ngrams(config, examples, fold.rest);
    for (size_t i : fold.held) logits[i] = n.linear.logits(n.features(examples.text[i]));
  };
  const int64_t at_once = std::max(1, num_threads());
  for (int64_t begin = 0; begin < config.folds; begin += at_once) {
    std::vector<std::future<void>> running;
    for (int64_t f = begin; f < std::min(config.folds, begin + at_once); ++f) running.push_back(std::async(std::launch::async, ask, f));
    for (std::future<void>& r : running) r.get();
  }
  return logits;
}

Opinions ask_folds(const IntentTrainConfig& config, const api::IntentExamples& examples, EncoderTraining& encoder,
                   const std::vector<std::vector<text::TokenId>>& ids, const Rows& targets, const IntentTrainProgress& told) {
  // On other threads, beside the encoder's work.
  std::future<Rows> ngrams = std::async(std::launch::async, [&] { return ngram_opinions(config, examples); });
  Opinions o{{}, Rows(examples.size())};
  for (int64_t f = 0; f < config.folds; ++f) {
    const api::Fold fold = fold_at(config, examples, f);
    encoder.train(lesson_of(targets, ids, fold.rest), config.fold_epochs, uint64_t(config.seed) * 1000 + uint64_t(f),
                  r1::str("fold ", f + 1, " of ", config.folds), told);
    std::vector<std::vector<text::TokenId>> held;
    for (size_t i : fold.held) held.push_back(ids[i]);
    Rows p = encoder.probabilities(held);
    for (size_t k = 0; k < held.size(); ++k) o.encoder[fold.held[k]] = std::move(p[k]);
  }
  o.ngram_logits = ngrams.get();
  return o;
}

std::vector<float> tempered(std::vector<float> logits, double temperature) {
  for (float& v : logits) v /= float(temperature);
  api::softmax(logits);
  return logits;
}

struct Blend {
  double share = 0, temperature = 1, accuracy = 0, encoder_accuracy = 0, ngram_accuracy = 0;
};

double accuracy_of(const api::IntentExamples& examples, const std::function<std::vector<float>(size_t)>& row) {
  int64_t right = 0;
  for (size_t i = 0; i < examples.size(); ++i) {
    const std::vector<float> p = row(i);
    right += std::max_element(p.begin(), p.end()) - p.begin() == examples.label[i];
  }
  return double(right) / double(examples.size());
}

// The best of a few, by accuracy on messages that neither had seen.
Blend best_blend(const api::IntentExamples& examples, const Opinions& o) {
  Blend best;
  best.encoder_accuracy = accuracy_of(examples, [&](size_t i) { return o.encoder[i]; });
  best.ngram_accuracy = accuracy_of(examples, [&](size_t i) { return o.ngram_logits[i]; });
  best.accuracy = best.encoder_accuracy;
  for (const double temperature : {0.5, 0.7, 1.0}) {
    Rows n(examples.size());
    for (size_t i = 0; i < n.size(); ++i) n[i] = tempered(o.ngram_logits[i], temperature);
    for (const double share : {0.1, 0.2, 0.3, 0.4, 0.5}) {
      const double accuracy = accuracy_of(examples, [&](size_t i) {
        std::vector<float> p = o.encoder[i];
        for (size_t c = 0; c < p.size(); ++c) p[c] = float((1 - share) * p[c] + share * n[i][c]);
        return p;
      });
      if (accuracy > best.accuracy) best.share = share, best.temperature = temperature, best.accuracy = accuracy;
    }
  }
  return best;
}

// Labels and the mean opinion, in the share that the config says.
Rows soft_targets(Rows targets, const Opinions& o, double share) {
  for (size_t i = 0; i < targets.size(); ++i) {
    const std::vector<float> n = tempered(o.ngram_logits[i], 1);
    for (size_t c = 0; c < n.size(); ++c)
      targets[i][c] = float((1 - share) * targets[i][c] + share * 0.5 * (double(n[c]) + double(o.encoder[i][c])));
  }
  return targets;
}

void check_config(const IntentTrainConfig& c, const api::IntentExamples& examples) {
  check(examples.size() >= 2 && examples.labels.size() >= 2, "[intent] expected at least two messages and two intents");
  if (c.folds == 1) fail_usage("folds: 0 is none, else there are at least 2");
  if (c.folds > int64_t(examples.size())) fail_usage("folds: ", c.folds, " are more than the ", examples.size(), " messages");
}

Json training_json(const IntentTrainConfig& c, const api::IntentExamples& examples) {
  return {{"model", fs::path(c.model_name_or_path).filename().string()},
          {"layers", c.layers},
          {"messages", examples.size()},
          {"epochs", c.epochs},
          {"learning_rate", c.learning_rate},
          {"folds", c.folds},
          {"soft_target_share", c.soft_target_share},
          {"seed", c.seed}};
}

}  // namespace

void IntentTrainConfig::visit(Fields& v) {
  v("model_name_or_path", model_name_or_path, "language model whose first layers read the message; none: n-grams alone");
  v.alias("model", "model_name_or_path");
  v("layers", layers, "its first layers that are used; 0: all", Range{0, 1000});
  v("max_tokens", max_tokens, "tokens of a message that are read", Range{1, 512});
  v("batch_size", batch_size, "messages of a step", Range{1, 4096});
  v("epochs", epochs, "passes over the messages", Range{0.001, 1000});
  v("folds", folds, "parts for soft targets and the blend; 0: none", Range{0, 100});
  v("fold_epochs", fold_epochs, "passes of a fold's encoder", Range{0.001, 1000});
  v("soft_target_share", soft_target_share, "of the folds' opinion in the targets; the rest is the label", Range{0, 1});
  v("learning_rate", learning_rate, "peak learning rate of the encoder", Range{0, 1});
  v("head_learning_rate", head_learning_rate, "of the head and the final norm", Range{0, 1});
  v("warmup_ratio", warmup_ratio, "share of the steps with a rising learning rate", Range{0, 1});
  v("weight_decay", weight_decay, "of matrices", Range{0, 10});
  v("max_grad_norm", max_grad_norm, "gradients are clipped to this norm; 0: never", Range{0, 1e6});
  v("dropout", dropout, "of embeddings, of what layers add, and before the head", Range{0, 0.9});
  v("label_smoothing", label_smoothing, "of the label that all intents share", Range{0, 0.9});
  v("seed", seed, "of the head, the order and dropout", Range{0, 1e15});
  v.group("ngrams", ngrams);
  v.group("linear", linear);
}

std::unique_ptr<IntentModel> train_intents(const IntentTrainConfig& config, const api::IntentExamples& examples, tensor::Device device,
                                           const IntentTrainProgress& told) {
  check_config(config, examples);
  std::vector<size_t> everything(examples.size());
  std::iota(everything.begin(), everything.end(), size_t(0));
  if (told) told({"ngrams", 0, 1, 0});
  std::future<Ngrams> training_ngrams = std::async(std::launch::async, [&] { return train_ngrams(config, examples, everything); });
  IntentSettings settings{.labels = examples.labels, .max_tokens = config.max_tokens};
  Json training = training_json(config, examples);
  IntentModel::Encoder result;
  if (!config.model_name_or_path.empty()) {
    EncoderTraining encoder(config, int64_t(examples.labels.size()), device);
    std::vector<std::vector<text::TokenId>> ids;
    for (const std::string& message : examples.text) ids.push_back(encoder.ids_of(message));
    Rows targets = smoothed(examples, config.label_smoothing);
    settings.ngram_share = 0;
    if (config.folds > 0) {
      const Opinions opinions = ask_folds(config, examples, encoder, ids, targets, told);
      const Blend blend = best_blend(examples, opinions);
      settings.ngram_share = blend.share;
      settings.ngram_temperature = blend.temperature;
      training["folds_accuracy"] = {{"encoder", blend.encoder_accuracy}, {"ngrams", blend.ngram_accuracy}, {"blend", blend.accuracy}};
      targets = soft_targets(std::move(targets), opinions, config.soft_target_share);
    }
    encoder.train(lesson_of(targets, ids, everything), config.epochs, uint64_t(config.seed), "encoder", told);
    result = encoder.finish();
  }
  Ngrams ngrams = training_ngrams.get();
  return std::make_unique<IntentModel>(std::move(settings), std::move(ngrams.features), std::move(ngrams.linear), std::move(result),
                                       std::move(training));
}

}  // namespace r1::serve
