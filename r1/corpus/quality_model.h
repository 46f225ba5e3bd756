// A learnt opinion on a text's quality, and one number of several opinions.
//
// The classifier is logistic regression on hashed word n-grams, as FastText's linear classifiers are in the pipelines of GPT-3 (Brown et al.,
// 2020, A), CCNet and DCLM (Li et al., 2024): good texts (references, books) against texts of the open web. A text is a vector of
// log(1 + count) of its n-grams, of length 1; training is AdaGrad (Duchi et al., 2011), the same for the same seed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "r1/base/config.h"
#include "r1/corpus/ngram_lm.h"
#include "r1/corpus/quality.h"

namespace r1::corpus {

struct ClassifierOptions {
  int64_t bits = 18;  // 2^bits weights
  int64_t word_ngrams = 2;
  int64_t epochs = 10;
  double learning_rate = 0.5;
  double l2 = 1e-5;
  uint64_t seed = 0;
  void visit(Fields& v);
};

class QualityClassifier {
 public:
  struct Example {
    std::string_view text;
    bool good = false;
  };
  // kUsage without examples of both kinds. The kinds weigh the same, however many there are of each.
  static QualityClassifier train(std::span<const Example> examples, const ClassifierOptions& options);
  // One file, written by save(); kUsage if it is none.
  static QualityClassifier load(const std::filesystem::path& path);
  void save(const std::filesystem::path& path) const;

  // That the text is good, 0..1; 0.5 of a text without a word that was seen in training.
  double probability(std::string_view text) const;

 private:
  int64_t bits_ = 0, word_ngrams_ = 0;
  float bias_ = 0;
  std::vector<float> weights_;
};

// Perplexity a token of a text by a language model that this room cannot run; NaN of a text that is too short to have one. Calls from several threads.
using Perplexity = std::function<double(std::string_view text)>;
// Loads the model of that name; given by whoever can (r1/app).
using OpenModel = std::function<Perplexity(const std::string& name)>;

struct ScoreConfig {
  std::string perplexity_model;  // an n-gram model (ngram_lm.h); empty: no opinion
  double good_perplexity = 300;  // 1 up to here,
  double bad_perplexity = 3000;  // 0 from here on, in between linear in its logarithm: of the model's own text, so set them with it
  std::string model;             // any language model that r1 loads; empty: no opinion
  double good_model_perplexity = 20, bad_model_perplexity = 500;  // as above, a token instead of a word
  std::string classifier;                                         // a file of QualityClassifier; empty: no opinion
  double perplexity_weight = 1, model_weight = 1, classifier_weight = 1, rules_weight = 1;  // 0: not asked
  double filter_threshold = 0.7;
  QualityConfig rules;
  void visit(Fields& v);
};

// The mean, by weight, of those opinions that there are: the perplexity's, the language model's, the classifier's, and the rules' (the share of
// the enabled sets of rules that a text keeps).
class QualityScorer {
 public:
  // kUsage if config names a model and there is no open_model.
  explicit QualityScorer(const ScoreConfig& config, const OpenModel& open_model = {});
  struct Score {
    double total = 0;  // 0..1, as the others; 0 if nobody has an opinion
    std::optional<double> perplexity, model, classifier, rules;
  };
  Score score(std::string_view text) const;
  double threshold() const { return config_.filter_threshold; }

 private:
  ScoreConfig config_;
  std::optional<NgramModel> perplexity_model_;
  Perplexity model_;
  std::optional<QualityClassifier> classifier_;
};

// Keeps what scores at least filter_threshold, with the mark "score=0.83"; reason "quality:score".
class ScoreFilter : public Filter {
 public:
  explicit ScoreFilter(const ScoreConfig& config, const OpenModel& open_model = {}) : scorer_(config, open_model) {}
  std::string_view name() const override { return "score"; }
  std::string apply(Document& document) const override;

 private:
  QualityScorer scorer_;
};

}  // namespace r1::corpus
