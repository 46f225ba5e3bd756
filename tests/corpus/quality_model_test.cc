// The learnt classifier and the score of several opinions.
#include "r1/corpus/quality_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "r1/base/file.h"
#include "r1/base/rng.h"
#include "r1/corpus/ngram_train.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace r1::corpus {
namespace {

// Sentences of two kinds that share most of their words.
std::string text_of(bool good, uint64_t seed) {
  Rng rng(seed, good);
  static constexpr const char* kGood[] = {"the proof follows from the lemma", "we measure the distance between the two",
                                          "the treaty was signed in the spring", "its roots are those of the equation"};
  static constexpr const char* kBad[] = {"click here to buy the best", "free shipping on the two",
                                         "sign up for the best deals in the spring", "its price is the lowest"};
  std::string text;
  for (int i = 0; i < 4; ++i) {
    const auto pick = rng.below(4);
    // One sentence in eight is the other kind's.
    text += (good != (rng.below(8) == 0) ? kGood : kBad)[pick];
    text += ". ";
  }
  return text;
}

QualityClassifier trained(uint64_t seed = 1, int64_t good = 60, int64_t bad = 60) {
  std::vector<std::string> texts;
  std::vector<QualityClassifier::Example> examples;
  for (int64_t i = 0; i < good; ++i) texts.push_back(text_of(true, uint64_t(i)));
  for (int64_t i = 0; i < bad; ++i) texts.push_back(text_of(false, uint64_t(i)));
  for (size_t i = 0; i < texts.size(); ++i) examples.push_back({texts[i], i < size_t(good)});
  return QualityClassifier::train(examples, {.bits = 12, .seed = seed});
}

TEST(ClassifierTest, LearnsTheDifference) {
  const QualityClassifier c = trained();
  int right = 0;
  for (uint64_t i = 1000; i < 1100; ++i) right += c.probability(text_of(true, i)) > 0.5, right += c.probability(text_of(false, i)) < 0.5;
  EXPECT_GE(right, 180);
  EXPECT_DOUBLE_EQ(c.probability(""), 0.5);
  EXPECT_EQ(c.probability("CLICK Here"), c.probability("click here"));
}

// However few good texts there are, a text of neither kind is not taken for a bad one.
TEST(ClassifierTest, KindsWeighTheSame) {
  const QualityClassifier c = trained(1, 12, 120);
  int good = 0, bad = 0;
  for (uint64_t i = 1000; i < 1100; ++i) good += c.probability(text_of(true, i)) > 0.5, bad += c.probability(text_of(false, i)) < 0.5;
  EXPECT_GE(good, 75);
  EXPECT_GE(bad, 75);
}

TEST(ClassifierTest, ASeedIsARunAndAFileTheSame) {
  const TemporaryFolder folder("classifier");
  const fs::path path = folder.path() / "a.bin";
  trained().save(path);
  const std::string bytes = r1::read_file(path);
  trained().save(path);
  EXPECT_EQ(r1::read_file(path), bytes);
  trained(2).save(path);
  EXPECT_NE(r1::read_file(path), bytes);
  const QualityClassifier loaded = QualityClassifier::load(path), c = trained(2);
  for (uint64_t i = 0; i < 10; ++i) EXPECT_EQ(loaded.probability(text_of(true, i)), c.probability(text_of(true, i)));
}

TEST(ClassifierTest, WhatTheUserMustMend) {
  const QualityClassifier::Example one[] = {{"a", true}};
  EXPECT_NE(message_of([&] { QualityClassifier::train(one, {}); }).find("there are 1 and 0"), std::string::npos);
  EXPECT_NE(message_of([&] { QualityClassifier::train(one, {.bits = 40}); }).find("2^40"), std::string::npos);
  const TemporaryFolder folder("classifier");
  const fs::path path = folder.path() / "a.bin";
  write_file_atomic(path, "nothing");
  EXPECT_NE(message_of([&] { QualityClassifier::load(path); }).find("is no quality classifier"), std::string::npos);
  trained().save(path);
  std::string bytes = r1::read_file(path);
  write_file_atomic(path, bytes.substr(0, bytes.size() - 4));
  EXPECT_NE(message_of([&] { QualityClassifier::load(path); }).find("was it cut off?"), std::string::npos);
  const float nan = NAN;
  std::memcpy(bytes.data() + bytes.size() - 4, &nan, 4);
  write_file_atomic(path, bytes);
  EXPECT_NE(message_of([&] { QualityClassifier::load(path); }).find("is no number"), std::string::npos);
}

TEST(ScoreTest, OpinionsAreWeighed) {
  const TemporaryFolder folder("score");
  NgramTrainer trainer({.order = 2, .discount_fallback = true});
  for (uint64_t i = 0; i < 60; ++i) trainer.add_document(text_of(true, i));
  NgramModel(trainer.finish()).write(folder.path() / "lm.bin");
  trained().save(folder.path() / "classifier.bin");
  ScoreConfig config;
  config.perplexity_model = (folder.path() / "lm.bin").string();
  config.classifier = (folder.path() / "classifier.bin").string();
  config.good_perplexity = 5;
  config.bad_perplexity = 100;
  config.rules_weight = 2;
  const QualityScorer scorer(config);
  const auto good = scorer.score(text_of(true, 1)), bad = scorer.score("zzz " + text_of(false, 3));
  EXPECT_DOUBLE_EQ(good.total, (*good.perplexity + *good.classifier + 2 * *good.rules) / 4);
  EXPECT_GT(*good.perplexity, *bad.perplexity);
  EXPECT_GT(*good.classifier, *bad.classifier);
  const auto nothing = scorer.score("");
  EXPECT_EQ(*nothing.perplexity, 0);
  EXPECT_EQ(*nothing.rules, 0);

  // A language model is asked as the others are; of a text that is too short it has no opinion.
  config.model = "some";
  EXPECT_NE(message_of([&] { QualityScorer s(config); }).find("nothing here can run"), std::string::npos);
  const QualityScorer asked(config, [](const std::string& name) {
    EXPECT_EQ(name, "some");
    return [](std::string_view t) { return t.empty() ? std::nan("") : 100.0; };  // 20 is good, 500 bad: half way in logarithms
  });
  EXPECT_NEAR(*asked.score(text_of(true, 1)).model, 0.5, 1e-12);
  EXPECT_NEAR(asked.score(text_of(true, 1)).total, (*good.perplexity + 0.5 + *good.classifier + 2 * *good.rules) / 5, 1e-12);
  EXPECT_FALSE(asked.score("").model);
  config.model.clear();

  config.rules_weight = 0;
  const ScoreFilter filter(config);
  Document keep{.text = text_of(true, 1)}, drop{.text = text_of(false, 3)};
  EXPECT_EQ(filter.apply(keep), "");
  ASSERT_EQ(keep.marks.size(), 1u);
  EXPECT_TRUE(keep.marks[0].starts_with("score=")) << keep.marks[0];
  EXPECT_EQ(filter.apply(drop), "quality:score");
  EXPECT_DOUBLE_EQ(ScoreConfig().filter_threshold, 0.7);

  config.perplexity_weight = config.classifier_weight = 0;
  EXPECT_NE(message_of([&] { QualityScorer s(config); }).find("a quality score of nothing"), std::string::npos);
  config.bad_perplexity = 2;
  EXPECT_NE(message_of([&] { QualityScorer s(config); }).find("must be above"), std::string::npos);
}

}  // namespace
}  // namespace r1::corpus
