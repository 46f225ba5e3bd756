// A backoff n-gram model as a table of n-grams, and ARPA files of it (.arpa, .arpa.gz, .arpa.zst), the form in which SRILM, KenLM and IRSTLM
// exchange them: for each order lines of "log10(p) <tab> words <tab> log10(backoff)".
//
// Read with what such tools write in mind: a header before \data\, blanks for tabs, a backoff that is left out (0), "<UNK>" for "<unk>", a
// model without <unk> (it gets log10(p) = -100, as KenLM gives it), n-grams whose suffix was pruned (SRILM; the suffix is put in with the
// probability that backing off gives it, so that it changes nothing). Refused, with file and line: counts that are wrong, words that no
// unigram has, a probability above 1, a number that is none, an n-gram given twice, a file that breaks off, a model without <s> or </s>.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace r1::corpus {

inline constexpr int kMaxNgramOrder = 10;
// Ids that every model has.
inline constexpr uint32_t kUnknownWord = 0, kSentenceBegin = 1, kSentenceEnd = 2;
inline constexpr float kMissingUnknown = -100;  // log10(p) of <unk> where a file has none

struct NgramTable {
  struct Order {
    std::vector<uint32_t> ids;                   // n a row, in the order of the words in a sentence
    std::vector<float> probabilities, backoffs;  // log10; the highest order has no backoffs
    size_t size() const { return probabilities.size(); }
  };
  std::vector<std::string> words;  // by id; "<unk>", "<s>", "</s>" first
  std::vector<Order> orders;       // orders[n - 1]; those of the unigrams by id
  int order() const { return int(orders.size()); }
};

// `max_bytes`: no more is read (a bomb in a .gz); kFailed beyond.
NgramTable read_arpa(const std::filesystem::path& path, int64_t max_bytes = int64_t{1} << 40);

// Compressed where the name ends in .gz. Numbers are the shortest that read back the same.
void write_arpa(const NgramTable& table, const std::filesystem::path& path);

}  // namespace r1::corpus
