// Words in place of words that mean the same, from a table. English: whole words, in the case that they had, a and an mended. Chinese: the longest word of
// the table at each place. Left alone: listings and `code`, addresses, anything in quotes or in markup, formulas, what stands between <think> and
// </think>, numbers, words with a hyphen or apostrophe, and words that may be names (a capital inside of a sentence, or before another one).
//
// A table: a line a word, its synonyms behind it, tabs between; # begins a comment line. Words of a phrase have one blank between them. A word with no
// synonym stays as it is: so 并非 keeps 非常 from being found in 并非常见. Nothing is inflected: forms have lines of their own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "r1/base/rng.h"

namespace r1::corpus {

class Synonyms {
 public:
  // About a hundred words each of English and Chinese.
  static Synonyms built_in();
  // kUsage with file and line for what is no table.
  static Synonyms load(const std::string& path);
  // `where` names the table in errors.
  static Synonyms parse(std::string_view text, const std::string& where);

  struct Replaced {
    std::string text;
    std::vector<std::pair<std::string, std::string>> words;  // before, after
  };
  // Each word of the table with probability `rate`.
  Replaced replace(std::string_view text, double rate, Rng& rng) const;
  size_t size() const { return words_.size(); }

 private:
  void add(std::string word, std::vector<std::string> synonyms, const std::string& where);
  // The longest word of the table at text[at], in bytes; 0 if there is none.
  size_t english_at(std::string_view text, size_t at, size_t end, std::string& key) const;
  size_t chinese_at(std::string_view text, size_t at, size_t end) const;

  std::unordered_map<std::string, std::vector<std::string>> words_;  // English in lower case
  size_t longest_chinese_ = 0, longest_english_ = 0;                 // bytes, words
};

// Bytes [begin, end) of a text that no word is changed in, sorted, without overlaps.
std::vector<std::pair<size_t, size_t>> untouchable(std::string_view text);

}  // namespace r1::corpus
