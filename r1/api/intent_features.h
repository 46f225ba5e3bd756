// A message as a sparse vector of n-grams, for a linear classifier: words, pairs of words, and pieces of words (character n-grams that do not
// cross a word's border), weighted by TF-IDF (Salton & Buckley, "Term-weighting approaches in automatic text retrieval", 1988):
//   value = (1 + ln count) * (ln((1 + documents) / (1 + documents with it)) + 1),
// words and pieces each scaled to length 1, so that neither drowns the other. Lower case, any Unicode text, invalid bytes included.
//
// An n-gram is known by a 64-bit hash of itself: two of a vocabulary of a million meet with a chance of 3e-8, and what is saved is a sorted
// list of numbers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "r1/base/config.h"

namespace r1::api {

// Indices ascending, each once.
struct SparseVector {
  std::vector<uint32_t> index;
  std::vector<float> value;
};

struct NgramOptions {
  int64_t max_words = 2;                 // longest run of words
  int64_t min_chars = 2, max_chars = 5;  // pieces of words, in characters with one blank at either end of the word
  int64_t min_count = 2;                 // messages that an n-gram must occur in
  int64_t max_features = 200'000;        // the most frequent ones

  void visit(Fields& v);
  void check() const;
};

inline constexpr size_t kMaxMessageBytes = 8192;  // of a message that is looked at; what comes after is not

class NgramFeatures {
 public:
  NgramFeatures() = default;
  static NgramFeatures fit(std::span<const std::string> messages, const NgramOptions& options);
  // What was saved, checked: hashes strictly ascending, one weight each, finite and positive.
  static NgramFeatures from_parts(const NgramOptions& options, std::vector<uint64_t> hashes, std::vector<float> idf);

  SparseVector operator()(std::string_view message) const;
  size_t size() const { return hashes_.size(); }
  const NgramOptions& options() const { return options_; }
  const std::vector<uint64_t>& hashes() const { return hashes_; }
  const std::vector<float>& idf() const { return idf_; }

 private:
  NgramOptions options_;
  std::vector<uint64_t> hashes_;  // feature i, sorted
  std::vector<float> idf_;
};

// Lower-case words and other marks (one character each) in order; blanks are left out.
std::vector<std::string> words_of(std::string_view text);
// Unicode's simple lower case; invalid bytes stay.
std::string lower_case(std::string_view text);

}  // namespace r1::api
