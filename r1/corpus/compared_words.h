// The words by which near duplicates and copies of evaluation data are found: lower case, every number 0, no punctuation, no marks over letters.
//
// Exactly datatrove's simplify_text() (its default TextNormConfig) followed by its English words, which are spaCy's: parts of
// contractions ("dont" is "do" "nt"), units after a digit, symbols. Tables measured from both: tests/oracles/simplify_tables.py. Its words for
// Chinese, Japanese or Thai come from programs that are not here: with `characters` every character of a script that writes no blanks is a
// word of its own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace r1::corpus {

struct WordOptions {
  bool characters = true;  // of Han, kana, Thai, Lao, Khmer, Burmese, Tibetan; false: as datatrove's English words
  bool sources = false;    // where each word stands in the text
};

// Lower case as Python's str.lower() has it, of one character or more (a last sigma is like any other).
void append_lower(std::string& out, std::string_view characters);

// The words with one blank between them. To be used again and again: it keeps its memory.
class Words {
 public:
  void assign(std::string_view text, const WordOptions& options = {});

  size_t size() const { return ends_.size(); }
  bool empty() const { return ends_.empty(); }
  std::string_view operator[](size_t i) const { return stretch(i, 1); }
  // Words [first, first + n) with the blanks between them.
  std::string_view stretch(size_t first, size_t n) const {
    const uint32_t begin = first == 0 ? 0 : ends_[first - 1] + 1;
    return {text_.data() + begin, ends_[first + n - 1] - begin};
  }
  // Bytes [begin, end) of the text that word i was made of; parts of one contraction share theirs.
  std::pair<uint32_t, uint32_t> source(size_t i) const { return sources_[i]; }

 private:
  friend class WordMaker;
  std::vector<char> text_;
  std::vector<uint32_t> ends_;
  std::vector<std::pair<uint32_t, uint32_t>> sources_;
};

}  // namespace r1::corpus
