#include "r1/corpus/quality_model.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <numeric>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/rng.h"
#include "r1/corpus/words.h"

namespace r1::corpus {
namespace {

constexpr char kMagic[8] = {'r', '1', 'l', 'i', 'n', 'e', 'a', 'r'};
struct Header {
  char magic[8];
  int32_t version, bits, word_ngrams;
  float bias;
};

struct Feature {
  uint32_t place;
  float value;
};

// n-grams of lower-cased words by place, each once, the vector of length 1.
std::vector<Feature> features_of(std::string_view text, int64_t bits, int64_t word_ngrams) {
  std::vector<uint64_t> words;
  std::string lower;
  for (const std::string_view word : split_words(text)) {
    lower.assign(word);
    for (char& c : lower)
      if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
    words.push_back(XXH3_64bits(lower.data(), lower.size()));
  }
  std::vector<uint32_t> places;
  for (size_t i = 0; i < words.size(); ++i) {
    uint64_t key = 0;
    for (size_t n = 0; n < size_t(word_ngrams) && i + n < words.size(); ++n) {
      key = (key ^ words[i + n]) * 0x9E3779B97F4A7C15ull;
      key ^= key >> 32;
      places.push_back(uint32_t(key * 0xD6E8FEB86659FD93ull >> (64 - bits)));
    }
  }
  std::sort(places.begin(), places.end());
  std::vector<Feature> features;
  double squares = 0;
  for (size_t i = 0; i < places.size();) {
    size_t end = i;
    while (end < places.size() && places[end] == places[i]) ++end;
    const double value = std::log1p(double(end - i));
    squares += value * value;
    features.push_back({places[i], float(value)});
    i = end;
  }
  const auto scale = float(squares > 0 ? 1 / std::sqrt(squares) : 0);
  for (Feature& f : features) f.value *= scale;
  return features;
}

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

}  // namespace

void ClassifierOptions::visit(Fields& v) {
  v("bits", bits, "2^bits weights", Range{8, 28});
  v("word_ngrams", word_ngrams, "words of the longest n-gram", Range{1, 5});
  v("epochs", epochs, "passes over the examples", Range{1, 1000});
  v("learning_rate", learning_rate, "AdaGrad's step", Range{0, 100});
  v("l2", l2, "pull of the weights to 0", Range{0, 1});
  v("seed", seed, "of the examples' order");
}

QualityClassifier QualityClassifier::train(std::span<const Example> examples, const ClassifierOptions& options) {
  if (options.bits < 8 || options.bits > 28 || options.word_ngrams < 1 || options.word_ngrams > 5)
    fail_usage("a classifier has 2^8 to 2^28 weights and n-grams of 1 to 5 words, not 2^", options.bits, " and ", options.word_ngrams);
  const int64_t good = std::count_if(examples.begin(), examples.end(), [](const Example& e) { return e.good; });
  const int64_t bad = int64_t(examples.size()) - good;
  if (good == 0 || bad == 0) fail_usage("a classifier learns from good and from bad texts; there are ", good, " and ", bad);
  QualityClassifier c;
  c.bits_ = options.bits;
  c.word_ngrams_ = options.word_ngrams;
  c.weights_.assign(size_t{1} << c.bits_, 0);
  std::vector<std::vector<Feature>> features;
  for (const Example& e : examples) features.push_back(features_of(e.text, c.bits_, c.word_ngrams_));
  std::vector<float> squares(c.weights_.size(), 1e-8f);
  double bias = 0, bias_squares = 1e-8;
  std::vector<uint32_t> order(examples.size());
  std::iota(order.begin(), order.end(), 0u);
  const double weight_of_good = double(examples.size()) / (2 * double(good)), weight_of_bad = double(examples.size()) / (2 * double(bad));
  for (int64_t epoch = 0; epoch < options.epochs; ++epoch) {
    Rng rng(options.seed, uint64_t(epoch));
    rng.shuffle(order);
    for (const uint32_t i : order) {
      double sum = bias;
      for (const Feature& f : features[i]) sum += double(c.weights_[f.place]) * double(f.value);
      const double slope = (sigmoid(sum) - (examples[i].good ? 1 : 0)) * (examples[i].good ? weight_of_good : weight_of_bad);
      for (const Feature& f : features[i]) {
        float& w = c.weights_[f.place];
        const double gradient = slope * double(f.value) + options.l2 * double(w);
        squares[f.place] += float(gradient * gradient);
        w -= float(options.learning_rate * gradient / std::sqrt(double(squares[f.place])));
      }
      bias_squares += slope * slope;
      bias -= options.learning_rate * slope / std::sqrt(bias_squares);
    }
  }
  c.bias_ = float(bias);
  return c;
}

double QualityClassifier::probability(std::string_view text) const {
  double sum = 0;
  bool known = false;
  for (const Feature& f : features_of(text, bits_, word_ngrams_)) {
    sum += double(weights_[f.place]) * double(f.value);
    known |= weights_[f.place] != 0;
  }
  return known ? sigmoid(sum + double(bias_)) : 0.5;
}

void QualityClassifier::save(const std::filesystem::path& path) const {
  Header header{{}, 1, int32_t(bits_), int32_t(word_ngrams_), bias_};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  AtomicFile file(path);
  file.write({reinterpret_cast<const char*>(&header), sizeof header});
  file.write({reinterpret_cast<const char*>(weights_.data()), weights_.size() * sizeof(float)});
  file.commit();
}

QualityClassifier QualityClassifier::load(const std::filesystem::path& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  Header header{};
  if (bytes.size() >= sizeof header) std::memcpy(&header, bytes.data(), sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 || header.version != 1)
    fail_usage(path.string(), " is no quality classifier of this program (r1 data classifier train makes one)");
  check(header.bits >= 8 && header.bits <= 28 && header.word_ngrams >= 1 && header.word_ngrams <= 5, path.string(), ": 2^", header.bits,
        " weights of n-grams of ", header.word_ngrams, " words cannot be");
  const size_t n = size_t{1} << header.bits;
  check(bytes.size() == sizeof header + n * sizeof(float), path.string(), ": has ", bytes.size(), " bytes for ", n,
        " weights; was it cut off?");
  QualityClassifier c;
  c.bits_ = header.bits;
  c.word_ngrams_ = header.word_ngrams;
  c.bias_ = header.bias;
  c.weights_.resize(n);
  std::memcpy(c.weights_.data(), bytes.data() + sizeof header, n * sizeof(float));
  check(std::isfinite(c.bias_) && std::all_of(c.weights_.begin(), c.weights_.end(), [](float w) { return std::isfinite(w); }),
        path.string(), ": a weight is no number");
  return c;
}

void ScoreConfig::visit(Fields& v) {
  v("perplexity_model", perplexity_model, "n-gram model (own form or ARPA); empty: perplexity is not asked");
  v("good_perplexity", good_perplexity, "a perplexity of up to this scores 1", Range{1, 1e9});
  v("bad_perplexity", bad_perplexity, "one from here on scores 0", Range{1, 1e9});
  v("model", model, "a language model (HF folder, checkpoint or GGUF) whose perplexity a token is asked; empty: it is not");
  v("good_model_perplexity", good_model_perplexity, "a perplexity of that model of up to this scores 1", Range{1, 1e9});
  v("bad_model_perplexity", bad_model_perplexity, "one from here on scores 0", Range{1, 1e9});
  v("classifier", classifier, "file of a quality classifier (r1 data classifier train); empty: it is not asked");
  v("perplexity_weight", perplexity_weight, "weight of the perplexity's opinion", Range{0, 1e6});
  v("model_weight", model_weight, "weight of the language model's", Range{0, 1e6});
  v("classifier_weight", classifier_weight, "weight of the classifier's", Range{0, 1e6});
  v("rules_weight", rules_weight, "weight of the rules'", Range{0, 1e6});
  v("filter_threshold", filter_threshold, "least score of a text that is kept", Range{0, 1});
  v.group("rules", rules, "the rules that are asked");
}

namespace {

void check_order(const char* bad_name, double bad, const char* good_name, double good) {
  if (bad <= good) fail_usage(bad_name, " (", bad, ") must be above ", good_name, " (", good, ")");
}

// 1 up to `good`, 0 from `bad` on, in between linear in the logarithm.
double opinion_of(double perplexity, double good, double bad) {
  return std::clamp((std::log(bad) - std::log(perplexity)) / (std::log(bad) - std::log(good)), 0.0, 1.0);
}

}  // namespace

QualityScorer::QualityScorer(const ScoreConfig& config, const OpenModel& open_model) : config_(config) {
  check_order("bad_perplexity", config.bad_perplexity, "good_perplexity", config.good_perplexity);
  check_order("bad_model_perplexity", config.bad_model_perplexity, "good_model_perplexity", config.good_model_perplexity);
  if (!config.perplexity_model.empty() && config.perplexity_weight > 0) perplexity_model_ = NgramModel::load(config.perplexity_model);
  if (!config.model.empty() && config.model_weight > 0) {
    if (!open_model) fail_usage("score.model: nothing here can run a language model");
    model_ = open_model(config.model);
  }
  if (!config.classifier.empty() && config.classifier_weight > 0) classifier_ = QualityClassifier::load(config.classifier);
  const QualityConfig& r = config.rules;
  const bool rules = config.rules_weight > 0 && (r.gopher.enabled || r.repetition.enabled || r.c4.enabled || r.fineweb.enabled);
  if (!perplexity_model_ && !model_ && !classifier_ && !rules)
    fail_usage("a quality score of nothing: give perplexity_model, model, classifier or rules a weight");
}

QualityScorer::Score QualityScorer::score(std::string_view text) const {
  Score score;
  double sum = 0, weights = 0;
  const auto add = [&](std::optional<double>& part, double value, double weight) {
    part = value;
    sum += value * weight;
    weights += weight;
  };
  if (perplexity_model_) {
    const double perplexity = perplexity_model_->document(text).perplexity();
    add(score.perplexity, opinion_of(perplexity, config_.good_perplexity, config_.bad_perplexity), config_.perplexity_weight);
  }
  if (model_) {
    const double perplexity = model_(text);
    if (!std::isnan(perplexity))
      add(score.model, opinion_of(perplexity, config_.good_model_perplexity, config_.bad_model_perplexity), config_.model_weight);
  }
  if (classifier_) add(score.classifier, classifier_->probability(text), config_.classifier_weight);
  const QualityConfig& rules = config_.rules;
  int sets = 0, kept = 0;
  const auto ask = [&](bool enabled, auto reason) {
    if (!enabled) return;
    ++sets;
    kept += reason().empty();
  };
  if (config_.rules_weight > 0) {
    const QualityText t(text);
    ask(rules.repetition.enabled, [&] { return repetition_reason(t, rules.repetition); });
    ask(rules.gopher.enabled, [&] { return gopher_reason(t, rules.gopher); });
    ask(rules.c4.enabled, [&] {
      C4Lines lines;
      return c4_reason(text, rules.c4, lines);
    });
    ask(rules.fineweb.enabled, [&] { return fineweb_reason(t, rules.fineweb); });
    if (sets > 0) add(score.rules, double(kept) / sets, config_.rules_weight);
  }
  score.total = weights > 0 ? sum / weights : 0;
  return score;
}

std::string ScoreFilter::apply(Document& document) const {
  const QualityScorer::Score score = scorer_.score(document.text);
  if (score.total < scorer_.threshold()) return "quality:score";
  char mark[24];
  std::snprintf(mark, sizeof mark, "score=%.2f", score.total);
  document.marks.emplace_back(mark);
  return "";
}

}  // namespace r1::corpus
