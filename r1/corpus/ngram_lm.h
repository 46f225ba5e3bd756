// Backoff n-gram language models: log10 probabilities of words and sentences, perplexities of documents.
//
//   p(w | c1..ck) = p of the longest n-gram "ci..ck w" that the model has, times the backoffs of the contexts longer than it
//
// The numbers are KenLM's, to the last digits of a float (tests/oracles/ngram_golden.py). A model lies in hash tables, one an order, keyed by
// 64 bits of the n-gram (two n-grams of one key are as unlikely as 1e-4 for a billion of them; KenLM's probing models run the same risk), and
// its file is just these tables: it is mapped, not read, so that a start costs nothing and processes share the memory.
#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "r1/corpus/ngram_arpa.h"

namespace r1::corpus {

class NgramModel {
 public:
  explicit NgramModel(const NgramTable& table);
  // By content: a file that write() made (mapped) or an ARPA file (built in memory). kUsage if it is neither.
  static NgramModel load(const std::filesystem::path& path);
  NgramModel(NgramModel&&) noexcept;
  NgramModel& operator=(NgramModel&&) noexcept;
  ~NgramModel();

  void write(const std::filesystem::path& path) const;

  int order() const;
  int64_t ngrams(int n) const;               // of order n, 1..order()
  uint32_t id(std::string_view word) const;  // kUnknownWord if the model has none

  // What of the words before a word the model can use: begin with begin_sentence() or {} (nothing before).
  struct State {
    int length = 0;  // how many words, the last one first
    std::array<uint32_t, kMaxNgramOrder - 1> words{};
    std::array<float, kMaxNgramOrder - 1> backoffs{};  // of the last word, the last two, ...
  };
  State begin_sentence() const;

  struct Score {
    float log10 = 0;
    int length = 0;  // of the n-gram whose probability it is
  };
  // `out` may be `in`.
  Score score(const State& in, uint32_t word, State& out) const;

  struct Total {
    double log10 = 0;
    int64_t words = 0, unknown = 0;  // </s> counts as a word, as in KenLM's and CCNet's perplexity
    double perplexity() const;       // 10^(-log10 / words); of nothing infinite
  };
  // A sentence of words between blanks (space, \t, \n, \r, NUL). With `ends`, after <s> and with </s>.
  Total sentence(std::string_view text, bool ends = true) const;
  // Each line that is not blank is a sentence.
  Total document(std::string_view text) const;

  struct Tables;

 private:
  explicit NgramModel(std::unique_ptr<Tables> tables);
  std::unique_ptr<Tables> tables_;
};

}  // namespace r1::corpus
