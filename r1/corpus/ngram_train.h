// Training of n-gram models with interpolated modified Kneser-Ney smoothing (Chen and Goodman, "An Empirical Study of Smoothing Techniques for
// Language Modeling", 1998, equations 23-27), to the probabilities that KenLM's lmplz gives (Heafield et al., "Scalable Modified Kneser-Ney
// Language Model Estimation", 2013; tests/oracles/ngram_golden.py):
//
//   p_n(w | c) = max(a(cw) - D(a(cw)), 0) / sum a(c.) + gamma(c) p_{n-1}(w | c'),  p_0 = 1 / words
//
// where a is the count in the highest order and for n-grams that begin with <s>, else the number of different words to the left; D(1), D(2),
// D(3+) follow for each order from how many n-grams have a = 1, 2, 3, 4; c' is c without its first word; <unk> is a word that was never seen.
//
// Counting sorts: what does not fit into `memory` goes to temporary files in runs that are merged. The model itself is made in memory.
#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "r1/base/config.h"
#include "r1/corpus/ngram_arpa.h"

namespace r1::corpus {

struct NgramTrainOptions {
  int64_t order = 5;
  // n-grams seen no more often than this are left out, for each order from 1; the last value holds for the orders after it. Never falling;
  // the first is 0 (a vocabulary is not pruned).
  std::vector<int64_t> prune = {0};
  // Small or repetitive text has no n-grams seen once, twice or thrice, and Kneser-Ney no discounts: true takes 0.5, 1 and 1.5 then.
  bool discount_fallback = false;
  int64_t memory = int64_t{1} << 30;  // bytes for counting
  std::string temporary_folder;       // for what does not fit; empty: the system's
  void visit(Fields& v);
};

class NgramTrainer {
 public:
  explicit NgramTrainer(const NgramTrainOptions& options);
  ~NgramTrainer();

  // Words between blanks (space, \t, \r, NUL). An empty one counts: it is <s> </s>. "<s>", "</s>" and "<unk>" in the text are left out.
  void add_sentence(std::string_view line);
  // Each line that is not blank is a sentence.
  void add_document(std::string_view text);

  // Ends it: call once. kFailed if there was no text, and, without discount_fallback, if it gives no discounts.
  NgramTable finish();

  struct Statistics {
    int64_t sentences = 0, words = 0, markers_left_out = 0;
    int64_t runs = 0;                              // on disk
    std::vector<int64_t> ngrams, kept;             // of each order
    std::vector<std::array<double, 3>> discounts;  // D(1), D(2), D(3+) of each order
  };
  const Statistics& statistics() const;

 private:
  struct Work;
  std::unique_ptr<Work> work_;
};

// Of files, a sentence a line, as `finish` and `add_document` have it.
NgramTable train_ngram(const std::vector<std::string>& files, const NgramTrainOptions& options);

}  // namespace r1::corpus
