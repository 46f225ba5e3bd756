// Words, lines and sentences of a text as the quality rules count them (quality.h).
//
// Words are those of written English, near to spaCy's blank English tokenizer, which datatrove counts with: blanks separate; punctuation at
// either end of a chunk is words of its own, one a character ("..." and like runs are one); clitics are ("do" "n't", "it" "'s"); hyphens
// between letters, and : / = < > , between letters, separate; addresses and abbreviations ("Mr.", "U.S.", "e.g.") stay whole. In languages
// without blanks between words a chunk is a word. A text of spaces has no words.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace r1::corpus {

std::vector<std::string_view> split_words(std::string_view text);

// How many: a sentence ends with a word like ".", "!" or "?" that another word follows which is no punctuation.
int64_t count_sentences(std::string_view line);

// Lines as Python's str.splitlines() has them: \n, \r, \r\n, \v, \f, the information separators, U+0085, U+2028, U+2029.
std::vector<std::string_view> split_lines(std::string_view text);

// White space as Python's str.strip() and split() have it.
bool is_white(uint32_t cp);
std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);
inline std::string_view strip(std::string_view text) {
  return strip_left(strip_right(text));
}
std::vector<std::string_view> split_at_white(std::string_view text);

// Code points; a byte that is no valid UTF-8 counts as one.
int64_t count_chars(std::string_view text);

}  // namespace r1::corpus
