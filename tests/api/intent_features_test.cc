#include "r1/api/intent_features.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "r1/base/rng.h"
#include "tests/message_of.h"

namespace r1::api {
namespace {

const std::vector<std::string> kMessages = {"my card has not arrived", "my card was stolen", "the card was declined", "where is my money?"};

// The definition, on words and pieces spelled out: no hashes, no order.
std::multiset<float> values_by_definition(const std::vector<std::string>& documents, const std::string& message, const NgramOptions& o) {
  const auto grams = [&](const std::string& text) {
    std::map<std::string, int> words, pieces;
    const std::vector<std::string> w = words_of(text);
    for (size_t i = 0; i < w.size(); ++i) {
      for (size_t n = 1; n <= size_t(o.max_words) && i + n <= w.size(); ++n) {
        std::string run = w[i];
        for (size_t k = 1; k < n; ++k) run += " " + w[i + k];
        ++words[run];
      }
      const std::string padded = " " + w[i] + " ";  // ASCII here: a byte is a character
      for (size_t n = size_t(o.min_chars); n <= size_t(o.max_chars); ++n) {
        for (size_t k = 0; k + n <= padded.size(); ++k) ++pieces[padded.substr(k, n)];
      }
    }
    return std::pair{words, pieces};
  };
  std::multiset<float> values;
  const auto [words, pieces] = grams(message);
  for (int kind = 0; kind < 2; ++kind) {
    std::vector<double> group;
    for (const auto& [gram, n] : kind ? pieces : words) {
      int with = 0;
      for (const std::string& d : documents) {
        const auto [w, p] = grams(d);
        with += (kind ? p : w).count(gram);
      }
      if (with >= o.min_count) group.push_back((1 + std::log(n)) * (std::log(double(1 + documents.size()) / (1 + with)) + 1));
    }
    double squares = 0;
    for (double v : group) squares += v * v;
    for (double v : group) values.insert(float(v / std::sqrt(squares)));
  }
  return values;
}

TEST(IntentFeatures, AreTfIdfByItsDefinition) {
  for (const NgramOptions& o : {NgramOptions{}, NgramOptions{.max_words = 3, .min_chars = 1, .max_chars = 3, .min_count = 1}}) {
    const NgramFeatures features = NgramFeatures::fit(kMessages, o);
    for (const std::string message : {"my card was stolen", "where where is the card??", "nothing known"}) {
      const SparseVector x = features(message);
      const std::multiset<float> expected = values_by_definition(kMessages, message, o);
      ASSERT_EQ(x.value.size(), expected.size()) << message;
      std::multiset<float> got(x.value.begin(), x.value.end());
      for (auto a = got.begin(), b = expected.begin(); a != got.end(); ++a, ++b) EXPECT_NEAR(*a, *b, 1e-5) << message;
      for (size_t i = 1; i < x.index.size(); ++i) EXPECT_LT(x.index[i - 1], x.index[i]);
    }
  }
}

TEST(IntentFeatures, SeeWordsNotTheirCase) {
  EXPECT_EQ(words_of("Hello, WORLD! it's 20€ ÀÉ"), (std::vector<std::string>{"hello", ",", "world", "!", "it", "'", "s", "20", "€", "àé"}));
  EXPECT_EQ(words_of(""), std::vector<std::string>{});
  EXPECT_EQ(words_of(" \t\n "), std::vector<std::string>{});
  const NgramFeatures f = NgramFeatures::fit(kMessages, {});
  EXPECT_EQ(f("MY CARD was Stolen").value, f("my card   was\tstolen").value);
}

TEST(IntentFeatures, KeepTheMostFrequentWithinTheirNumber) {
  const NgramFeatures all = NgramFeatures::fit(kMessages, {.min_count = 1});
  const NgramFeatures few = NgramFeatures::fit(kMessages, {.min_count = 1, .max_features = 10});
  EXPECT_EQ(few.size(), 10u);
  // "card" and its pieces are in three of four messages: nothing weighs less than what was kept.
  const float most = *std::max_element(few.idf().begin(), few.idf().end());
  EXPECT_LE(most, *std::min_element(all.idf().begin(), all.idf().end()) + 0.3f);
}

TEST(IntentFeatures, SavedPartsAreChecked) {
  const NgramOptions o;
  EXPECT_NE(message_of([&] { NgramFeatures::from_parts(o, {2, 1}, {1, 1}); }).find("ascending"), std::string::npos);
  EXPECT_NE(message_of([&] { NgramFeatures::from_parts(o, {1, 1}, {1, 1}); }).find("ascending"), std::string::npos);
  EXPECT_NE(message_of([&] { NgramFeatures::from_parts(o, {1}, {}); }).find("weight for each"), std::string::npos);
  EXPECT_NE(message_of([&] { NgramFeatures::from_parts(o, {1}, {NAN}); }).find("positive weight"), std::string::npos);
  EXPECT_NE(message_of([&] { NgramFeatures::from_parts({.min_chars = 4, .max_chars = 3}, {1}, {1}); }).find("min_chars"),
            std::string::npos);
  const NgramFeatures a = NgramFeatures::fit(kMessages, o), b = NgramFeatures::from_parts(o, a.hashes(), a.idf());
  EXPECT_EQ(a("my card").value, b("my card").value);
}

TEST(IntentFeatures, AnyBytesGiveAFiniteVectorOfBoundedLength) {
  const NgramFeatures f = NgramFeatures::fit(kMessages, {.min_count = 1});
  Rng rng(7);
  for (int round = 0; round < 2000; ++round) {
    std::string message(rng.below(60), ' ');
    for (char& c : message) c = round % 2 ? char(rng.below(256)) : "my card \xE2\x82\xAC\xCC\x81\xF0\x9F"[rng.below(14)];
    const SparseVector x = f(message);
    double squares = 0;
    for (float v : x.value) squares += double(v) * v;
    EXPECT_LE(squares, 2.001) << round;  // words and pieces, each of length 1 at most
  }
  // What comes after the limit is not looked at.
  const std::string start(kMaxMessageBytes, 'x');
  EXPECT_EQ(f(start).value, f(start + " my card").value);
}

}  // namespace
}  // namespace r1::api
